// Rows take pages as they grow. When the pool is full, the row that is computed again with the least work is taken
// back: its pages are returned, its tokens stay, and it goes on when there is room, before new samples start. One row
// alone takes what it needs.
extension GenerationSession {
    /// The most pages that the tokens of a sample take.
    private var mostPages: Int { KVPage.count(tokens: options.maximumNewTokens) }

    /// The free pages with which a sample starts: its first page and one in reserve.
    var firstPages: Int { min(2, mostPages) }

    /// The pages that are kept free for the active rows: the next one of each, and those of rows that have none yet.
    var reserve: Int {
        active.reduce(0) { sum, row in
            sum + (row.pages.isEmpty ? firstPages : max(0, min(1, mostPages - row.pages.count)))
        }
    }

    /// The length of text from which all positions rotate by other angles (LongRoPE); nil if there is none.
    private var originalLength: Int? {
        guard case .longrope(_, _, _, let length) = model.configuration.ropeScaling else { return nil }
        return length
    }

    /// Whether the next token is the first one beyond the original length, and the cache has the angles of before.
    private func outgrowsOriginalLength(_ row: GenerationRow) -> Bool {
        row.position == originalLength && row.prompt?.request != nil
    }

    // MARK: - Taking back

    /// Takes rows back until the next token of the others fits.
    func makeRoom() {
        while active.count > 1, active.reduce(0, { $0 + pagesOfNextToken($1) }) > pool.available {
            // Among equals the youngest, which is the last.
            guard let index = active.indices.reversed().min(by: { active[$0].textCount < active[$1].textCount }) else {
                return
            }
            let row = active.remove(at: index)
            row.release()
            waiting.insert(row, at: 0)
            takenBack += 1
        }
    }

    private func pagesOfNextToken(_ row: GenerationRow) -> Int {
        if outgrowsOriginalLength(row) { return KVPage.count(tokens: row.position) + 1 - row.pages.count }
        return row.pagesNeeded(for: 1)
    }

    // MARK: - Computing again

    /// Lets the first waiting row go on if it fits; returns false if not, or if there is none.
    ///
    /// Its tokens are fed again one by one, as steps of the batch, so that its cache has the bits that it had.
    func resumeRow() -> Bool {
        guard let row = waiting.first else { return false }
        let text = requests[row.request].prompt + row.tokens
        // The last token is fed by the next step.
        let count = text.count - 1
        let switched = originalLength.flatMap { row.promptCount <= $0 && $0 < count ? $0 : nil }
        let startCount = switched ?? row.promptCount
        let shared = switched == nil ? sharedPrompt(row.request) : nil
        let needed = KVPage.count(tokens: count - startCount) + (shared == nil ? KVPage.count(tokens: startCount) : 0)
        guard active.isEmpty || needed + 1 <= pool.available - reserve else { return false }

        waiting.removeFirst()
        let start =
            shared ?? CachedPrompt(pool, request: switched == nil ? row.request : nil, count: startCount)
        row.move(to: start)
        row.reserve(count - startCount)
        if shared == nil {
            // The length of the text selects the angles of LongRoPE.
            _ = compute([Array(text[..<(switched.map { $0 + 1 } ?? startCount)])]) { _, position in
                position < startCount ? (start.pages[position / KVPage.tokens], position % KVPage.tokens) : nil
            }
        }
        active.append(row)
        return true
    }

    /// The cached prompt of a request; nil if no row and no sample to come holds it.
    private func sharedPrompt(_ request: Int) -> CachedPrompt? {
        prepared[request]?.prompt ?? active.lazy.compactMap(\.prompt).first { $0.request == request }
    }

    /// Computes the cache of samples anew whose next token is the first one beyond the original length of LongRoPE,
    /// because all positions then rotate by other angles.
    func extendContext() {
        guard let originalLength else { return }
        for row in active where outgrowsOriginalLength(row) {
            row.release()
            // The length of the text selects the angles, so the next token is part of it.
            let text = (requests[row.request].prompt + row.tokens).prefix(originalLength + 1)
            let start = CachedPrompt(pool, request: nil, count: originalLength)
            _ = compute([Array(text)]) { _, position in
                position < originalLength
                    ? (start.pages[position / KVPage.tokens], position % KVPage.tokens) : nil
            }
            row.move(to: start)
        }
    }

    /// Computes texts, caches the tokens for which `place` gives a page and a slot, and returns the logits after each
    /// text.
    func compute(
        _ texts: [[Int]], at place: (_ text: Int, _ position: Int) -> (page: UnsafeMutableRawPointer, slot: Int)?
    ) -> [[Float]] {
        model.prefill(texts) { text, position, layer, keys, values in
            guard let (page, slot) = place(text, position) else { return }
            self.pool.write(keys, values, layer: layer, page: page, slot: slot)
        }
    }
}

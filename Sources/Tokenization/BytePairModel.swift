import OrderedJSON

/// The symbols of one byte (byte-level) or one character (otherwise) before merging.
private enum InitialSymbols: Sendable {
    case token(UInt32)
    case fallback([UInt32])
    case unknown
}

/// Byte-pair encoding (BPE): splits a pre-token into bytes or characters and merges pairs in order of rank.
struct BytePairModel: Sendable {
    /// Texts of the vocabulary as written in the file, by id; nil for unused ids.
    let tokens: [String?]
    /// Ids by raw bytes if the pre-tokenizer is byte-level, else by UTF-8.
    private let table: TokenTable
    private let pairs: PairTable
    /// The id that each merge produces, by rank.
    private let mergedIDs: [UInt32]
    private let wordCache: WordCache
    private let isByteLevel: Bool
    private let boundaries: MarkBoundaries?
    private let byteSymbols: [InitialSymbols]
    /// Ids of `<0x00>` to `<0xFF>` if the model falls back to bytes.
    private let fallbackIDs: [UInt32?]
    private let unknownID: UInt32?
    private let fusesUnknown: Bool
    private let ignoresMerges: Bool

    /// Reads the `model` of a `tokenizer.json`.
    ///
    /// - Parameters:
    ///   - json: the object `model`.
    ///   - isByteLevel: whether the vocabulary is written in the GPT-2 alphabet.
    /// - Throws: `TokenizerError` if the model is not a supported BPE model.
    init(_ json: JSON, isByteLevel: Bool) throws {
        var reader = try StrictObjectReader(json, at: "model")
        if let type = reader.optional("type"), type.string != "BPE" {
            throw reader.unsupported("a model of type \"\(type.string ?? type.kindName)\"")
        }
        if reader.optional("dropout").map({ $0.double != 0 }) ?? false {
            throw reader.unsupported("dropout")
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = reader.optional(key), affix.string != "" {
                throw reader.unsupported("a \(key) other than the empty one")
            }
        }
        let vocabulary = try reader.object("vocab")
        let merges = try reader.array("merges")
        ignoresMerges = try reader.bool("ignore_merges", default: false)
        fusesUnknown = try reader.bool("fuse_unk", default: false)
        let fallsBack = try reader.bool("byte_fallback", default: false)
        let unknown = reader.optional("unk_token")
        try reader.finish()

        let vocabularyReader = try VocabularyReader(vocabulary, isByteLevel: isByteLevel)
        tokens = vocabularyReader.tokens
        table = vocabularyReader.table
        (pairs, mergedIDs) = try vocabularyReader.readMerges(merges)
        self.isByteLevel = isByteLevel

        if let unknown {
            guard let text = unknown.string, let id = vocabularyReader.ids.id(of: Array(text.utf8)) else {
                throw TokenizerError.malformed(place: "model.unk_token", reason: "is not in the vocabulary")
            }
            unknownID = id
        } else {
            unknownID = nil
        }
        fallbackIDs = ByteFallback.ids(in: vocabularyReader.ids, enabled: fallsBack)
        var symbols: [InitialSymbols] = []
        if isByteLevel {
            for byte in UInt8.min...UInt8.max {
                let text = Array(String(ByteLevelAlphabet.scalars[Int(byte)]).utf8)
                let fallback = text.compactMap { [fallbackIDs] in fallbackIDs[Int($0)] }
                if let id = table.id(of: [byte]) {
                    symbols.append(.token(id))
                } else {
                    symbols.append(fallback.count == text.count ? .fallback(fallback) : .unknown)
                }
            }
        }
        byteSymbols = symbols
        boundaries = isByteLevel ? nil : MarkBoundaries(tokens, ids: vocabularyReader.ids, unknownID: unknownID)
        wordCache = WordCache(count: tokens.count)
    }

    /// Appends the ids of one pre-token, in O(n log n) for n bytes.
    ///
    /// - Parameters:
    ///   - preToken: bytes as `table` holds them.
    ///   - banned: ids that must not be produced, whatever the text; nil for none.
    ///   - scratch: buffers reused across calls.
    ///   - output: receives the ids.
    @inline(__always)
    func encode(
        _ preToken: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        if let id = table.id(of: preToken), !(banned?[Int(id)] ?? false),
            ignoresMerges || encodesToItself(Int(id), preToken, &scratch)
        {
            output.append(Int(id))
            return
        }
        guard let boundaries else { return merge(preToken, banned: banned, &scratch, into: &output) }
        var start = 0
        while start < preToken.count {
            let end = boundaries.end(of: preToken, from: start)
            let word = UnsafeBufferPointer(rebasing: preToken[start..<end])
            if let id = table.id(of: word), !(banned?[Int(id)] ?? false), encodesToItself(Int(id), word, &scratch) {
                output.append(Int(id))
            } else {
                merge(word, banned: banned, &scratch, into: &output)
            }
            start = end
        }
    }

    /// Whether merging the text of a token yields that token; computed once per token.
    @inline(__always)
    private func encodesToItself(
        _ id: Int, _ preToken: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch
    ) -> Bool {
        if let known = wordCache[id] { return known }
        var merged: [Int] = []
        merge(preToken, banned: nil, &scratch, into: &merged)
        let isWord = merged == [id]
        wordCache.set(id, isWord)
        return isWord
    }

    /// Buffers of `merge`, reused across pre-tokens.
    struct Scratch {
        fileprivate var symbols: [UInt32] = []
        fileprivate var next: [Int32] = []
        fileprivate var previous: [Int32] = []
        fileprivate var queue = MergeQueue()
    }

    private static let dead = UInt32.max

    private func merge(
        _ preToken: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        scratch.symbols.removeAll(keepingCapacity: true)
        if isByteLevel {
            appendByteSymbols(preToken, to: &scratch.symbols)
        } else {
            appendCharacterSymbols(preToken, to: &scratch.symbols)
        }
        let count = scratch.symbols.count
        if count > 1 {
            scratch.next.removeAll(keepingCapacity: true)
            scratch.previous.removeAll(keepingCapacity: true)
            scratch.queue.removeAll()
            for index in 0..<count {
                scratch.next.append(index + 1 < count ? Int32(truncatingIfNeeded: index + 1) : -1)
                scratch.previous.append(Int32(truncatingIfNeeded: index - 1))
                if index + 1 < count { offer(index, index + 1, banned, &scratch) }
            }
            // A queued merge whose pair has changed still applies if the new pair makes the same token, as in the
            // `tokenizers` library; some vocabularies make one token by two merges.
            while let (rank, position) = scratch.queue.popLowest() {
                let left = scratch.symbols[position]
                let rightPosition = Int(scratch.next[position])
                guard left != Self.dead, rightPosition >= 0,
                    let current = pairs.rank(left, scratch.symbols[rightPosition]),
                    mergedIDs[Int(current)] == mergedIDs[rank]
                else { continue }
                scratch.symbols[position] = mergedIDs[rank]
                scratch.symbols[rightPosition] = Self.dead
                let following = Int(scratch.next[rightPosition])
                scratch.next[position] = Int32(truncatingIfNeeded: following)
                if following >= 0 { scratch.previous[following] = Int32(truncatingIfNeeded: position) }
                let before = Int(scratch.previous[position])
                if before >= 0 { offer(before, position, banned, &scratch) }
                if following >= 0 { offer(position, following, banned, &scratch) }
            }
        }
        for symbol in scratch.symbols where symbol != Self.dead { output.append(Int(symbol)) }
    }

    @inline(__always)
    private func offer(_ left: Int, _ right: Int, _ banned: [Bool]?, _ scratch: inout Scratch) {
        guard let rank = pairs.rank(scratch.symbols[left], scratch.symbols[right]) else { return }
        if let banned, banned[Int(mergedIDs[Int(rank)])] { return }
        scratch.queue.insert(rank: rank, position: left)
    }

    @inline(__always)
    private func appendByteSymbols(_ preToken: UnsafeBufferPointer<UInt8>, to symbols: inout [UInt32]) {
        var pendingUnknown = false
        for byte in preToken { append(byteSymbols[Int(byte)], to: &symbols, &pendingUnknown) }
        if pendingUnknown, let unknownID { symbols.append(unknownID) }
    }

    private func appendCharacterSymbols(_ preToken: UnsafeBufferPointer<UInt8>, to symbols: inout [UInt32]) {
        var pendingUnknown = false
        var start = 0
        while start < preToken.count {
            let end = min(start + UTF8Scan.length(ofLead: preToken[start]), preToken.count)
            let character = UnsafeBufferPointer(rebasing: preToken[start..<end])
            if let id = table.id(of: character) {
                append(.token(id), to: &symbols, &pendingUnknown)
            } else {
                let fallback = character.compactMap { fallbackIDs[Int($0)] }
                append(
                    fallback.count == character.count ? .fallback(fallback) : .unknown, to: &symbols, &pendingUnknown)
            }
            start = end
        }
        if pendingUnknown, let unknownID { symbols.append(unknownID) }
    }

    /// Appends one byte or character, deferring unknown ones so that a run of them can become one token.
    ///
    /// Byte fallbacks are appended before a deferred unknown token, as in the `tokenizers` library.
    @inline(__always)
    private func append(_ initial: InitialSymbols, to symbols: inout [UInt32], _ pendingUnknown: inout Bool) {
        switch initial {
        case .token(let id):
            if pendingUnknown, let unknownID { symbols.append(unknownID) }
            pendingUnknown = false
            symbols.append(id)
        case .fallback(let ids): symbols.append(contentsOf: ids)
        case .unknown:
            guard let unknownID else { return }
            if pendingUnknown, !fusesUnknown { symbols.append(unknownID) }
            pendingUnknown = true
        }
    }
}

/// A binary heap of pending merges, ordered by rank, then from left to right.
struct MergeQueue {
    /// Rank in the upper 32 bits, position in the lower 32.
    private var heap: [UInt64] = []

    mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

    @inline(__always)
    mutating func insert(rank: UInt32, position: Int) {
        let entry = UInt64(rank) << 32 | UInt64(truncatingIfNeeded: position)
        var index = heap.count
        heap.append(entry)
        while index > 0 {
            let parent = (index - 1) / 2
            if heap[parent] <= entry { break }
            heap[index] = heap[parent]
            index = parent
        }
        heap[index] = entry
    }

    @inline(__always)
    mutating func popLowest() -> (rank: Int, position: Int)? {
        guard let lowest = heap.first, let last = heap.popLast() else { return nil }
        let count = heap.count
        if count > 0 {
            var index = 0
            while true {
                var child = 2 * index + 1
                if child >= count { break }
                if child + 1 < count, heap[child + 1] < heap[child] { child += 1 }
                if heap[child] >= last { break }
                heap[index] = heap[child]
                index = child
            }
            heap[index] = last
        }
        return (Int(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
    }
}

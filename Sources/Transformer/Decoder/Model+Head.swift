import CheckpointIO

/// The final norm and the projection to logits, for the requested positions, in chunks of rows.
extension Model {
    /// The gathered hidden states of some positions, normed, and their logits `[rows, vocabulary]`.
    struct HeadChunk {
        var rows: Int
        /// The part and the row in it that each row's hidden state comes from.
        var sources: [(part: Int, row: Int)]
        var gathered: Floats
        var normed: Floats
        var logits: Floats
    }

    /// The number of rows whose logits take 128 MB; with fewer rows, reading the head's weights and their gradient
    /// would cost more.
    static func rowsInChunk(_ configuration: ModelConfiguration) -> Int {
        max(16, min(1024, (32 << 20) / configuration.vocabularySize))
    }

    func forEachChunk(_ count: Int, _ body: (Range<Int>) -> Void) {
        let rows = Self.rowsInChunk(configuration)
        var first = 0
        while first < count {
            let end = min(count, first + rows)
            body(first..<end)
            first = end
        }
    }

    func headChunk(_ parts: [BatchPart], _ positions: [Int]) -> HeadChunk {
        headWorkspace.reset()
        let hidden = configuration.hiddenSize
        let rows = positions.count
        let chunk = HeadChunk(
            rows: rows, sources: positions.map { locate($0, parts) }, gathered: headWorkspace.floats(rows * hidden),
            normed: headWorkspace.floats(rows * hidden),
            logits: headWorkspace.floats(rows * configuration.vocabularySize))
        for (row, source) in chunk.sources.enumerated() {
            (chunk.gathered + row * hidden).update(
                from: parts[source.part].pass.hidden + source.row * hidden, count: hidden)
        }
        RMSNorm.forward(
            .everyone, rows: rows, width: hidden, chunk.gathered, stride: hidden, weight: weights.finalNorm,
            epsilon: Float(configuration.rmsNormEpsilon), into: chunk.normed, outputStride: hidden)
        weights.head.forward(.everyone, rows: rows, chunk.normed, into: chunk.logits)
        return chunk
    }

    private func locate(_ position: Int, _ parts: [BatchPart]) -> (part: Int, row: Int) {
        for (index, part) in parts.enumerated() {
            // Binary search for the last place that starts at or before the position.
            var low = 0
            var high = part.places.count
            while low < high {
                let middle = (low + high) / 2
                if part.places[middle].whole <= position { low = middle + 1 } else { high = middle }
            }
            guard low > 0 else { continue }
            let place = part.places[low - 1]
            if position < place.whole + place.count { return (index, place.here + position - place.whole) }
        }
        preconditionFailure("position \(position) is outside the batch")
    }

    /// The scores of one chunk, and each row's log Σ e^z for the backward pass.
    struct ChunkScores {
        var scores: PositionScores
        var normalizers: [Float]
    }

    func scoreChunk(_ chunk: HeadChunk, _ positions: ArraySlice<ScoredPosition>, _ temperature: Float) -> ChunkScores {
        var own = ChunkScores(
            scores: PositionScores(
                logProbabilities: [Float](repeating: 0, count: chunk.rows),
                entropies: [Float](repeating: 0, count: chunk.rows)),
            normalizers: [Float](repeating: 0, count: chunk.rows))
        let first = positions.startIndex
        LogProbabilities.forward(
            .everyone, rows: chunk.rows, vocabulary: configuration.vocabularySize, chunk.logits,
            inverseTemperature: 1 / temperature, targets: { positions[first + $0].target },
            logProbabilities: &own.scores.logProbabilities, entropies: &own.scores.entropies,
            normalizers: &own.normalizers)
        return own
    }

    /// Computes the gradients of the head, the final norm and the parts' hidden states from those of the scores.
    func backwardChunk(
        _ chunk: HeadChunk, _ own: ChunkScores, _ positions: ArraySlice<ScoredPosition>, _ temperature: Float,
        _ loss: (logProbability: [Float], entropy: [Float]), _ stateGradients: [Floats], _ into: DecoderGradients
    ) {
        precondition(
            loss.logProbability.count == chunk.rows && (loss.entropy.isEmpty || loss.entropy.count == chunk.rows),
            "the loss returned gradients for another number of positions")
        if loss.logProbability.allSatisfy({ $0 == 0 }) && loss.entropy.allSatisfy({ $0 == 0 }) { return }
        let hidden = configuration.hiddenSize
        let first = positions.startIndex
        loss.entropy.withUnsafeBufferPointer { entropy in
            LogProbabilities.backward(
                .everyone, rows: chunk.rows, vocabulary: configuration.vocabularySize, chunk.logits,
                inverseTemperature: 1 / temperature, targets: { positions[first + $0].target },
                normalizers: own.normalizers, entropies: own.scores.entropies,
                logProbabilityGradient: loss.logProbability,
                entropyGradient: loss.entropy.isEmpty ? nil : entropy.baseAddress)
        }
        into.head.accumulate(.everyone, rows: chunk.rows, dy: chunk.logits, x: chunk.normed)
        // The normed rows are not needed any more; their gradient overwrites them.
        weights.head.backwardInput(.everyone, rows: chunk.rows, dy: chunk.logits, into: chunk.normed)
        let partial = headWorkspace.floats(EngineThreads.count * hidden)
        RMSNorm.backward(
            .everyone, rows: chunk.rows, width: hidden, chunk.gathered, stride: hidden, weight: weights.finalNorm,
            epsilon: Float(configuration.rmsNormEpsilon), dy: chunk.normed, dyStride: hidden, into: chunk.normed,
            dxStride: hidden, adding: false, weightGradient: into.finalNorm, partial: partial)
        for (row, source) in chunk.sources.enumerated() {
            VectorMath.add(
                chunk.normed + row * hidden, into: stateGradients[source.part] + source.row * hidden, hidden)
        }
    }
}

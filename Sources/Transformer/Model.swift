import Foundation
import Parallel

/// One place whose next-token log-probability is wanted: the logits at `position` of a packed batch score `target`.
public struct ScoredPosition: Sendable, Equatable {
    public var position: Int
    public var target: Int

    public init(position: Int, target: Int) {
        self.position = position
        self.target = target
    }
}

/// Natural-log probabilities of the targets, and entropies (nats) of the distributions they come from, at the
/// temperature asked for.
public struct PositionScores: Sendable {
    public var logProbabilities: [Float]
    public var entropies: [Float]
}

/// A decoder that scores tokens and computes gradients. Not for several threads at once: calls take turns.
public final class Model: @unchecked Sendable {
    /// Computes each layer's activations again in the backward pass instead of keeping them: about a third more
    /// arithmetic for a fraction of the memory.
    public var recomputesActivations = false

    let configuration: ModelConfiguration
    let products: ProductPrecision
    let weights: DecoderWeights
    let rotary: RotaryTables
    private let turn = NSLock()
    private var passes: [DecoderPass] = []
    let headWorkspace = Workspace()
    /// Gradients of the parts after the first, where several are computed at once.
    private var partGradients: [ModelParameters] = []

    /// Holds on to the memory that `weights` points into.
    private let owner: AnyObject
    /// Small models spend more on handing work around than on the work, so each thread takes whole sequences there.
    let isSmall: Bool

    /// - Parameter products: what the matrix products of its layers multiply; must be available on this processor.
    public init(_ parameters: ModelParameters, products: ProductPrecision = .fp32) {
        owner = parameters
        configuration = parameters.configuration
        self.products = products
        weights = DecoderWeights(parameters, products: products)
        rotary = RotaryTables(configuration)
        isSmall = Self.isSmall(configuration)
    }

    /// A model that scores and generates; computing gradients with it is a programming error.
    public init(_ parameters: CompactParameters, products: ProductPrecision = .fp32) {
        owner = parameters
        configuration = parameters.configuration
        self.products = products
        weights = DecoderWeights(parameters, products: products)
        rotary = RotaryTables(configuration)
        isSmall = Self.isSmall(configuration)
    }

    /// Frees the memory kept for the next pass.
    public func releaseWorkspace() {
        turn.withLock {
            passes = []
            partGradients = []
            headWorkspace.release()
        }
    }

    /// Logits `[positions][vocabulary]` at the given places of the packed batch.
    public func logits(_ batch: PackedBatch, positions: [Int]) -> [[Float]] {
        turn.withLock {
            let parts = runForward(batch, keeping: .nothing, positions: positions)
            var result: [[Float]] = []
            result.reserveCapacity(positions.count)
            forEachChunk(positions.count) { range in
                let chunk = headChunk(parts, range.map { positions[$0] })
                for row in range.indices {
                    let start = chunk.logits + (row - range.lowerBound) * configuration.vocabularySize
                    result.append(Array(UnsafeBufferPointer(start: start, count: configuration.vocabularySize)))
                }
            }
            return result
        }
    }

    /// Gives the hidden states of a pass, before the final norm, to `body`.
    func withForward<Result>(_ batch: PackedBatch, _ body: ([Part]) -> Result) -> Result {
        turn.withLock { body(runForward(batch, keeping: .nothing)) }
    }

    /// Log-probabilities and entropies at logits / `temperature`.
    public func score(_ batch: PackedBatch, _ positions: [ScoredPosition], temperature: Float = 1) -> PositionScores {
        turn.withLock {
            let parts = runForward(batch, keeping: .nothing, positions: positions.map(\.position))
            var scores = PositionScores(logProbabilities: [], entropies: [])
            forEachChunk(positions.count) { range in
                let chunk = headChunk(parts, positions[range].map(\.position))
                let own = scoreChunk(chunk, positions[range], temperature)
                scores.logProbabilities += own.scores.logProbabilities
                scores.entropies += own.scores.entropies
            }
            return scores
        }
    }

    /// Forward, then backward with the loss's gradients.
    ///
    /// `gradient(range, scores)` is called for one chunk of rows after the other with the log-probabilities and
    /// entropies of `positions[range]`; it returns dLoss/dlogp for each, and dLoss/dentropy (or nothing, for none).
    /// Parameter gradients are added to `gradients`.
    @discardableResult
    public func accumulateGradients(
        _ batch: PackedBatch, _ positions: [ScoredPosition], temperature: Float = 1, into gradients: ModelParameters,
        gradient: (Range<Int>, PositionScores) -> (logProbability: [Float], entropy: [Float])
    ) -> PositionScores {
        turn.withLock {
            let parts = runForward(batch, keeping: recomputesActivations ? .inputs : .everything)
            let into = DecoderWeights(gradients, products: products)
            let hidden = configuration.hiddenSize
            for part in parts { part.gradient = part.pass.workspace.zeros(part.pass.tokenCount * hidden) }
            var scores = PositionScores(logProbabilities: [], entropies: [])
            forEachChunk(positions.count) { range in
                let chunk = headChunk(parts, positions[range].map(\.position))
                let own = scoreChunk(chunk, positions[range], temperature)
                let loss = gradient(range, own.scores)
                backwardChunk(parts, chunk, own, positions[range], temperature, loss, into)
                scores.logProbabilities += own.scores.logProbabilities
                scores.entropies += own.scores.entropies
            }
            runBackward(parts, gradients)
            return scores
        }
    }

    // MARK: - Parts of a batch

    /// Some of a batch's sequences with the pass that computes them.
    final class Part {
        let pass: DecoderPass
        let batch: PackedBatch
        /// Where the part's tokens are in the whole batch: (first token there, first token here, count), ascending.
        let places: [(whole: Int, here: Int, count: Int)]
        var hidden: Floats!
        var gradient: Floats!

        init(_ pass: DecoderPass, _ batch: PackedBatch, _ places: [(whole: Int, here: Int, count: Int)]) {
            self.pass = pass
            self.batch = batch
            self.places = places
        }
    }

    private static func isSmall(_ configuration: ModelConfiguration) -> Bool {
        configuration.hiddenSize <= 320 && configuration.parameterCount < 16_000_000
    }

    private func sharesSequences(_ batch: PackedBatch) -> Bool {
        isSmall && EngineThreads.count > 1 && batch.parents.count { $0 == nil } >= 2 * EngineThreads.count
    }

    /// States of all tokens, or only of those at `positions`.
    private func runForward(
        _ batch: PackedBatch, keeping: DecoderPass.Keeping, positions: [Int]? = nil,
        onLayer: ((_ part: Part, _ layer: Int, _ queryKeyValue: UnsafePointer<Float>) -> Void)? = nil
    ) -> [Part] {
        let parts = cut(batch, into: sharesSequences(batch) ? EngineThreads.count : 1)
        let team = parts.count == 1 ? ThreadTeam.everyone : ThreadTeam.alone
        // A small model's products would have other bits beside other rows.
        let rows = parts.count == 1 && !isSmall ? positions.map { Set($0).sorted() } : nil
        ThreadTeam.everyone.forEach(parts.count) { index, _ in
            let part = parts[index]
            part.hidden = part.pass.forward(
                team, part.batch, weights, rotary: rotary, keeping: keeping, rows: rows,
                onLayer: onLayer.map { body in { body(part, $0, $1) } })
        }
        return parts
    }

    /// Logits after each prompt's last token; `onToken(prompt, position, layer, keys, values)` sees the keys and values
    /// of every token, from several threads at once.
    func prefill(
        _ prompts: [[Int]],
        _ onToken: (Int, Int, Int, _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>) -> Void
    ) -> [[Float]] {
        turn.withLock {
            withoutActuallyEscaping(onToken) { onToken in
                let batch = PackedBatch(prompts)
                let projected = configuration.projectedWidth
                let (queryWidth, keyValueWidth) = (configuration.queryWidth, configuration.keyValueWidth)
                let lasts = prompts.indices.map { batch.offsets[$0 + 1] - 1 }
                let parts = runForward(batch, keeping: .nothing, positions: lasts) { part, layer, qkv in
                    for place in part.places {
                        // Places are whole prompts, since prompts continue nothing; the one part of a batch left whole
                        // has one place for all, which the threads share.
                        ThreadTeam.everyone.split(place.count, grain: 256) { range, _ in
                            var prompt = 0
                            var end = batch.segmentCount
                            while end - prompt > 1 {
                                let middle = (prompt + end) / 2
                                if batch.offsets[middle] <= place.whole + range.lowerBound {
                                    prompt = middle
                                } else {
                                    end = middle
                                }
                            }
                            for offset in range {
                                let token = place.whole + offset
                                while token >= batch.offsets[prompt + 1] { prompt += 1 }
                                let keys = qkv + ((place.here + offset) * projected + queryWidth)
                                onToken(
                                    prompt, token - batch.offsets[prompt], layer, keys, keys + keyValueWidth)
                            }
                        }
                    }
                }
                let vocabulary = configuration.vocabularySize
                var result: [[Float]] = []
                forEachChunk(prompts.count) { range in
                    let chunk = headChunk(parts, Array(lasts[range]))
                    for row in 0..<chunk.rows {
                        result.append(
                            Array(UnsafeBufferPointer(start: chunk.logits + row * vocabulary, count: vocabulary)))
                    }
                }
                return result
            }
        }
    }

    private func runBackward(_ parts: [Part], _ gradients: ModelParameters) {
        if parts.count == 1 {
            parts[0].pass.backward(parts[0].gradient, weights, into: DecoderWeights(gradients, products: products))
            return
        }
        while partGradients.count < parts.count - 1 { partGradients.append(ModelParameters(configuration)) }
        ThreadTeam.everyone.forEach(parts.count) { index, _ in
            let into = index == 0 ? gradients : partGradients[index - 1]
            if index > 0 { into.clear() }
            parts[index].pass.backward(parts[index].gradient, weights, into: DecoderWeights(into, products: products))
        }
        let sum = gradients.values.baseAddress!
        ThreadTeam.everyone.split(gradients.values.count, grain: 65_536) { range, _ in
            for other in partGradients.prefix(parts.count - 1) {
                VectorMath.add(
                    other.values.baseAddress! + range.lowerBound, into: sum + range.lowerBound, range.count)
            }
        }
    }

    /// Cuts a batch into parts of about as many tokens; segments of one tree stay together.
    private func cut(_ batch: PackedBatch, into count: Int) -> [Part] {
        while passes.count < count { passes.append(DecoderPass(configuration)) }
        if count == 1 { return [Part(passes[0], batch, [(0, 0, batch.tokens.count)])] }
        let layout = BatchLayout(batch)
        var partOfSegment = [Int](repeating: 0, count: batch.segmentCount)
        var before = 0
        for tree in layout.trees {
            let size = tree.reduce(0) { $0 + layout.segments[$1].length }
            let part = min(count - 1, (2 * before + size) * count / (2 * max(1, batch.tokens.count)))
            for index in tree { partOfSegment[index] = part }
            before += size
        }
        return (0..<count).compactMap { part in
            var own = PackedBatch()
            var places: [(whole: Int, here: Int, count: Int)] = []
            var newIndex: [Int: Int] = [:]
            for index in 0..<batch.segmentCount where partOfSegment[index] == part {
                let range = batch.range(of: index)
                places.append((range.lowerBound, own.tokens.count, range.count))
                newIndex[index] = own.append(
                    Array(batch.tokens[range]), continuing: batch.parents[index].flatMap { newIndex[$0] })
            }
            return places.isEmpty ? nil : Part(passes[part], own, places)
        }
    }
}

import CheckpointIO
import Foundation
import Parallel

/// A position of a packed batch and the token whose log-probability its logits are to give.
public struct ScoredPosition: Sendable, Equatable {
    /// Index of a token in the batch.
    public var position: Int
    /// The token id to score as the next token.
    public var target: Int

    public init(position: Int, target: Int) {
        self.position = position
        self.target = target
    }
}

/// Scores of several positions at one temperature.
public struct PositionScores: Sendable {
    /// Natural logarithms of the targets' probabilities.
    public var logProbabilities: [Float]
    /// Entropies in nats of the distributions of the next token.
    public var entropies: [Float]
}

/// A decoder that scores tokens and computes gradients.
///
/// Concurrent calls run one after the other.
public final class Model: @unchecked Sendable {
    // Sendable because everything that changes is used while `memory` is held only.

    /// Whether the backward pass recomputes each layer's activations instead of keeping them, which takes about a third
    /// more arithmetic and a fraction of the memory.
    public var recomputesActivations = false

    /// The number format of what is kept where activations are recomputed.
    public var activationPrecision = ActivationPrecision.fp32

    /// The key of what is left out of adapters' inputs in gradients; nil to leave nothing out.
    package var adapterDropoutKey: (seed: UInt64, step: Int, slice: Int)? {
        didSet { gradientPasses = 0 }
    }

    /// The most parts that a small model's batches are cut into, for threads to share out; nil: as many as there are
    /// threads, on which the last bits of gradients then depend.
    package var fixedParts: Int?

    let configuration: ModelConfiguration
    let weights: DecoderWeights
    let rotary: RotaryTables
    /// Whether the model is so small that handing out work costs more than the work: threads then take whole sequences.
    let isSmall: Bool

    /// The memory of passes, which other models may share.
    private var memory = PassMemory()
    /// The number of gradient passes since the key of dropout was set.
    private var gradientPasses = 0
    private let adapters: Adapters?
    /// Gradients of all parts of a batch but the first.
    private var partGradients: [ModelParameters] = []
    /// Owns the memory that `weights` points into.
    private let owner: any ParameterStore

    /// - Parameters:
    ///   - parameters: the weights, which must not be written while the model computes.
    ///   - products: the precision of matrix products, which must be available on this processor.
    public convenience init(_ parameters: ModelParameters, products: ProductPrecision = .fp32) {
        self.init(store: parameters, nil, products)
    }

    /// A model that scores and generates; computing gradients with it is a programming error.
    package convenience init(_ parameters: CompactParameters, products: ProductPrecision = .fp32) {
        self.init(store: parameters, nil, products)
    }

    /// A model with adapters, whose gradients `accumulateGradients` computes for buffers that hold adapters only.
    package convenience init(
        _ base: some ParameterStore, adapters: Adapters?, products: ProductPrecision = .fp32
    ) {
        self.init(store: base, adapters, products)
    }

    private init(store: some ParameterStore, _ adapters: Adapters?, _ products: ProductPrecision) {
        owner = store
        self.adapters = adapters
        configuration = store.configuration
        weights = DecoderWeights(store, adapters, products: products)
        rotary = RotaryTables(configuration)
        isSmall = configuration.hiddenSize <= 320 && configuration.parameterCount < 16_000_000
    }

    /// Whether the first tokens that texts have in common are computed once for all of them.
    ///
    /// The results have the same bits as those of each text alone. A small model computes texts apart, on one thread
    /// each; with LongRoPE, the angles depend on the length of each text.
    package var sharesPrefixes: Bool {
        if case .longrope = configuration.ropeScaling { return false }
        return !isSmall && Attention(configuration).usesKernels
    }

    /// The memory of the head.
    var headWorkspace: Workspace { memory.head }

    /// Uses the memory of another model's passes instead of its own; the two then compute in turns.
    package func shareMemory(of other: Model) { memory = other.memory }

    /// Logits `[positions][vocabulary]` at the given positions of the packed batch.
    public func logits(_ batch: PackedBatch, positions: [Int]) -> [[Float]] {
        memory.turn.withLock { logits(runForward(batch, .discard, positions: positions), positions) }
    }

    private func logits(_ parts: [BatchPart], _ positions: [Int]) -> [[Float]] {
        let vocabulary = configuration.vocabularySize
        var result: [[Float]] = []
        result.reserveCapacity(positions.count)
        forEachChunk(positions.count) { range in
            let chunk = headChunk(parts, Array(positions[range]))
            for row in 0..<chunk.rows {
                result.append(Array(UnsafeBufferPointer(start: chunk.logits + row * vocabulary, count: vocabulary)))
            }
        }
        return result
    }

    /// Calls `body` with the hidden states of all tokens before the final norm.
    func withHiddenStates<Result>(_ batch: PackedBatch, _ body: ([BatchPart]) -> Result) -> Result {
        memory.turn.withLock { body(runForward(batch, .discard)) }
    }

    /// Log-probabilities and entropies of softmax(logits / `temperature`).
    public func score(_ batch: PackedBatch, _ positions: [ScoredPosition], temperature: Float = 1) -> PositionScores {
        memory.turn.withLock {
            let parts = runForward(batch, .discard, positions: positions.map(\.position))
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

    /// Runs the forward pass, then the backward pass with the gradient of a loss.
    ///
    /// - Parameters:
    ///   - batch: the sequences.
    ///   - positions: the positions that the loss depends on.
    ///   - temperature: divides the logits.
    ///   - gradients: the gradients of the parameters that it holds are added to these.
    ///   - gradient: receives the scores of `positions[range]`, one chunk after the other, and returns dLoss/dlogp for
    ///     each position, and dLoss/dentropy for each or for none.
    /// - Returns: the scores of all positions.
    @discardableResult
    public func accumulateGradients(
        _ batch: PackedBatch, _ positions: [ScoredPosition], temperature: Float = 1, into gradients: ModelParameters,
        gradient: (Range<Int>, PositionScores) -> (logProbability: [Float], entropy: [Float])
    ) -> PositionScores {
        memory.turn.withLock {
            let parts = runForward(
                batch, recomputesActivations ? .keepInputs(activationPrecision) : .keepAll,
                firstKept: gradients.trained.firstLayer(of: configuration) ?? 0, dropout: nextDropout())
            let into = DecoderGradients(gradients, of: weights)
            let stateGradients = parts.map {
                $0.pass.workspace.zeros($0.pass.tokenCount * configuration.hiddenSize)
            }
            var scores = PositionScores(logProbabilities: [], entropies: [])
            forEachChunk(positions.count) { range in
                let chunk = headChunk(parts, positions[range].map(\.position))
                let own = scoreChunk(chunk, positions[range], temperature)
                let loss = gradient(range, own.scores)
                backwardChunk(chunk, own, positions[range], temperature, loss, stateGradients, into)
                scores.logProbabilities += own.scores.logProbabilities
                scores.entropies += own.scores.entropies
            }
            runBackward(parts, stateGradients, gradients)
            return scores
        }
    }

    // MARK: - Prompts

    /// Logits `[prompts][vocabulary]` after each prompt's last token.
    ///
    /// `onToken(prompt, position, layer, keys, values)` receives the keys and values of every token, from several
    /// threads at once.
    func prefill(
        _ prompts: [[Int]],
        _ onToken: (Int, Int, Int, _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>) -> Void
    ) -> [[Float]] {
        memory.turn.withLock {
            withoutActuallyEscaping(onToken) { onToken in
                let prefix = sharesPrefixes ? PackedBatch.sharedPrefix(of: prompts) : 0
                let batch = PackedBatch(prompts, sharing: prefix)
                // The segment of the first prompt; the one before holds what all have in common.
                let first = prefix > 0 ? 1 : 0
                let projected = configuration.projectedWidth
                let (queryWidth, keyValueWidth) = (configuration.queryWidth, configuration.keyValueWidth)
                let lasts = prompts.indices.map { batch.offsets[first + $0 + 1] - 1 }
                let parts = runForward(batch, .discard, positions: lasts) { places, layer, qkv in
                    for place in places {
                        // A place is one prompt, or all of them if the batch is not cut; threads then share its tokens.
                        ThreadTeam.everyone.split(place.count, grain: 256) { range, _ in
                            var segment = Self.segment(of: place.whole + range.lowerBound, in: batch)
                            for offset in range {
                                let token = place.whole + offset
                                while token >= batch.offsets[segment + 1] { segment += 1 }
                                let keys = qkv + ((place.here + offset) * projected + queryWidth)
                                if segment < first {
                                    for prompt in prompts.indices {
                                        onToken(prompt, token, layer, keys, keys + keyValueWidth)
                                    }
                                } else {
                                    let position = prefix + token - batch.offsets[segment]
                                    onToken(segment - first, position, layer, keys, keys + keyValueWidth)
                                }
                            }
                        }
                    }
                }
                return logits(parts, lasts)
            }
        }
    }

    /// The index of the segment that contains a token.
    private static func segment(of token: Int, in batch: PackedBatch) -> Int {
        var segment = 0
        var end = batch.segmentCount
        while end - segment > 1 {
            let middle = (segment + end) / 2
            if batch.offsets[middle] <= token { segment = middle } else { end = middle }
        }
        return segment
    }

    // MARK: - Parts of a batch

    /// Consecutive tokens of a part: their first index in the whole batch and in the part, and their number.
    typealias Place = (whole: Int, here: Int, count: Int)

    /// Some of a batch's sequences, with the pass that computes them.
    struct BatchPart {
        let pass: DecoderPass
        /// Ascending.
        let places: [Place]
    }

    /// Computes the hidden states of all tokens, or at least of those at `positions`.
    private func runForward(
        _ batch: PackedBatch, _ policy: ActivationPolicy, firstKept: Int = 0, positions: [Int]? = nil,
        dropout: AdapterDropout? = nil,
        onLayer: ((_ places: [Place], _ layer: Int, _ queryKeyValue: UnsafePointer<Float>) -> Void)? = nil
    ) -> [BatchPart] {
        let roots = batch.parents.count { $0 == nil }
        let partCount = fixedParts.map { min($0, roots / 2) } ?? EngineThreads.count
        let sharesSequences = isSmall && dropout == nil && partCount > 1 && roots >= 2 * partCount
        let pieces = sharesSequences ? cut(batch, into: partCount) : [(batch, [(0, 0, batch.tokens.count)])]
        let workspaces = memory.workspaces(pieces.count)
        let team = pieces.count == 1 ? ThreadTeam.everyone : ThreadTeam.alone
        // A small model computes all rows, because its products have other bits next to other rows.
        let rows = pieces.count == 1 && !isSmall ? positions.map { Set($0).sorted() } : nil
        var parts = [BatchPart?](repeating: nil, count: pieces.count)
        parts.withUnsafeMutableBufferPointer { parts in
            ThreadTeam.everyone.forEach(pieces.count) { index, _ in
                let (own, places) = pieces[index]
                let pass = DecoderPass(
                    configuration, workspaces[index], team, own, rotary: rotary, policy, firstKept: firstKept,
                    dropout: dropout)
                pass.forward(weights, rows: rows, onLayer: onLayer.map { body in { body(places, $0, $1) } })
                parts[index] = BatchPart(pass: pass, places: places)
            }
        }
        return parts.compactMap(\.self)
    }

    /// What the next gradient pass leaves out of adapters' inputs.
    private func nextDropout() -> AdapterDropout? {
        guard let key = adapterDropoutKey, let rate = adapters?.record.dropout, rate > 0 else { return nil }
        defer { gradientPasses += 1 }
        return AdapterDropout(rate: rate, seed: key.seed, step: key.step, pass: key.slice << 32 | gradientPasses)
    }

    private func runBackward(_ parts: [BatchPart], _ stateGradients: [Floats], _ gradients: ModelParameters) {
        if partGradients.first.map({ $0.trained != gradients.trained }) ?? false { partGradients = [] }
        // The sum of parts is added to gradients in bfloat16 once, when all parts are done.
        let direct = parts.count > 1 && gradients.precision == .bf16 ? 0 : 1
        while partGradients.count < parts.count - direct {
            partGradients.append(ModelParameters(configuration, gradients.trained))
        }
        ThreadTeam.everyone.forEach(parts.count) { index, _ in
            let into = index < direct ? gradients : partGradients[index - direct]
            if index >= direct { into.clear() }
            parts[index].pass.backward(
                stateGradients[index], weights, into: DecoderGradients(into, of: weights))
        }
        guard parts.count > 1 else { return }
        guard direct > 0 else { return gradients.add(Array(partGradients.prefix(parts.count))) }
        ThreadTeam.everyone.split(gradients.values.count, grain: 65_536) { range, _ in
            for other in partGradients.prefix(parts.count - 1) {
                VectorMath.add(
                    other.start + range.lowerBound, into: gradients.start + range.lowerBound, range.count)
            }
        }
    }

    /// Cuts a batch into parts with about equally many tokens; segments that share keys stay together.
    private func cut(_ batch: PackedBatch, into count: Int) -> [(batch: PackedBatch, places: [Place])] {
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
            var places: [Place] = []
            var newIndex: [Int: Int] = [:]
            for index in 0..<batch.segmentCount where partOfSegment[index] == part {
                let range = batch.range(of: index)
                places.append((range.lowerBound, own.tokens.count, range.count))
                newIndex[index] = own.append(
                    Array(batch.tokens[range]), continuing: batch.parents[index].flatMap { newIndex[$0] })
            }
            return places.isEmpty ? nil : (own, places)
        }
    }
}

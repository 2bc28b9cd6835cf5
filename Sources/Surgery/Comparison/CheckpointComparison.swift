import CheckpointIO
import OrderedJSON
import Tokenization

/// Options of `CheckpointComparison`.
public struct ComparisonOptions: Sendable {
    /// Selects tensors by name.
    public var includesTensor: @Sendable (String) -> Bool = { _ in true }
    /// Whether to compare optimizer moments and adapters, too.
    public var includesOptimizer = true

    /// Creates options that compare everything.
    public init() {}
}

/// Compares two checkpoints chunk by chunk on all cores.
///
/// Tensors with equal digests are not read, and chunks with equal stored bytes are not decoded. Each core holds one
/// pair of decoded chunks.
public enum CheckpointComparison {
    /// Compares two checkpoints.
    ///
    /// - Parameters:
    ///   - a: the first checkpoint.
    ///   - b: the second checkpoint.
    ///   - options: what to compare.
    ///   - progress: receives the logical bytes of both files compared so far.
    /// - Returns: the differences.
    /// - Throws: an error of reading, including damage in a tensor that must be decoded.
    public static func compare(
        _ a: CheckpointFile, _ b: CheckpointFile, options: ComparisonOptions = ComparisonOptions(),
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> ComparisonReport {
        let controls = controlTokens(a, b)
        let interesting = Set(controls.flatMap { [$0.idA, $0.idB] }.compactMap(\.self))
        let pairings = pairs(a, b, in: .weights).filter { options.includesTensor($0.name) }.map { pair in
            TensorPairing(
                pair.a.map { (a, $0) }, pair.b.map { (b, $0) }, name: pair.name,
                keepsRowChanges: [VocabularyTensors.embeddingName, VocabularyTensors.headName].contains(pair.name))
        }
        let tensors = try TensorComparison.measure(pairings, rowsOfInterest: interesting, progress: progress)
        // Reading a large vocabulary takes longer than comparing two equal files.
        let needsText = tensors.contains { $0.rowChanges != nil }
        let tokenizers = try TokenizerComparison(a, b)
        let texts =
            try !needsText
            ? nil : tokenizers.textsB ?? b.metadata.tokenizer.map { try TokenTextTable(JSONMembers($0.json[...])) }
        func text(_ id: Int) -> String { texts?.text(of: id) ?? "id \(id)" }
        var optimizer: OptimizerComparison?
        if options.includesOptimizer { optimizer = try OptimizerComparison(a, b) }
        let adapters = options.includesOptimizer ? try AdapterComparison(a, b) : nil
        return ComparisonReport(
            a: ComparisonReport.Side(a), b: ComparisonReport.Side(b), relation: LineageRelation(a, b),
            config: differences(a, b) { $0.config }, sameConfiguration: haveSameConfiguration(a, b),
            generationConfig: differences(a, b) { $0.generationConfig },
            sameChatTemplate: a.metadata.chatTemplate == b.metadata.chatTemplate,
            tokenizer: tokenizers, sameTies: a.metadata.tiedTensors == b.metadata.tiedTensors,
            tensors: tensors, controlTokens: controls.map { $0.withRows(from: tensors, tokenText: text) },
            movedRows: MovedRow.largest(in: tensors, tokenText: text), optimizer: optimizer, adapters: adapters,
            modePreference: ModePreferenceChange(a.metadata, b.metadata),
            metrics: MetricChange.between(a.metadata, b.metadata))
    }

    /// The settings that differ; a GGUF file has only those that llama.cpp reads, so the others say nothing.
    private static func differences(
        _ a: CheckpointFile, _ b: CheckpointFile, _ text: (CheckpointMetadata) -> String?
    ) -> [KeyDifference] {
        let all = KeyDifference.between(text: text(a.metadata), text(b.metadata))
        guard a.origin?.format == .gguf || b.origin?.format == .gguf else { return all }
        return all.filter { $0.a != nil && $0.b != nil && !$0.path.isEmpty }
    }

    private static func haveSameConfiguration(_ a: CheckpointFile, _ b: CheckpointFile) -> Bool {
        guard a.origin != nil || b.origin != nil, let left = try? ModelConfiguration(json: a.metadata.config) else {
            return false
        }
        return left == (try? ModelConfiguration(json: b.metadata.config))
    }

    /// The logical bytes of both checkpoints, for a progress bar.
    package static func byteCount(_ a: CheckpointFile, _ b: CheckpointFile) -> Int {
        (a.tensors() + b.tensors()).reduce(0) { $0 + $1.description.byteCount }
    }

    /// Pairs the tensors of both checkpoints by name.
    static func pairs(
        _ a: CheckpointFile, _ b: CheckpointFile, in group: TensorGroup
    ) -> [(name: String, a: StoredTensor?, b: StoredTensor?)] {
        let left = Dictionary(
            a.tensors(in: group).map { ($0.description.name, $0) }, uniquingKeysWith: { first, _ in first })
        let right = Dictionary(
            b.tensors(in: group).map { ($0.description.name, $0) }, uniquingKeysWith: { first, _ in first })
        return Set(left.keys).union(right.keys).sorted().map { ($0, left[$0], right[$0]) }
    }

    private static func controlTokens(_ a: CheckpointFile, _ b: CheckpointFile) -> [ControlTokenComparison] {
        let left = a.metadata.tokenizer
        let right = b.metadata.tokenizer
        return [
            ("<think>", left?.thinkID, right?.thinkID), ("</think>", left?.thinkEndID, right?.thinkEndID),
            ("<short>", left?.shortID, right?.shortID),
        ].filter { $0.1 != nil || $0.2 != nil }.map { ControlTokenComparison(name: $0.0, idA: $0.1, idB: $0.2) }
    }
}

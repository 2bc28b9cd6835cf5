import CheckpointIO
import Foundation
import Transformer

/// Compares two models on the same texts: which mode each prefers, and where their next-token predictions differ.
///
/// The models are loaded one after the other, and each processes all texts once.
package struct BehaviorComparison: Sendable {
    /// One position in one text.
    package struct Place: Sendable {
        /// The Kullback-Leibler divergence of the predictions, in nats.
        package let divergence: Double
        /// The last 60 characters or fewer before the position.
        package let context: String
        /// The next token; nil at the end of a prompt, where the response would start.
        package let following: String?
        package let topA: (text: String, probability: Double)
        package let topB: (text: String, probability: Double)
        package let isFirstResponse: Bool
    }

    /// Statistics over all positions, at temperature 1 over the tokens that both models have, in nats.
    package struct Divergence: Sendable {
        package let textCount: Int
        package let placeCount: Int
        package let mean: Double
        package let percentile95: Double
        package let largest: Double
        /// Mean at the first token of responses.
        package let meanAtFirstResponse: Double
        /// Share of positions at which both models have the same most likely token.
        package let topAgreement: Double
        /// Mean −log P of the next token, over positions that have one.
        package let lossA: Double
        package let lossB: Double
        package let entropyA: Double
        package let entropyB: Double
        /// The positions with the largest divergence, of which at most one is the start of a response.
        package let worst: [Place]
    }

    /// A table with one snapshot; nil if the model has no control tokens.
    package let preferenceA: ProbeTable?
    package let preferenceB: ProbeTable?
    package let divergence: Divergence?
    /// Reasons why something could not be compared.
    package let notes: [String]

    /// Compares two checkpoints.
    ///
    /// - Parameters:
    ///   - a: the first model.
    ///   - b: the second model.
    ///   - path: problems or pairs.
    ///   - modes: the texts of two modes; nil for the control tokens.
    ///   - limit: the maximum number of prompts, chosen evenly over the levels.
    ///   - progress: receives the number of finished models.
    /// - Throws: `DataFileError`, and errors of loading a model and rendering a prompt.
    package init(
        _ a: CheckpointFile, _ b: CheckpointFile, probe path: String, modes: ModeNames? = nil, limit: Int = 64,
        progress: ((Int) -> Void)? = nil
    ) throws {
        let problems = try ModeProbe.problems(in: path, limit: limit)
        let responses = try Self.responses(path, to: Set(problems.map(\.promptText)))
        var notes: [String] = []
        let left = try ModelSide(a, problems, responses, modes)
        let right = try ModelSide(b, problems, responses, modes)
        for (name, side) in [("A", left), ("B", right)] where side.beginnings == nil {
            notes.append("\(name) has no control tokens, so it has no preference for a mode; --modes names others")
        }
        // Responses start with control tokens, so both models need them, with the same ids.
        let isComparable = left.sequences(with: right.encoder != nil) == right.sequences(with: left.encoder != nil)
        if !isComparable {
            notes.append("the tokenizers or chat templates differ on these texts, so positions cannot be compared")
        }
        let texts = isComparable ? left.sequences(with: right.encoder != nil) : []
        let tableA = try left.measure(texts)
        progress?(1)
        let tableB = try right.measure(texts)
        progress?(2)
        preferenceA = tableA.preference
        preferenceB = tableB.preference
        divergence =
            texts.isEmpty
            ? nil
            : try Self.divergence(
                tableA.states, tableB.states, texts, promptCount: problems.count, right.reader,
                promptLengths: right.prompts.map(\.count))
        self.notes = notes
    }

    /// The pairs among the rows, by problem.
    private static func responses(_ path: String, to problems: Set<String>) throws -> [String: Pair] {
        let rows = try DataFile.rows(path: path)
        guard rows.contains(where: { $0["think"] != nil || $0["short"] != nil }) else { return [:] }
        return Dictionary(
            try PairFile.read(path: path).filter { problems.contains($0.promptText) }.map { ($0.promptText, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    private static func divergence(
        _ a: FinalStates, _ b: FinalStates, _ texts: [[Int]], promptCount: Int, _ reader: PromptReader,
        promptLengths: [Int]
    ) throws -> Divergence {
        let following = texts.flatMap { text in text.indices.map { $0 + 1 < text.count ? text[$0 + 1] : nil } }
        let places = try TokenDivergence.measure(a, b, following: following)
        // Texts are prompts, then prompts with a response.
        var firsts: Set<Int> = []
        var starts: [Int] = []
        var start = 0
        for (index, text) in texts.enumerated() {
            starts.append(start)
            if index < promptCount { firsts.insert(start + promptLengths[index] - 1) }
            start += text.count
        }
        let order = places.indices.filter { places[$0].divergence.isFinite }
            .sorted { (places[$1].divergence, $0) < (places[$0].divergence, $1) }
        let values = order.map { places[$0].divergence }
        var worst: [Int] = []
        var contexts: Set<String> = []
        for index in order where worst.count < 6 {
            if firsts.contains(index), worst.contains(where: firsts.contains) { continue }
            let text = starts.lastIndex { $0 <= index } ?? 0
            // The same words in several prompts count once.
            let context = reader.tokenizer.decode(texts[text][...(index - starts[text])].suffix(4))
            if firsts.contains(index) || contexts.insert(context).inserted { worst.append(index) }
        }
        let scored = places.filter { $0.logProbabilityA.isFinite && $0.logProbabilityB.isFinite }
        return Divergence(
            textCount: texts.count, placeCount: places.count, mean: mean(values),
            percentile95: values.isEmpty ? .nan : values[min(values.count - 1, values.count / 20)],
            largest: values.first ?? .nan, meanAtFirstResponse: mean(firsts.map { places[$0].divergence }),
            topAgreement: mean(places.map { $0.topA.token == $0.topB.token ? 1 : 0 }),
            lossA: mean(scored.map { -$0.logProbabilityA }), lossB: mean(scored.map { -$0.logProbabilityB }),
            entropyA: mean(places.map(\.entropyA)), entropyB: mean(places.map(\.entropyB)),
            worst: worst.map { index in
                let text = starts.lastIndex { $0 <= index } ?? 0
                let tokens = texts[text][...(index - starts[text])]
                func name(_ top: (token: Int, probability: Double)) -> (text: String, probability: Double) {
                    (reader.tokenizer.decode([top.token]), top.probability)
                }
                return Place(
                    divergence: places[index].divergence,
                    context: String(reader.tokenizer.decode(tokens.suffix(30)).suffix(60)),
                    following: following[index].map { reader.tokenizer.decode([$0]) }, topA: name(places[index].topA),
                    topB: name(places[index].topB), isFirstResponse: firsts.contains(index))
            })
    }

    private static func mean(_ values: [Double]) -> Double {
        let finite = values.filter(\.isFinite)
        return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
    }
}

/// One of the two models, with its encoding of the texts.
private struct ModelSide {
    let file: CheckpointFile
    let reader: PromptReader
    /// nil without control tokens.
    let encoder: PromptEncoder?
    /// The tokens of the modes; nil without control tokens or other modes.
    let beginnings: ModeBeginnings?
    let problems: [Problem]
    let prompts: [[Int]]
    private let responses: [[Int]]

    init(_ file: CheckpointFile, _ problems: [Problem], _ pairs: [String: Pair], _ modes: ModeNames?) throws {
        (reader, encoder, beginnings, prompts) = try UnusableCheckpoint.naming(file) {
            let reader = try PromptReader(file.metadata)
            return (
                reader, reader.control == nil ? nil : try PromptEncoder(file.metadata),
                reader.control == nil && modes == nil ? nil : try ModeProbe.beginnings(of: reader, modes),
                try reader.prompts(for: problems)
            )
        }
        let encoder = encoder
        responses = zip(problems, prompts).flatMap { problem, prompt -> [[Int]] in
            guard let encoder, let pair = pairs[problem.promptText] else { return [] }
            return [pair.think.map { encoder.response($0) }, pair.short.map { encoder.response(short: $0) }]
                .compactMap { $0.map { prompt + $0 } }
        }
        self.file = file
        self.problems = problems
    }

    /// The prompts, then prompts with a response if the other model has control tokens too.
    func sequences(with otherHasControlTokens: Bool) -> [[Int]] {
        prompts + (otherHasControlTokens ? responses : [])
    }

    func measure(_ texts: [[Int]]) throws -> (preference: ProbeTable?, states: FinalStates) {
        let parameters = try ModelParameters(file)
        var table: ProbeTable?
        if let beginnings {
            var snapshot = ModeProbe.emptyTable(problems)
            ModeProbe.append(
                beginnings.probabilities(prompts, Model(parameters)), to: &snapshot, step: file.metadata.step)
            table = snapshot
        }
        return (table, try FinalStates(file, parameters, texts))
    }
}

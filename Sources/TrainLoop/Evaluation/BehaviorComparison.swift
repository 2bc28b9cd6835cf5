import CheckpointIO
import Foundation
import Transformer

/// Two models asked the same things: which mode each prefers, and where their predictions of the next token part.
///
/// One model after the other is loaded, goes over all texts once and is let go.
public struct BehaviorComparison: Sendable {
    /// One place in one text.
    public struct Place: Sendable {
        public let divergence: Double
        /// The end of the text up to there, at most 60 characters.
        public let context: String
        /// What follows there; nil at the end of a text, where the model would answer.
        public let following: String?
        public let topA: (text: String, probability: Double)
        public let topB: (text: String, probability: Double)
        public let isFirstResponse: Bool
    }

    /// Over the tokens both models have, at temperature 1; in nats.
    public struct Divergence: Sendable {
        public let textCount: Int
        public let placeCount: Int
        public let mean: Double
        public let percentile95: Double
        public let largest: Double
        /// Mean where the response would begin.
        public let meanAtFirstResponse: Double
        /// Share of places where the same token is likeliest.
        public let topAgreement: Double
        /// Mean −log P of what follows, where something does.
        public let lossA: Double
        public let lossB: Double
        public let entropyA: Double
        public let entropyB: Double
        /// Where they part most, at most one of them the beginning of a response, since those are alike.
        public let worst: [Place]
    }

    /// One snapshot each; nil where a model has no control tokens.
    public let preferenceA: ProbeTable?
    public let preferenceB: ProbeTable?
    public let divergence: Divergence?
    /// Why something could not be compared.
    public let notes: [String]

    /// - Parameters:
    ///   - path: problems or pairs, JSON lines; up to `limit` of the prompts are used, as evenly over the levels as they
    ///     allow.
    ///   - progress: gets the number of models done.
    /// - Throws: `DataFileError`, what loading a model or rendering a prompt throws.
    public init(
        _ a: CheckpointFile, _ b: CheckpointFile, probe path: String, limit: Int = 64, progress: ((Int) -> Void)? = nil
    ) throws {
        let problems = ModeProbe.choose(try ProblemFile.read(path: path), count: limit, seed: 0)
        let responses = try Self.responses(path, to: Set(problems.map(\.problem)))
        var notes: [String] = []
        let left = try ModelSide(a, problems, responses)
        let right = try ModelSide(b, problems, responses)
        for (name, side) in [("A", left), ("B", right)] where side.encoder == nil {
            notes.append("\(name) has no control tokens, so it has no preference for a mode")
        }
        // Responses open with control tokens, so both must have them, and by the same ids.
        let isComparable = left.sequences(with: right.encoder != nil) == right.sequences(with: left.encoder != nil)
        if !isComparable {
            notes.append("tokenizers or templates cut the texts differently, so places cannot be compared")
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

    /// Both responses of the pairs among the rows, by problem.
    private static func responses(_ path: String, to problems: Set<String>) throws -> [String: Pair] {
        let rows = try DataFile.rows(path: path)
        guard rows.contains(where: { $0["think"] != nil || $0["short"] != nil }) else { return [:] }
        return Dictionary(
            try PairFile.read(path: path).filter { problems.contains($0.problem) }.map { ($0.problem, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    private static func divergence(
        _ a: FinalStates, _ b: FinalStates, _ texts: [[Int]], promptCount: Int, _ reader: PromptReader,
        promptLengths: [Int]
    ) throws -> Divergence {
        let following = texts.flatMap { text in text.indices.map { $0 + 1 < text.count ? text[$0 + 1] : nil } }
        let places = try TokenDivergence.measure(a, b, following: following)
        // A text is a prompt, or a prompt and a response to it.
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
            // The same words in many prompts are one finding.
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

/// One of the two models and the texts as it reads them.
private struct ModelSide {
    let file: CheckpointFile
    let reader: PromptReader
    /// Nil without control tokens.
    let encoder: PromptEncoder?
    let problems: [Problem]
    let prompts: [[Int]]
    private let responses: [[Int]]

    init(_ file: CheckpointFile, _ problems: [Problem], _ pairs: [String: Pair]) throws {
        (reader, encoder, prompts) = try UnusableCheckpoint.naming(file) {
            let reader = try PromptReader(file.metadata)
            return (
                reader, reader.control == nil ? nil : try PromptEncoder(file.metadata),
                try problems.map { try reader.prompt(for: $0.problem) }
            )
        }
        let encoder = encoder
        responses = zip(problems, prompts).flatMap { problem, prompt -> [[Int]] in
            guard let encoder, let pair = pairs[problem.problem] else { return [] }
            return [pair.think.map { encoder.response($0) }, pair.short.map { encoder.response(short: $0) }]
                .compactMap { $0.map { prompt + $0 } }
        }
        self.file = file
        self.problems = problems
    }

    /// The prompts, then the responses behind their prompts.
    func sequences(with otherHasControlTokens: Bool) -> [[Int]] {
        prompts + (otherHasControlTokens ? responses : [])
    }

    func measure(_ texts: [[Int]]) throws -> (preference: ProbeTable?, states: FinalStates) {
        let parameters = try ModelParameters(file)
        var table: ProbeTable?
        if let encoder {
            var snapshot = ModeProbe.emptyTable(problems)
            try ModeProbe.record(&snapshot, step: file.metadata.step, encoder: encoder, parameters: parameters)
            table = snapshot
        }
        return (table, try FinalStates(file, parameters, texts))
    }
}

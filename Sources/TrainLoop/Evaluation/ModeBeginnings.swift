import CheckpointIO
import Tokenization
import Transformer

/// The texts with which responses of two modes begin.
package struct ModeNames: Sendable, Equatable {
    package let think: String
    package let short: String

    package init(think: String, short: String) {
        (self.think, self.short) = (think, short)
    }

    /// Those of the control tokens.
    package static let control = ModeNames(think: "<think>", short: "<short>")
}

/// The tokens with which responses of two modes begin.
package struct ModeBeginnings: Sendable {
    private let think: [Int]
    private let short: [Int]

    init(_ control: ControlTokens) { (think, short) = ([control.think], [control.short]) }

    /// Encodes any two texts, each of one token or several.
    ///
    /// - Throws: `ModeNameError` if a text is empty or both have the same tokens.
    init(_ names: ModeNames, _ tokenizer: Tokenizer) throws {
        let tokens = [names.think, names.short].map {
            tokenizer.encode($0, parsingAddedTokens: true, position: .afterText)
        }
        (think, short) = (tokens[0], tokens[1])
        guard !think.isEmpty, !short.isEmpty, think != short else { throw ModeNameError(names: names) }
    }

    /// The probability of each mode to begin the response to each prompt, at temperature 1 over the whole vocabulary.
    ///
    /// That of a text of several tokens is the product over its tokens.
    func probabilities(_ prompts: [[Int]], _ model: Model) -> [(think: Double, short: Double)] {
        let generator = Generator(model)
        if think.count == 1, short.count == 1 {
            let both = generator.firstTokenProbabilities(prompts, of: [think[0], short[0]])
            return both.map { ($0[0], $0[1]) }
        }
        func product(_ tokens: [Int]) -> [Double] {
            tokens.indices.reduce([Double](repeating: 1, count: prompts.count)) { result, index in
                let next = generator.firstTokenProbabilities(
                    prompts.map { $0 + tokens[..<index] }, of: [tokens[index]])
                return zip(result, next).map { $0 * $1[0] }
            }
        }
        return zip(product(think), product(short)).map { ($0, $1) }
    }
}

/// Two texts that do not tell two modes apart.
package struct ModeNameError: Error, CustomStringConvertible {
    let names: ModeNames

    package var description: String {
        "--modes \(names.think.debugDescription) \(names.short.debugDescription): give two texts that begin responses "
            + "with different tokens"
    }
}

/// The preference for a mode at each checkpoint of a run.
package enum RunProbe {
    /// Asks the model of each checkpoint, one after the other.
    ///
    /// - Parameters:
    ///   - states: the checkpoints by step, which are opened when it is their turn.
    ///   - problems: what they are asked.
    ///   - modes: the texts of the modes; nil for the control tokens.
    ///   - progress: receives the number of checkpoints that were asked.
    /// - Returns: a table with a snapshot for each step.
    /// - Throws: errors of opening and loading a model and of rendering a prompt.
    package static func table(
        _ states: [(step: Int, open: () throws -> CheckpointFile)], _ problems: [Problem],
        modes: ModeNames?,
        progress: (Int) -> Void
    ) throws -> ProbeTable {
        var table = ModeProbe.emptyTable(problems)
        for (index, state) in states.enumerated() {
            let file = try state.open()
            let (reader, beginnings) = try UnusableCheckpoint.naming(file) {
                let reader = try PromptReader(file.metadata)
                return (reader, try ModeProbe.beginnings(of: reader, modes))
            }
            let prompts = try reader.prompts(for: problems)
            ModeProbe.append(
                beginnings.probabilities(prompts, Model(try ModelParameters(file))), to: &table,
                step: state.step)
            progress(index + 1)
        }
        return table
    }
}

extension ModeProbe {
    /// The tokens of the modes: those of the texts, or else the control tokens.
    ///
    /// - Throws: `ControlTokenError.noControlTokens`, `ModeNameError`.
    static func beginnings(of reader: PromptReader, _ modes: ModeNames?) throws -> ModeBeginnings {
        if let modes { return try ModeBeginnings(modes, reader.tokenizer) }
        guard let control = reader.control else { throw ControlTokenError.noControlTokens }
        return ModeBeginnings(control)
    }
}

import CheckpointIO
import OrderedJSON
import Transformer

/// The longest prompt that a model reads; a longer one is refused before it costs time or memory.
package struct PromptLimit: Sendable, Equatable {
    /// The longest prompt in tokens, whatever number of positions a model states.
    package static let maximumTokens = 1 << 20
    /// The longest text that is encoded, in bytes.
    package static let maximumBytes = 8 << 20
    /// Even long runs of spaces take a token in this many bytes.
    private static let bytesPerToken = 256

    /// The longest prompt in tokens.
    package let tokens: Int
    /// The longest text of a prompt in bytes of UTF-8.
    var bytes: Int { min(Self.bytesPerToken * tokens, Self.maximumBytes) }
    private let isModel: Bool

    init(_ configuration: ModelConfiguration) {
        let positions = configuration.reachablePositions
        isModel = positions <= Self.maximumTokens
        tokens = min(positions, Self.maximumTokens)
    }

    /// Checks a text before it is encoded, once or `repeated` times.
    ///
    /// - Throws: `PromptError.tooLong`.
    func check(text: String, repeated: Int = 1) throws {
        let count = text.utf8.count * repeated
        guard count <= bytes else {
            throw PromptError.tooLong(text: text, count: count, unit: "bytes", limit: bytes, source: source)
        }
    }

    /// Checks the ids of a prompt, whose text is for the error.
    ///
    /// - Throws: `PromptError.tooLong`.
    func check(ids: [Int], of text: String) throws {
        guard ids.count <= tokens else {
            throw PromptError.tooLong(text: text, count: ids.count, unit: "tokens", limit: tokens, source: source)
        }
    }

    private var source: String { isModel ? "for the model's \(tokens) positions" : "for a prompt" }

    /// Checks a text that is encoded without a model.
    ///
    /// - Throws: `PromptError.tooLong`.
    package static func check(text: String) throws {
        guard text.utf8.count <= maximumBytes else {
            throw PromptError.tooLong(
                text: text, count: text.utf8.count, unit: "bytes", limit: maximumBytes, source: "for a text")
        }
    }
}

extension ModelConfiguration {
    /// The positions that a model reads: those that the configuration states, stretched by rotary scaling.
    package var reachablePositions: Int {
        let stretched: Double
        switch ropeScaling {
        case .none, .llama3, .longrope: stretched = 0
        case .linear(let factor), .dynamic(let factor): stretched = Double(maxPositionEmbeddings) * factor
        case .yarn(let factor, _, _, _, let originalLength, _): stretched = Double(originalLength) * factor
        }
        return max(maxPositionEmbeddings, Int(saturating: stretched))
    }
}

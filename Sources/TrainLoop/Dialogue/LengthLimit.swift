import CheckpointIO

/// The positions of a model, beyond which texts are refused unless the user goes on (`--allow-long`).
package struct LengthLimit: Sendable {
    package let positions: Int

    package init(_ configuration: ModelConfiguration) { positions = configuration.reachablePositions }

    /// The longest answer after a prompt, at least one token.
    package func longestAnswer(after prompt: Int) -> Int { max(1, positions - prompt) }

    /// Checks the length of prompts with their answers.
    ///
    /// - Parameters:
    ///   - prompt: tokens of the longest prompt.
    ///   - newTokens: tokens of an answer at most.
    ///   - flag: the flag that sets `newTokens`.
    /// - Throws: `LengthError`.
    package func check(prompt: Int, newTokens: Int, flag: String = "--max-new-tokens") throws {
        guard let excess = excess(prompt: prompt, newTokens: newTokens, flag: flag) else { return }
        let fitting = positions - prompt
        let shorter =
            fitting > 0 ? "give \(flag) \(fitting) or less" : "leave out prompts of \(positions) tokens and more"
        throw LengthError(excess: excess, shorter: shorter)
    }

    /// Says that a prompt with its answer may exceed the positions; nil if it cannot.
    package func excess(prompt: Int, newTokens: Int, flag: String = "--max-new-tokens") -> String? {
        guard newTokens > positions - prompt else { return nil }
        return "the longest prompt (\(counted(prompt, "token"))) and \(flag) \(newTokens) exceed the model's "
            + "\(positions) positions (max_position_embeddings)"
    }

    /// Checks the length of texts to train on.
    ///
    /// - Throws: `LengthError`.
    package func check(length: Int, flag: String) throws {
        guard length > positions else { return }
        throw LengthError(
            excess: "\(flag) \(length) exceeds the model's \(positions) positions (max_position_embeddings)",
            shorter: "give \(flag) \(positions) or less")
    }
}

/// Texts are longer than the positions of the model.
package struct LengthError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(excess: String, shorter: String) {
        description = "\(excess); \(shorter), \(Self.otherRemedies)"
    }

    /// What to do about lengths beyond the positions besides shortening them.
    package static let otherRemedies =
        "stretch the positions (ckpt config MODEL --set 'rope_scaling={\"rope_type\":\"yarn\",\"factor\":4.0}' -o NEW), "
        + "or go on beyond them with --allow-long"
}

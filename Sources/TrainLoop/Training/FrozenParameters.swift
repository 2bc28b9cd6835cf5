import CheckpointIO
import Transformer

/// The parameters that a run leaves as they are.
struct FrozenParameters: Sendable {
    let names: Set<String>

    enum Failure: Error, CustomStringConvertible {
        case matchesNothing(String)
        case matchesEverything

        var description: String {
            switch self {
            case .matchesNothing(let pattern):
                "--freeze \(pattern) matches no parameter; `ckpt inspect --tensors` lists them"
            case .matchesEverything: "--freeze leaves nothing to train"
            }
        }
    }

    /// - Parameter others: names that are frozen beside those that match.
    /// - Throws: `Failure` where a pattern matches no parameter, or all together every one.
    init(_ patterns: [String], and others: [String] = [], in configuration: ModelConfiguration) throws {
        let all = configuration.parameters.map(\.name)
        var names = Set(others)
        for text in patterns {
            let pattern = NamePattern(text)
            let matches = all.filter(pattern.matches)
            guard !matches.isEmpty else { throw Failure.matchesNothing(text) }
            names.formUnion(matches)
        }
        guard names.count < all.count else { throw Failure.matchesEverything }
        self.names = names
    }

    /// Takes the frozen parameters out of the gradient, and so out of its norm.
    func clear(_ gradients: ModelParameters) {
        for name in names { gradients[name]?.update(repeating: 0) }
    }
}

import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// The policy that a KL term holds on to: a checkpoint's weights, bound by their digest.
struct ReferencePolicy {
    /// Of the weights as stored in the file they were read from.
    let weightsDigest: String
    /// The file as it was named; nil for the start of the run.
    let path: String?
    private let model: Model

    /// Why there is no reference to go on with.
    enum Failure: Error, CustomStringConvertible {
        case otherArchitecture(String)
        case differs(String, expected: String, found: String)
        case gone(String, digest: String, reason: String)

        var description: String {
            switch self {
            case .otherArchitecture(let path):
                "\(path): is a model of another shape or vocabulary than the one being trained; it cannot be the reference"
            case .differs(let path, let expected, let found):
                "\(path): holds weights \(found.prefix(12)), not the \(expected.prefix(12)) of the run's reference policy; "
                    + "give that one with --reference"
            case .gone(let path, let digest, let reason):
                "the reference policy of the run (weights \(digest.prefix(12))) cannot be read: \(reason); it was \(path), "
                    + "give it with --reference"
            }
        }
    }

    /// - Throws: `Failure.otherArchitecture`, and what loading throws.
    init(
        _ file: CheckpointFile, path: String?, precision: WeightPrecision,
        products: ProductPrecision, for configuration: ModelConfiguration
    ) throws {
        let own = try ModelConfiguration(json: file.metadata.config)
        guard own.parameters == configuration.parameters else { throw Failure.otherArchitecture(file.path) }
        weightsDigest = file.weightsDigest
        self.path = path
        model = try precision.model(file, products: products)
    }

    /// Finds the reference of a run that `state` belongs to.
    ///
    /// - Parameters:
    ///   - given: `--reference`, which stands in for a file that has moved.
    ///   - stored: what the state says about it: `path` (null: the start) and `weights_digest`.
    static func resuming(
        _ state: CheckpointFile, step: Int, given: CheckpointFile?, stored: JSON,
        precision: WeightPrecision, products: ProductPrecision, for configuration: ModelConfiguration
    ) throws -> ReferencePolicy {
        let path = stored["path"]?.string
        let digest = stored["weights_digest"]?.string
        let file: CheckpointFile
        if let given {
            file = given
        } else if path == nil, step == 0 {
            // The state is the start.
            file = state
        } else {
            let start = URL(fileURLWithPath: state.path).deletingLastPathComponent().path
            let place = path ?? RunFolder(existing: start).checkpointPath(step: 0)
            do {
                file = try CheckpointFile(path: place)
            } catch {
                throw Failure.gone(place, digest: digest ?? "", reason: "\(error)")
            }
        }
        let reference = try ReferencePolicy(
            file, path: path, precision: precision, products: products, for: configuration)
        guard digest == nil || digest == reference.weightsDigest else {
            throw Failure.differs(file.path, expected: digest ?? "", found: reference.weightsDigest)
        }
        return reference
    }

    /// Log-probabilities of every response token of `sequences`, at the rollout's temperature.
    func logProbabilities(_ sequences: [TrainingSequence], temperature: Double, tokenBudget: Int) -> [[Double]] {
        PackedSequences.score(sequences, model, temperature: temperature, tokenBudget: tokenBudget)
    }
}

extension PackedSequences {
    /// Log-probabilities `[sequence][token]` of the response tokens, by forward passes of at most `tokenBudget` tokens.
    static func score(
        _ sequences: [TrainingSequence], _ model: Model, temperature: Double, tokenBudget: Int
    ) -> [[Double]] {
        var result = sequences.map { [Double](repeating: 0, count: $0.response.count) }
        for indices in microBatches(sequences, indices: Array(sequences.indices), tokenBudget: tokenBudget) {
            let packed = PackedSequences(sequences, indices: indices)
            let scores = model.score(packed.batch, packed.positions, temperature: Float(temperature))
            for (owner, value) in zip(packed.owners, scores.logProbabilities) {
                result[owner.sequence][owner.token] = Double(value)
            }
        }
        return result
    }
}

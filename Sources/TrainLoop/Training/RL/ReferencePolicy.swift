import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// The policy that the KL term keeps the model close to: the weights of a checkpoint, identified by their digest.
struct ReferencePolicy {
    let model: Model
    /// Whether it is the model that the run started from.
    let isStart: Bool
    /// The checkpoint's path as given; nil if the reference is the start of the run.
    private let path: String?
    /// The digest of the weights as the run's states record it; nil until the start of the run is saved.
    private var digest: String?

    /// The base that adapters are trained on, which is in memory anyway.
    init(baseOf adapted: AdaptedWeights, _ options: RLOptions) {
        model = adapted.model(products: options.optimizer.products, withAdapters: false)
        path = nil
        digest = adapted.adapters.record.baseDigest
        isStart = true
    }

    /// The reference of a new run: `--reference`, or the start of the run.
    ///
    /// - Throws: `ReferencePolicyError.otherArchitecture`, and errors of loading the weights.
    init(_ given: CheckpointFile?, start: CheckpointFile, _ options: RLOptions, for configuration: ModelConfiguration)
        throws
    {
        let file = given ?? start
        model = try Self.load(file, options, for: configuration)
        path = given?.path
        digest = given?.weightsDigest
        isStart = file.weightsDigest == start.weightsDigest
    }

    /// The reference of a resumed run, as its state records it; `given` replaces a file that was moved.
    ///
    /// - Throws: `ReferencePolicyError`, and errors of loading the weights.
    init(
        resuming state: CheckpointFile, step: Int, given: CheckpointFile?, stored: JSON, _ options: RLOptions,
        for configuration: ModelConfiguration
    ) throws {
        path = stored["path"]?.string
        digest = stored["weights_digest"]?.string
        isStart = stored["is_start"]?.bool ?? false
        let file: CheckpointFile
        if let given {
            file = given
        } else if path == nil, step == 0 {
            file = state
        } else {
            let run = URL(fileURLWithPath: state.path).deletingLastPathComponent().path
            let location = path ?? RunFolder(existing: run).checkpointPath(step: 0)
            do {
                file = try CheckpointFile(path: location)
            } catch {
                throw ReferencePolicyError.unreadable(location, digest: digest ?? "", reason: "\(error)")
            }
        }
        model = try Self.load(file, options, for: configuration)
        if let digest, digest != file.weightsDigest {
            throw ReferencePolicyError.differs(file.path, expected: digest, found: file.weightsDigest)
        }
    }

    private static func load(
        _ file: CheckpointFile, _ options: RLOptions, for configuration: ModelConfiguration
    ) throws -> Model {
        let own = try ModelConfiguration(json: file.metadata.config)
        guard own.parameters == configuration.parameters else {
            throw ReferencePolicyError.otherArchitecture(file.path)
        }
        return try options.loss.referencePrecision.model(file, products: options.optimizer.products)
    }

    /// Takes note of the first state of the run, in which a resumed run finds the reference if it is the start.
    ///
    /// - Throws: errors of reading the file.
    mutating func startWasSaved(to path: String) throws {
        if digest == nil { digest = try CheckpointFile(path: path).weightsDigest }
    }

    /// The record of the reference in a state.
    var json: JSON {
        [
            "path": path.map { .string($0) } ?? .null, "weights_digest": digest.map { .string($0) } ?? .null,
            "is_start": .bool(isStart),
        ]
    }
}

/// A reference policy that cannot be used.
enum ReferencePolicyError: Error, CustomStringConvertible {
    case otherArchitecture(String)
    case differs(String, expected: String, found: String)
    case unreadable(String, digest: String, reason: String)

    var description: String {
        switch self {
        case .otherArchitecture(let path):
            "\(path): is a model of another shape or vocabulary than the one being trained; it cannot be the reference"
        case .differs(let path, let expected, let found):
            "\(path): holds weights \(found.prefix(12)), not the \(expected.prefix(12)) of the run's reference policy; "
                + "give that one with --reference"
        case .unreadable(let path, let digest, let reason):
            "the reference policy of the run (weights \(digest.prefix(12))) cannot be read: \(reason); it was \(path), "
                + "give it with --reference"
        }
    }
}

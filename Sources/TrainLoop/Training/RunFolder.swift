import CheckpointIO
import Foundation

/// The folder of one training run: `step-000000.h5` …, `metrics.jsonl`, `tensorboard/`, `rollouts/`.
public struct RunFolder: Sendable {
    public let path: String
    private let claim: RunClaim?

    public enum Failure: Error, CustomStringConvertible {
        case notEmpty(String)
        case nothingToResume(String)
        case cannotCreate(String, reason: String)
        case inUse(String)

        public var description: String {
            switch self {
            case .notEmpty(let path):
                "\(path): already holds a run; give another folder, --resume \(path) to go on, or --force to replace it"
            case .nothingToResume(let path): "\(path): holds no complete checkpoint of a training state to resume from"
            case .cannotCreate(let path, let reason): "\(path): cannot create the folder: \(reason)"
            case .inUse(let path): "\(path): another process is training in this folder; wait until it has ended"
            }
        }
    }

    /// An existing folder, as it is.
    public init(existing path: String) {
        self.path = Self.withoutTrailingSlash(path)
        claim = nil
    }

    /// An existing folder to go on in. Nobody else may train in it while this value or a copy is there.
    ///
    /// - Throws: `Failure.inUse`.
    public init(resuming path: String) throws {
        self.path = Self.withoutTrailingSlash(path)
        claim = try RunClaim(self.path)
    }

    /// A folder for a new run, which nobody else may train in while this value or a copy is there.
    ///
    /// - Parameter replacing: removes the checkpoints and logs of an earlier run; nothing else in the folder.
    /// - Throws: `Failure.notEmpty` where a run is there and is not to be replaced, `Failure.inUse`.
    public init(creating path: String, replacing: Bool) throws {
        let path = Self.withoutTrailingSlash(path)
        self.path = path
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw Failure.cannotCreate(path, reason: (error as NSError).localizedDescription)
        }
        claim = try RunClaim(path)
        let earlier =
            steps().map(checkpointPath)
            + [metricsPath, rolloutsPath, tensorBoardPath].filter(FileManager.default.fileExists)
        guard !earlier.isEmpty else { return }
        guard replacing else { throw Failure.notEmpty(path) }
        for file in earlier { try FileManager.default.removeItem(atPath: file) }
    }

    private static func withoutTrailingSlash(_ path: String) -> String {
        path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    public var metricsPath: String { path + "/metrics.jsonl" }
    public var rolloutsPath: String { path + "/rollouts" }
    public var tensorBoardPath: String { path + "/tensorboard" }

    public func checkpointPath(step: Int) -> String {
        let digits = String(step)
        return path + "/step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".h5"
    }

    /// The steps that have a file, ascending.
    public func steps() -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.compactMap { name in
            guard name.hasPrefix("step-"), name.hasSuffix(".h5") else { return nil }
            return Int(name.dropFirst(5).dropLast(3))
        }.sorted()
    }

    /// The newest file that can be gone on from: complete, readable, with optimizer and training state.
    public func latestTrainingState() throws -> CheckpointFile {
        for step in steps().reversed() {
            guard let file = try? CheckpointFile(path: checkpointPath(step: step)) else { continue }
            if file.metadata.kind == .training { return file }
        }
        throw Failure.nothingToResume(path)
    }

    /// Makes all but the newest `count` training states plain models, by copying compressed chunks.
    public func retire(keepingLast count: Int) throws {
        for step in steps().dropLast(count) {
            let file = try CheckpointFile(path: checkpointPath(step: step))
            guard file.metadata.kind == .training else { continue }
            var metadata = file.metadata
            metadata.kind = .model
            metadata.optimizer = nil
            metadata.trainingState = nil
            let weights = file.tensors(in: .weights).map {
                TensorToWrite(group: .weights, description: $0.description, content: .copy(file, $0))
            }
            _ = try CheckpointWriter.write(metadata, tensors: weights, to: file.path, overwrite: true)
        }
    }
}

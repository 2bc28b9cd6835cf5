import Foundation

/// One process at a time trains in a run's folder: two would take each other's rows out of the logs and go on from states
/// that the other is about to replace. A lock on the folder itself, so that it leaves nothing behind and ends with the
/// process, however that ends.
final class RunClaim: Sendable {
    private let descriptor: Int32

    /// - Throws: `RunFolder.Failure.inUse`. What cannot be opened is reported where it is read, and a file system
    ///   without locks is no reason not to train.
    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        close(descriptor)
        throw RunFolder.Failure.inUse(path)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }
}

import Foundation

/// A lock on a run's folder, which one process at a time can hold.
///
/// Two processes training in one folder would drop each other's rows from the logs, and resume from states that the
/// other is about to replace. The lock is on the folder itself: it leaves no file behind and ends with the process,
/// however that ends.
final class RunLock: Sendable {
    private let descriptor: Int32

    /// Locks the folder.
    ///
    /// A folder that cannot be opened is not an error here, because reading it reports the reason; a file system
    /// without locks does not prevent training.
    ///
    /// - Throws: `RunFolderError.inUse` if another process holds the lock.
    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        close(descriptor)
        throw RunFolderError.inUse(path)
    }

    /// Whether a process holds the lock of a folder.
    ///
    /// The lock is tried for a moment, and shared, so that two who ask do not see each other.
    static func isHeld(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }
}

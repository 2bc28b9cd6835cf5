import Glibc
import Synchronization

/// The checkpoints that are open, so that the deltas of a run share the files that they are based on.
enum OpenedCheckpoints {
    /// What tells a file from another, also from one that has replaced it.
    private struct Identity: Hashable {
        let device: UInt
        let inode: UInt
        let byteCount: Int
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            device = UInt(status.st_dev)
            inode = UInt(status.st_ino)
            byteCount = Int(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private struct Reference {
        weak var file: CheckpointFile?
    }

    private static let opened = Mutex<[Identity: Reference]>([:])

    /// The open file at a path, or nil.
    static func file(at path: String) -> CheckpointFile? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return opened.withLock { $0[Identity(status)]?.file }
    }

    /// Makes an open file available to `file(at:)` until it is closed; `descriptor` is its file descriptor.
    static func remember(_ file: CheckpointFile, descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        opened.withLock { opened in
            opened = opened.filter { $0.value.file != nil }
            opened[Identity(status)] = Reference(file: file)
        }
    }
}

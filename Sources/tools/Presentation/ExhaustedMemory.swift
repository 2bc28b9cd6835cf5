import CSystem
import CheckpointIO
import Foundation
import Parallel

/// The end of the process when the system refuses memory that was not asked for with a check.
///
/// Swift's arrays and strings trap then. If the limits of the process are nearly reached, the trap becomes one line and
/// exit status 2; any other trap is a defect, and is shown by the runtime as usual.
enum ExhaustedMemory {
    private static let signals = [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS]
    /// What the runtime had set for each signal.
    nonisolated(unsafe) private static let earlier = UnsafeMutablePointer<sigaction>.allocate(capacity: 65)
    /// Address space under which a request of ordinary size is refused; larger blocks are checked before.
    private static let nearly = 64 << 20
    nonisolated(unsafe) private static var message: [UInt8] = []
    /// Address space that is given back before temporary files are removed, which takes a little memory.
    nonisolated(unsafe) private static var reserve: UnsafeMutableRawPointer?
    private static let reserveBytes = 4 << 20
    nonisolated(unsafe) private static var isEnding = false

    /// Sets the handlers: of refused large blocks, and of traps if the address space of the process has a limit.
    static func prepare() {
        LargeAllocation.refused = { byteCount in
            let text =
                "ckpt: error: out of memory: the system refuses \(byteCount >> 20) MiB; raise the limits of this process "
                + "(ulimit -v, ulimit -d), or use a smaller model or a larger machine\n"
            _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            TemporaryPaths.removeAllIfPossible()
            _exit(2)
        }
        guard SystemMemory.addressSpace != nil else { return }
        // Each thread would reserve 64 MiB for a heap of its own; see mallopt(3).
        mallopt(M_ARENA_MAX, 1)
        message = Array(
            ("ckpt: error: out of memory: the limits of this process leave too little address space; raise them "
                + "(ulimit -v, ulimit -d), or give less to do at a time\n").utf8)
        reserve = mmap(nil, reserveBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        let stack = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
        var place = stack_t(ss_sp: stack, ss_flags: 0, ss_size: 1 << 16)
        sigaltstack(&place, nil)
        for signal in signals {
            var action = sigaction()
            action.sa_flags = SA_ONSTACK | Int32(bitPattern: UInt32(SA_NODEFER))
            action.__sigaction_handler.sa_handler = { ExhaustedMemory.handle($0) }
            sigaction(signal, &action, earlier + Int(signal))
        }
    }

    /// Runs in the handler of a signal, so it allocates nothing before the message is written.
    private static func handle(_ signal: Int32) {
        // A trap while temporary files are removed.
        if isEnding { _exit(2) }
        let probe = mmap(nil, nearly, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard probe == MAP_FAILED else {
            munmap(probe, nearly)
            sigaction(signal, earlier + Int(signal), nil)
            raise(signal)
            return
        }
        isEnding = true
        message.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        munmap(reserve, reserveBytes)
        TemporaryPaths.removeAllIfPossible()
        _exit(2)
    }
}

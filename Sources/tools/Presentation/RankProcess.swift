import ArgumentParser
import Foundation
import Parallel
import Ranks
import Synchronization
import Transformer

/// This process as one of the ranks that an MPI launcher started.
enum RankProcess {
    private static let started = Mutex<RankGroup?>(nil)

    /// Starts MPI if a launcher started the process; from then on other ranks than 0 are silent.
    ///
    /// Ranks that share processors and memory divide them.
    ///
    /// - Throws: `RankError`.
    static func start() throws -> RankGroup {
        let environment = ProcessInfo.processInfo.environment
        let ranks: RankGroup
        do { ranks = try RankGroup.start(environment) } catch {
            // All ranks of a machine see the same.
            if !MPILauncher.isFirstOnMachine(environment) { StandardStreams.silence() }
            throw error
        }
        started.withLock { $0 = ranks }
        guard ranks.count > 1 else { return ranks }
        if !ranks.isRoot { StandardStreams.silence() }
        SystemMemory.share(among: ranks.onThisMachine.processes)
        let processors = ProcessInfo.processInfo.activeProcessorCount
        let own = max(1, processors / ranks.onThisMachine.sharingProcessors)
        // Equal on all ranks, because bits may depend on the number.
        EngineThreads.configure(count: try ranks.gather(own).min() ?? own)
        return ranks
    }

    /// - Throws: `ValidationError` if a flag that is for one process is given to several.
    static func refuseSeveral(_ ranks: RankGroup, for flag: String?) throws {
        guard let flag, ranks.count > 1 else { return }
        throw ValidationError("\(flag) is for one process; start the command without mpirun or srun")
    }

    /// Ends MPI after a command that went well.
    static func finish() { started.withLock { $0 }?.finish() }

    /// Reports the error that ends the command on all ranks, once, and returns the exit status.
    static func fail(_ error: any Error, _ report: (_ prefix: String) -> Void) -> Int32 {
        guard let ranks = started.withLock({ $0 }), ranks.count > 1 else {
            report("")
            return 2
        }
        // A silent rank has heard of the failure from the rank that reports it.
        if case .ended(let other, let status) = error as? RankError {
            ranks.fail(status: status, knowing: [other]) {}
            return status
        }
        ranks.fail(status: 2) {
            StandardStreams.speak()
            report(ranks.isRoot ? "" : "rank \(ranks.rank): ")
        }
        return 2
    }
}

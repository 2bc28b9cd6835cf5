/// Why work over several ranks cannot start or go on.
package enum RankError: Error, Equatable, CustomStringConvertible {
    /// The launcher's plugin is not installed.
    case noPlugin(launcher: String, folders: [String])
    /// The plugin cannot be opened.
    case unusablePlugin(path: String, reason: String)
    /// The launcher started ranks that MPI does not see.
    case otherLauncher(launcher: String, started: Int, found: Int, version: String)
    /// A launcher started several processes without MPI.
    case withoutMPI(launcher: String, count: Int)
    case notPowerOfTwo(Int)
    /// MPI reported an error.
    case mpi(String)
    /// Another rank failed and ended with this status; it has reported why.
    case ended(byRank: Int, status: Int32)
    /// The ranks do different things, which is an error of the program or of the inputs.
    case outOfStep(rank: Int, does: String, other: Int)
    /// The ranks differ in something that must be equal.
    case differ(String)

    package var description: String {
        switch self {
        case .noPlugin(let launcher, let folders):
            "\(launcher) started this process, but the MPI plugin is not in \(folders.joined(separator: " or ")); build "
                + "it with scripts/install-mpi and the launcher's mpicc"
        case .unusablePlugin(let path, let reason):
            "\(path): the MPI plugin cannot be opened: \(reason); build it again with scripts/install-mpi"
        case .otherLauncher(let launcher, let started, let found, let version):
            "\(launcher) started \(started) ranks, but the MPI plugin sees \(found) (\(version)); build it with the "
                + "mpicc of that launcher: scripts/install-mpi --mpicc COMPILER"
        case .withoutMPI(let launcher, let count):
            "\(launcher) started \(count) processes without MPI, which would overwrite each other's files; give srun "
                + "--mpi=pmix or --mpi=pmi2"
        case .notPowerOfTwo(let count):
            "\(count) ranks were started; gradients are added in a binary tree, so give 1, 2, 4, 8 … ranks"
        case .mpi(let text): "MPI: \(text)"
        case .ended(let rank, _): "rank \(rank) failed"
        case .outOfStep(let rank, let does, let other):
            "rank \(rank) and rank \(other) do different things (rank \(rank): \(does)); start all ranks with the same "
                + "command and files"
        case .differ(let what):
            "\(what); start all ranks with the same program, command and files on processors of the same kind"
        }
    }
}

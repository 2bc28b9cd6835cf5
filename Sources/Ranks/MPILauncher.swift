/// The MPI launcher that started this process, as its environment says.
package struct MPILauncher: Equatable, Sendable {
    /// Its name for messages.
    package let name: String
    /// The kinds of MPI whose plugins may belong to it, the likeliest first.
    package let kinds: [String]
    /// The ranks it started; nil if the environment does not say.
    package let count: Int?

    package init(name: String, kinds: [String], count: Int?) {
        self.name = name
        self.kinds = kinds
        self.count = count
    }

    /// Whether a process is the first of its machine, or of all if the environment does not say.
    package static func isFirstOnMachine(_ environment: [String: String]) -> Bool {
        let names = [
            "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "PMIX_RANK", "PMI_RANK",
        ]
        return names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first ?? 0 == 0
    }

    /// The launcher that an environment tells of; nil if there is none.
    ///
    /// - Throws: `RankError.withoutMPI` if srun started several tasks without MPI.
    package static func detect(_ environment: [String: String]) throws -> MPILauncher? {
        func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
        if let count = number("OMPI_COMM_WORLD_SIZE") {
            return MPILauncher(name: "Open MPI's mpirun", kinds: ["openmpi"], count: count)
        }
        // srun starts the tasks of a step. The batch script itself is a single task, which is no rank.
        let tasks = number("SLURM_STEP_NUM_TASKS") ?? 1
        let isStep = environment["SLURM_STEP_ID"] != nil && tasks > 1
        if environment["PMIX_RANK"] != nil {
            return MPILauncher(
                name: isStep ? "srun" : "an MPI launcher (PMIx)", kinds: ["openmpi", "mpich"],
                count: isStep ? tasks : nil)
        }
        if environment["PMI_RANK"] != nil {
            return MPILauncher(
                name: isStep ? "srun" : "MPICH's mpiexec", kinds: ["mpich", "openmpi"],
                count: number("PMI_SIZE") ?? (isStep ? tasks : nil))
        }
        if isStep, environment["SLURM_PROCID"] != nil { throw RankError.withoutMPI(launcher: "srun", count: tasks) }
        return nil
    }
}

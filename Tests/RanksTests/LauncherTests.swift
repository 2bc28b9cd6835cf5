import Ranks
import Testing

/// What the environment says of a launcher.
@Suite struct LauncherTests {
    @Test func noLauncher() throws {
        #expect(try MPILauncher.detect([:]) == nil)
        // A batch script of Slurm, whose commands run once.
        #expect(try MPILauncher.detect(["SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "5"]) == nil)
        #expect(
            try MPILauncher.detect(["SLURM_PROCID": "0", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"]) == nil)
    }

    @Test func launchersOfMPI() throws {
        let openMPI = try MPILauncher.detect(["OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "1"])
        #expect(openMPI?.count == 4 && openMPI?.kinds == ["openmpi"])
        let hydra = try MPILauncher.detect(["PMI_RANK": "1", "PMI_SIZE": "2"])
        #expect(hydra?.count == 2 && hydra?.kinds.first == "mpich")
        let slurm = try MPILauncher.detect([
            "PMIX_RANK": "3", "SLURM_PROCID": "3", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8",
        ])
        #expect(slurm?.count == 8 && slurm?.name == "srun")
    }

    /// Tasks of srun that do not know of each other would write the same files.
    @Test func tasksWithoutMPI() {
        #expect(throws: RankError.withoutMPI(launcher: "srun", count: 4)) {
            try MPILauncher.detect(["SLURM_PROCID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"])
        }
    }

    @Test func aMissingPluginIsNamed() {
        let environment = ["OMPI_COMM_WORLD_SIZE": "2", "CKPT_MPI_PLUGINS": "/nowhere"]
        let error = #expect(throws: RankError.self) { try RankGroup.start(environment) }
        #expect(error == .noPlugin(launcher: "Open MPI's mpirun", folders: ["/nowhere"]))
        #expect(error?.description.contains("scripts/install-mpi") == true)
    }

    /// One rank needs no plugin, and is known to be launched.
    @Test func oneRank() throws {
        let alone = try RankGroup.start(["OMPI_COMM_WORLD_SIZE": "1", "CKPT_MPI_PLUGINS": "/nowhere"])
        #expect(alone.isRoot && alone.count == 1 && alone.isLaunched)
        #expect(try alone.gather(7) == [7] && alone.fromRoot { "x" } == "x" && alone.any(true))
        #expect(alone.segments == [0] && alone.equalCuts(100) == [0, 100])
        #expect(try !RankGroup.start([:]).isLaunched)
    }
}

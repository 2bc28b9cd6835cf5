import ArgumentParser
import TrainLoop

/// The machines that `--dry-run` predicts the time of a step on.
struct ForecastArguments: ParsableArguments {
    @Option(help: "With --dry-run: also predict a step on this many MPI ranks, one on each machine like this one.")
    var ranks: Int?

    @Option(help: "With --ranks: the network's bandwidth in Gb/s, in each direction. Default: 10.")
    var bandwidth: Double?

    func validate() throws {
        if let ranks {
            guard ranks > 0, ranks <= 1 << 16, ranks.nonzeroBitCount == 1 else {
                throw ValidationError("--ranks must be 1, 2, 4, 8 …")
            }
        }
        if let bandwidth {
            guard bandwidth > 0, bandwidth.isFinite else { throw ValidationError("--bandwidth must be above 0") }
            guard ranks != nil else { throw ValidationError("--bandwidth goes with --ranks N") }
        }
    }

    /// - Throws: `ValidationError` if the flags were given without a dry run.
    func check(dryRun: Bool) throws {
        guard dryRun || ranks == nil else {
            throw ValidationError("--ranks goes with --dry-run; mpirun or srun starts a run on several ranks")
        }
    }

    /// The prediction, as lines; empty if none was asked for.
    func text(_ step: RankForecast.Step, shardsMoments: Bool) -> String {
        guard let ranks else { return "" }
        let gigabits = bandwidth ?? 10
        func forecast(_ ranks: Int) -> RankForecast {
            RankForecast(step, ranks: ranks, bandwidth: gigabits * 1e9, shardsMoments: shardsMoments && ranks > 1)
        }
        let (one, all) = (forecast(1), forecast(ranks))
        func time(_ seconds: Double) -> String {
            seconds < 60 ? Format.number(seconds) + " s" : Format.duration(seconds)
        }
        func row(_ name: String, _ value: String) -> String { "  \(Format.column(name, 36)) \(value)\n" }
        var text =
            "a step on \(Format.counted(ranks, "rank")) at \(Format.number(gigabits)) Gb/s: "
            + "\(time(all.seconds)), \(Format.number(one.seconds / all.seconds)) times as fast as on one\n"
        if all.sampling > 0 {
            let isBound = step.longestAnswer >= step.sampling / Double(ranks)
            text += row("sampling", time(all.sampling) + (isBound ? ", bound by the longest answer" : ""))
        }
        text += row("forward and backward", time(all.passes))
        text += row("sum of gradients", "\(time(all.exchange)), \(Format.bytes(Int(all.bytes))) each way")
        text += row("optimizer", time(all.optimizer))
        return text
    }
}

import Testing
import TrainLoop
import Transformer

@Suite struct RLOptionsTests {
    private func failure(_ change: (inout RLOptions) -> Void) -> String {
        var options = RLOptions()
        change(&options)
        do {
            try options.check()
            return "none"
        } catch { return "\(error)" }
    }

    @Test func validOptionsPass() {
        #expect(failure { _ in } == "none")
        #expect(failure { $0.apply(.thinkless) } == "none")
    }

    @Test func invalidOptionsAreNamed() {
        #expect(failure { $0.rollout.promptsPerStep = 0 } == "--prompts must be at least 1")
        #expect(failure { $0.rollout.samplesPerPrompt = .max } == "--samples must be at most 65536")
        #expect(failure { $0.rollout.temperature = 0 } == "--temperature must be above 0")
        #expect(failure { $0.optimizer.learningRate = .nan } == "--lr must be above 0")
        #expect(failure { $0.sampler.controlCap = 0 } == "--sampler-control-cap must be above 0")
        #expect(failure { $0.loss.klCoefficient = -1 } == "--kl-coefficient must not be negative")
        #expect(failure { $0.loss.epsilonLow = 1.5 } == "--epsilon-low must lie in 0...1")
        #expect(
            failure { $0.guards.balance = 5 } == "--balance 5 forces 10 samples of a group, which has --samples 8")
        #expect(
            failure { $0.loss.updatesPerBatch = 64 }
                == "64 mini-batches cannot be made of --prompts 32, because groups are never split")
        #expect(
            failure {
                $0.loss.updatesPerBatch = 3
                $0.loss.miniBatches = 2
            } == "--updates-per-batch 3 must be a multiple of --mini-batches 2")
    }

    /// States of runs without servers do not name what concerns servers.
    @Test func samplerOptionsAreRecordedIfTheyDiffer() {
        var options = RLOptions()
        #expect(options.recorded["sampler_cap"] == nil && options.recorded["sampler_tolerance"] == nil)
        options.sampler.cap = 3
        #expect(options.recorded["sampler_cap"]?.double == 3 && options.recorded["sampler_control_cap"] == nil)
    }

    @Test func alphaTextsRoundTrip() {
        for alpha in [AlphaSchedule.fixed(1e-3), .auto(5), .linear(from: 0.5, to: 0.001, steps: 40), .length(2.5)] {
            #expect(AlphaSchedule(alpha.text) == alpha)
        }
        for text in [
            "", "many", "-1", "nan", "auto=0", "auto=", "length=", "length=0", "linear:1:2", "linear:1:2:0",
            "linear:1:x:3",
        ] {
            #expect(AlphaSchedule(text) == nil, "\(text)")
        }
    }

    @Test func everyFlagIsInTheTableOnce() {
        for flags in [RLOptions.fields.map(\.flag), SFTOptions.fields.map(\.flag)] {
            #expect(Set(flags).count == flags.count)
        }
    }

    @Test func aFlagSetsItsOption() {
        var options = RLOptions()
        #expect(options.setOption("--max-short-tokens", to: 7) && options.rollout.maximumShortTokens == 7)
        #expect(options.setOption("--loss", to: PolicyLoss.Kind.grpo) && options.loss.kind == .grpo)
        #expect(options.setOption("--freeze", to: ["a"]) && options.optimizer.freeze == ["a"])
        #expect(!options.setOption("--steps", to: 1.5) && !options.setOption("--step", to: 1))
        #expect(options.run.steps == 100)
    }

    /// States name the cache only if it is not the default, so that those of other runs stay as they were.
    @Test func theCacheIsRecordedIfSet() {
        var options = RLOptions()
        #expect(options.recorded["cache"] == nil && options.recorded["cache_bytes"] == nil)
        let isSet = [
            options.setOption("--cache", to: CachePrecision.bf16),
            options.setOption("--cache-size", to: ByteSize(bytes: 5 << 30)),
        ]
        #expect(isSet == [true, true])
        #expect(options.recorded["cache"]?.string == "bf16" && options.recorded["cache_bytes"]?.int == 5 << 30)
        #expect(options.rollout.cachePrecision == .bf16 && options.rollout.cacheSize == ByteSize("5GiB"))
        options.rollout.cacheSize = ByteSize(bytes: 0)
        #expect(throws: OptionError.self) { try options.check() }
    }

    @Test func rewardSources() {
        for text in ["math", "exact", "command:python3 judge.py"] {
            #expect(RewardSource(text)?.text == text)
        }
        for text in ["", "maths", "command:", "command"] { #expect(RewardSource(text) == nil) }
    }

    /// A resumed run refuses a flag that differs from its options, and names it.
    @Test func differencesAreNamed() {
        let own = RLOptions()
        var wanted = own
        #expect(throws: Never.self) { try own.checkResuming(with: wanted, after: 3) }
        wanted.optimizer.learningRate = 1e-5
        do {
            try own.checkResuming(with: wanted, after: 3)
            Issue.record("not refused")
        } catch { #expect("\(error)".hasPrefix("--lr 1e-05 differs from the run's 1e-06;")) }
    }

    /// The settings of the authors; see docs/training.md.
    @Test func presetOfTheAuthors() {
        var options = RLOptions()
        options.apply(.thinkless)
        #expect(options.rollout.promptsPerStep == 128 && options.rollout.samplesPerPrompt == 8)
        #expect(options.loss.updatesPerBatch == 2 && options.loss.kind == .degrpoReleased)
        #expect(options.rollout.maximumNewTokens == 24_576 && options.rollout.temperature == 0.6)
        #expect(options.loss.klCoefficient == 1e-3 && options.loss.klLimit == 10)
        #expect(options.loss.entropyCoefficient == 1e-3)
        #expect(options.optimizer.beta2 == 0.95 && options.optimizer.weightDecay == 0.01)
        #expect(options.reward.values == ModeReward.Values())
    }
}

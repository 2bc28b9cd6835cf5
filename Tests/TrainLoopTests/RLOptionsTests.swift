import Testing
import TrainLoop

@Suite struct RLOptionsTests {
    private func failure(_ change: (inout RLOptions) -> Void) -> String {
        var options = RLOptions()
        change(&options)
        do {
            try options.check()
            return "none"
        } catch { return "\(error)" }
    }

    @Test func sensibleOptionsPass() {
        #expect(failure { _ in } == "none")
        #expect(failure { $0.apply(.thinkless) } == "none")
    }

    @Test func senselessOptionsAreNamed() {
        #expect(failure { $0.promptsPerStep = 0 } == "--prompts must be at least 1")
        #expect(failure { $0.samplesPerPrompt = .max } == "--samples must be at most 65536")
        #expect(failure { $0.temperature = 0 } == "--temperature must be above 0")
        #expect(failure { $0.learningRate = .nan } == "--lr must be above 0")
        #expect(failure { $0.klCoefficient = -1 } == "--kl-coefficient must not be negative")
        #expect(failure { $0.epsilonLow = 1.5 } == "--epsilon-low must lie in 0...1")
        #expect(
            failure { $0.balance = 5 } == "--balance 5 forces 10 samples of a group, which has --samples 8")
        #expect(
            failure { $0.updatesPerBatch = 64 }
                == "64 mini-batches cannot be made of --prompts 32, as groups are never split")
        #expect(
            failure {
                $0.updatesPerBatch = 3
                $0.miniBatches = 2
            } == "--updates-per-batch 3 must be a multiple of --mini-batches 2")
    }

    @Test func alphaIsReadAsItIsWritten() {
        for alpha in [RLOptions.Alpha.fixed(1e-3), .auto(5), .linear(from: 0.5, to: 0.001, steps: 40), .length(2.5)] {
            #expect(RLOptions.Alpha(alpha.text) == alpha)
        }
        for text in [
            "", "many", "-1", "nan", "auto=0", "auto=", "length=", "length=0", "linear:1:2", "linear:1:2:0",
            "linear:1:x:3",
        ] {
            #expect(RLOptions.Alpha(text) == nil, "\(text)")
        }
    }

    @Test func rewardSources() {
        for text in ["math", "exact", "command:python3 judge.py"] {
            #expect(RLOptions.RewardSource(rawValue: text)?.rawValue == text)
        }
        for text in ["", "maths", "command:", "command"] { #expect(RLOptions.RewardSource(rawValue: text) == nil) }
    }

    /// A resumed run refuses a flag that differs, and says which.
    @Test func differencesAreNamed() {
        let own = RLOptions()
        var wanted = own
        #expect(throws: Never.self) { try own.refuse(differing: wanted) }
        wanted.learningRate = 1e-5
        do {
            try own.refuse(differing: wanted)
            Issue.record("not refused")
        } catch { #expect("\(error)".hasPrefix("--lr 1e-05 differs from the run's 1e-06;")) }
    }

    /// What the authors ran; see docs/training.md.
    @Test func presetOfTheAuthors() {
        var options = RLOptions()
        options.apply(.thinkless)
        #expect(options.promptsPerStep == 128 && options.samplesPerPrompt == 8 && options.updatesPerBatch == 2)
        #expect(options.maximumNewTokens == 24_576 && options.temperature == 0.6 && options.loss == .degrpoReleased)
        #expect(options.klCoefficient == 1e-3 && options.klLimit == 10 && options.entropyCoefficient == 1e-3)
        #expect(options.beta2 == 0.95 && options.weightDecay == 0.01 && options.rewards == ModeReward.Values())
    }
}

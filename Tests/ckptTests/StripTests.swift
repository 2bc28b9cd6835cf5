import Foundation
import Testing
import ckpt

@Suite struct StripTests {
    @Test(arguments: [48, 60, 79, 80, 120]) func everyRowFits(width: Int) {
        let layout = StripLayout(width: width)
        for values in [
            [], [.nan], [0.123_456], [1e-9, 2e300], [0, 1], Array(repeating: 0.5, count: 9),
            (0..<500).map { sin(Double($0)) * 12345.6 }, [-.infinity, 3],
        ] as [[Double]] {
            let line = layout.line("a name that is longer than its column", values)
            #expect(line.cells <= width, "\(width): \(line)")
        }
    }

    @Test func oneValueIsANumber() {
        let layout = StripLayout(width: 80)
        #expect(layout.line("x", [.nan, 0.5]).hasSuffix(" 0.500"))
        #expect(layout.line("x", [0.5, 0.5]).hasSuffix(" 0.500 throughout"))
        #expect(layout.line("x", [0, 1]).contains("▁█"))
    }

    @Test func smallNumbersKeepThreeDigits() {
        #expect(
            [0.0123, 0.00123, -0.000123, 0.0000123, 0.5, 12.34].map(Format.value) == [
                "0.0123", "0.00123", "-0.000123", "1.23e-05", "0.500", "12.3",
            ])
        // Rounded up to the next power.
        #expect(Format.value(0.09999) == "0.1000")
    }

    @Test func metricsAreGroupedAndTheLossIsLast() {
        let names = [
            "loss", "kl_loss", "acc_think", "response_length_think", "truncated_think", "num_think", "reward_mean",
            "grad_norm", "lr", "seconds_step", "critic/score/mean", "actor/pg_loss", "completions/mean_length",
            "frac_reward_zero_std", "timing_s/step", "eval_think_loss", "something",
        ]
        let groups = Dictionary(grouping: names, by: { MetricText.Group($0).rawValue })
        #expect(groups["loss"] == ["loss", "actor/pg_loss", "eval_think_loss"])
        #expect(groups["right"] == ["acc_think"])
        #expect(groups["tokens"] == ["response_length_think", "truncated_think", "completions/mean_length"])
        #expect(groups["reward"] == ["reward_mean", "critic/score/mean", "frac_reward_zero_std"])
        #expect(groups["policy"] == ["kl_loss"])
        #expect(groups["optimizer"] == ["grad_norm", "lr"])
        #expect(groups["time"] == ["seconds_step", "timing_s/step"])
        #expect(groups["other"] == ["something"])
        #expect(MetricText.sorted(names).first == "num_think" && MetricText.sorted(names).last == "eval_think_loss")
    }
}

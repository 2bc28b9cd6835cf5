import Foundation
import Testing
import TrainLoop
import ckpt

@Suite struct TextWidthTests {
    @Test(arguments: [
        ("step 1", 6), ("日本語", 6), ("한국어", 6), ("e\u{301}a\u{308}", 2), ("█▌░", 3), ("\u{1F600}", 2),
        ("\u{FF21}\u{FF21}", 4), ("a\u{200D}b", 2), ("–…", 2),
    ])
    func cellsOfATerminal(text: String, cells: Int) { #expect(text.cells == cells) }

    @Test func cutTextsFitAndKeepCharactersWhole() {
        let text = "日本e\u{301}語 path/to/step-000040.h5"
        for width in 0...text.cells + 2 {
            for cut in [text.cut(toCells: width), text.cutStart(toCells: width)] {
                #expect(cut.cells <= width)
                #expect(cut.allSatisfy { $0 == "…" || text.contains($0) })
            }
            #expect(Format.column(text, width).cells == width)
        }
        #expect("rl/step-000040.h5".cutStart(toCells: 10) == "…000040.h5")
        #expect("日本語".cut(toCells: 4) == "日…")
    }

    @Test func messagesAreBrokenAtSpaces() {
        let text = "  ckpt: warning: the share of thinking is 2 % and 日本語 averyverylongwordwithoutanyspaces ends"
        for width in 8...100 {
            let lines = text.wrapped(to: width)
            let tooLong = lines.filter { $0.cells > width }
            #expect(tooLong.allSatisfy { $0.split(separator: " ").count == 1 }, "\(width): \(lines)")
            let words = lines.flatMap { $0.split(separator: " ") }
            #expect(words == text.split(separator: " "))
        }
        #expect("  a b c".wrapped(to: 5) == ["  a b", "    c"])
    }
}

@Suite struct StepTableTests {
    static let stages: [StepColumns] = [
        .warmUp(totalSteps: 1000), .reinforcement(totalSteps: 220, showsKL: false),
        .reinforcement(totalSteps: 100_000, showsKL: true),
    ]
    private static let metrics = [
        "loss", "control_loss", "think_loss", "short_loss", "grad_norm", "lr", "tokens_per_second", "reward_mean",
        "num_think", "num_short", "acc_think", "acc_short", "response_length_think", "response_length_short",
        "malformed", "truncated_think", "truncated_short", "entropy", "kl_loss", "seconds_step",
    ]

    @Test(arguments: stages.indices) func everyLineFitsAndColumnsStayInPlace(stage: Int) {
        let columns = Self.stages[stage]
        for value in [0, 0.5, -0.938, 1, 99.96, 1234, -1.2e-17, 3.4e-5, 123_456_789, 1e300, -.infinity, .nan] {
            let row = columns.row(
                step: 7, of: 220, MetricRow(Self.metrics.map { ($0, value) }), secondsLeft: abs(value))
            for width in 1...200 {
                let heading = columns.table.heading(in: width)
                let line = columns.table.line(row, in: width)
                #expect((heading + [line]).allSatisfy { $0.cells <= width }, "\(width): \(line)")
                // The last columns of both end in the same cell.
                #expect(line.cells == heading[1].cells, "\(width):\n\(heading[1])\n\(line)")
            }
        }
    }

    @Test(arguments: stages.indices) func aWiderLineLosesNoColumn(stage: Int) {
        let columns = Self.stages[stage]
        for width in 1..<200 {
            #expect(Set(columns.table.shown(in: width)).isSubset(of: columns.table.shown(in: width + 1)))
        }
        #expect(columns.table.shown(in: 200) == Array(columns.table.columns.indices))
    }

    @Test func reinforcementAtUsualWidths() {
        let table = StepColumns.reinforcement(totalSteps: 220, showsKL: false).table
        let names = [39, 59, 79, 119].map { width in
            table.heading(in: width)[1].split(separator: " ").joined(separator: " ")
        }
        #expect(
            names == [
                "step reward think left", "step reward think think short think short left",
                "step reward think think short think short formed cated norm left",
                "step reward think think short think short formed cated norm entropy loss step left",
            ])
        #expect(table.heading(in: 79)[1].cells <= 79)
    }

    @Test func numbersFitTheirColumn() {
        let values: [Double] = [0, 12.34, 12_345, 123_456_789, 3.4e-5, -0.938]
        #expect(values.map { Format.number($0, width: 6) } == ["0", "12.3", "12,345", "1e+08", "3e-05", "-0.938"])
        #expect([5, 60, 3599, 3600, 400_000, 9e99].map(Format.briefDuration).allSatisfy { $0.count <= 6 })
    }
}

@Suite struct ProgressLineTests {
    @Test func everyWidthIsKept() {
        for title in ["importing", "日本語日本語日本語/step-000040.h5", "  step 12 of 220, rollout"] {
            let line = ProgressLine(
                title, done: 3, total: 8, amount: "3 of 8", rate: "1.5 MB/s", left: "14 min 3 s left")
            for width in 1...150 {
                #expect(line.text(in: width).cells <= width)
            }
            #expect(line.text(in: 100).contains("█") && line.text(in: 100).hasSuffix("14 min 3 s left"))
            #expect(line.text(in: 50).hasSuffix("14 min 3 s left"))
        }
    }

    @Test func barsOfLevelsFit() {
        for level in ["", "L1", "水準水準水準水準", "e\u{301}e\u{301}e\u{301}"] {
            let row = LevelPreference((level: level, pThink: 0.45, pShort: 0.5))
            for width in 1...100 { #expect(row.text(in: width).cells <= width) }
            #expect(row.text(in: 79).hasSuffix("P(<short>)  50 %"))
            #expect(row.text(in: 40).contains("45 %"))
        }
    }

    /// After a resize to narrower, wrapped lines count.
    @Test func rowsOnTheScreen() {
        #expect(PanelRows.count(of: [63, 79, 0, 40], columns: 80, cuts: false) == 4)
        #expect(PanelRows.count(of: [63, 79, 0, 40], columns: 40, cuts: false) == 2 + 2 + 1 + 1)
        #expect(PanelRows.count(of: [63, 79, 0, 40], columns: 40, cuts: true) == 4)
    }
}

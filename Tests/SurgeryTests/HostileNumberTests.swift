import CheckpointIO
import OrderedJSON
import Surgery
import Testing

/// Numbers that no run makes, but that a caller or a file may have, do not stop a comparison.
@Suite struct HostileNumberTests {
    @Test func conversionsSaturate() {
        #expect(Int(saturating: .nan) == 0)
        #expect(Int(saturating: 1e19) == .max && Int(saturating: .infinity) == .max)
        #expect(Int(saturating: -1e19) == .min && Int(saturating: -.infinity) == .min)
        #expect(Int(saturating: 0x1p63) == .max && Int(saturating: -0x1p63) == .min)
        #expect(Int(saturating: 2.9) == 2 && Int(saturating: -2.9) == -2)
    }

    @Test(arguments: [1e18, 1e19, -1e19, 1.7e308, .infinity, .nan]) func histogramsTakeAnyNumber(value: Double) {
        func table(_ value: Double) -> ProbeTable {
            ProbeTable(prompts: ["a"], levels: [""], steps: [1], pThink: [[value]], pShort: [[value]])
        }
        let change = ModePreferenceChange(table(0.5), table(value))
        #expect(change?.histogram().b.reduce(0, +) == (value.isFinite ? 1 : 0))
    }
}

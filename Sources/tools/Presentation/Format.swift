import Foundation
import OrderedJSON
import TrainLoop

/// One way to write each kind of number, for all commands.
enum Format {
    /// Decimal units: 1.5 GB is 1,500,000,000 bytes.
    static func bytes(_ count: Int) -> String {
        let units = ["bytes", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while abs(value) >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return unit == 0 ? "\(count) bytes" : "\(number(value)) \(units[unit])"
    }

    /// Three significant digits, no exponent in the range a person reads at a glance.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "–" : (value < 0 ? "-∞" : "∞") }
        let magnitude = abs(value)
        if value == 0 { return "0" }
        if magnitude < 1e-3 || magnitude >= 1e7 { return String(format: "%.2e", value) }
        if magnitude >= 1000 { return grouped(Int(value.rounded())) }
        let decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
        return String(format: "%.\(decimals)f", value)
    }

    /// With exactly so many decimals, as columns of a printed table have them.
    static func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }

    static func grouped(_ value: Int) -> String {
        var digits = String(value.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// A share as a percentage; "–" where there is none.
    static func percent(_ fraction: Double, decimals: Int = 0) -> String {
        fraction.isFinite ? String(format: "%.\(decimals)f %%", fraction * 100) : "–"
    }

    /// A share with its standard error, in percent; the mean alone where there is no error to tell.
    static func withError(_ share: ClusteredMean) -> String {
        guard share.mean.isFinite else { return "–" }
        let error = share.standardError.isFinite ? String(format: " ± %.1f", share.standardError * 100) : ""
        return String(format: "%.1f", share.mean * 100) + error + " %"
    }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "–" }
        let whole = Int(seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// The first digits of a digest, enough to tell states apart.
    static func shortDigest(_ digest: String) -> String { String(digest.prefix(12)) }

    /// Cuts to `width` characters, with an ellipsis, and pads to it. What comes out of a file cannot move the terminal.
    static func column(_ text: String, _ width: Int, alignRight: Bool = false) -> String {
        let oneLine = text.replacing("\n", with: "⏎").onOneLine()
        let cut = oneLine.count > width ? oneLine.prefix(max(width - 1, 0)) + "…" : oneLine[...]
        let padding = String(repeating: " ", count: max(width - cut.count, 0))
        return alignRight ? padding + cut : cut + padding
    }
}

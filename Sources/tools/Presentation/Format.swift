import Foundation
import OrderedJSON
import TrainLoop

/// How all commands write numbers and cut texts.
package enum Format {
    /// A size in decimal units: 1.5 GB is 1,500,000,000 bytes.
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

    /// A number with about three significant digits, and with an exponent only below 0.001 and from 10 million on.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "–" : (value < 0 ? "-∞" : "∞") }
        let magnitude = abs(value)
        if value == 0 { return "0" }
        if magnitude < 1e-3 || magnitude >= 1e7 { return String(format: "%.2e", value) }
        if magnitude >= 1000 { return grouped(Int(value.rounded())) }
        let decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
        return String(format: "%.\(decimals)f", value)
    }

    /// A number with three significant digits, however small; with an exponent below 0.0001.
    ///
    /// Whole numbers have no decimals.
    package static func value(_ value: Double) -> String {
        let magnitude = abs(value)
        if magnitude < 1000, value == value.rounded() { return String(Int(value)) }
        guard magnitude < 0.1, magnitude >= 1e-4 else { return number(value) }
        return String(format: "%.\(2 - Int(floor(log10(magnitude))))f", value)
    }

    /// A number in at most `width` characters, with fewer digits if it is too long.
    package static func number(_ value: Double, width: Int) -> String {
        let usual = number(value)
        guard value.isFinite, usual.count > width else { return usual }
        let formats = abs(value) < 1 ? ["%.1e", "%.0e"] : ["%.0f", "%.1e", "%.0e"]
        return formats.lazy.map { String(format: $0, value) }.first { $0.count <= width } ?? "…"
    }

    /// A number with exactly `count` decimals, for the columns of a table.
    static func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }

    /// A number with commas between groups of three digits.
    static func grouped(_ value: Int) -> String {
        var digits = String(value.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// A count and its noun: "1 pair", "2 pairs", "3 entries".
    ///
    /// - Parameters:
    ///   - count: the number, which is written with commas between groups of three digits.
    ///   - singular: the noun for one.
    ///   - plural: the noun for any other number, if it is not the singular with an "s".
    /// - Returns: the number, a space and the noun.
    static func counted(_ count: Int, _ singular: String, plural: String? = nil) -> String {
        "\(grouped(count)) \(count == 1 ? singular : plural ?? singular + "s")"
    }

    /// A share as a percentage; "–" if it is not finite.
    static func percent(_ fraction: Double, decimals: Int = 0) -> String {
        fraction.isFinite ? String(format: "%.\(decimals)f %%", fraction * 100) : "–"
    }

    /// A share with its standard error, in percent; without the error if that is not finite.
    static func withError(_ share: ClusteredMean) -> String {
        guard share.mean.isFinite else { return "–" }
        let error = share.standardError.isFinite ? String(format: " ± %.1f", share.standardError * 100) : ""
        return String(format: "%.1f", share.mean * 100) + error + " %"
    }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "–" }
        let whole = Int(saturating: seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// A duration in at most six characters, for the columns of a table.
    package static func briefDuration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "–" }
        let whole = Int(saturating: max(seconds, 0).rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min" }
        return whole < 100 * 3600 ? String(format: "%.1f h", Double(whole) / 3600) : "\(min(whole / 86400, 9999)) d"
    }

    /// The first 12 digits of a digest, enough to tell states apart.
    static func shortDigest(_ digest: String) -> String { digest.isEmpty ? "none" : String(digest.prefix(12)) }

    /// Cuts a text to `width` cells of a terminal with an ellipsis, or pads it to that width.
    ///
    /// Control characters are replaced, so that a text from a file cannot control the terminal.
    package static func column(_ text: String, _ width: Int, alignRight: Bool = false) -> String {
        let oneLine = text.replacing("\n", with: "⏎").onOneLine()
        let cut = oneLine.cut(toCells: width)
        let padding = String(repeating: " ", count: max(width - cut.cells, 0))
        return alignRight ? padding + cut : cut + padding
    }
}

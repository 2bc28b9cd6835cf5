import Foundation

extension Unicode.Scalar {
    /// The number of cells that a terminal gives this character: 0, 1 or 2.
    ///
    /// An emoji's variation selector counts as one, because many terminals widen the character before it.
    package var cells: Int {
        if value < 0x300 { return 1 }
        if Style.scalars.contains(value) { return 0 }
        if value == 0xFE0F { return 1 }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        if (0x1160...0x11FF).contains(value) { return 0 }
        return properties.isEmojiPresentation || Self.wideRanges.contains { $0.contains(value) } ? 2 : 1
    }

    /// East Asian Wide and Fullwidth characters, in whole blocks (Unicode Standard Annex 11).
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
        0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF,
        0x20000...0x3FFFD,
    ]
}

extension StringProtocol {
    /// The number of cells of a terminal that this text takes.
    package var cells: Int { unicodeScalars.reduce(0) { $0 + $1.cells } }

    /// The longest beginning that takes at most `count` cells; characters stay whole.
    private func beginning(cells count: Int) -> SubSequence {
        var left = count
        return prefix { character in
            left -= String(character).cells
            return left >= 0
        }
    }

    /// The text in at most `count` cells; a longer one ends in an ellipsis.
    package func cut(toCells count: Int) -> String {
        cells <= count ? String(self) : count < 1 ? "" : beginning(cells: count - 1) + "…"
    }

    /// The text in at most `count` cells; of a longer one, the end stays, which distinguishes paths.
    package func cutStart(toCells count: Int) -> String {
        guard cells > count else { return String(self) }
        return count < 1 ? "" : "…" + String(String(reversed()).beginning(cells: count - 1).reversed())
    }

    /// The text in at most `count` cells; of a longer one, the beginning and the end stay.
    package func cutMiddle(toCells count: Int) -> String {
        guard cells > count else { return String(self) }
        let start = String(self).cut(toCells: Swift.max(count / 2, 1))
        return start + String(String(reversed()).beginning(cells: count - start.cells).reversed())
    }

    /// The text in lines of at most `width` cells, broken at spaces.
    ///
    /// Further lines are indented by two cells more than the first. A word that is longer than a line stays whole, and
    /// a percent sign stays with its number.
    package func wrapped(to width: Int) -> [String] {
        guard cells > width else { return [String(self)] }
        let margin = String(prefix { $0 == " " })
        let indent = margin + "  "
        var (lines, line) = ([String](), "")
        let words = String(dropFirst(margin.count)).replacing(" %", with: "\u{A0}%")
            .split(separator: " ", omittingEmptySubsequences: false).map { $0.replacing("\u{A0}%", with: " %") }
        for word in words {
            if line.isEmpty {
                line = margin + word
            } else if line.cells + 1 + word.cells <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = indent + word
            }
        }
        return lines + [line]
    }
}

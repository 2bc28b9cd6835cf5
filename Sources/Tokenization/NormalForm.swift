import Foundation
import Synchronization
@_spi(_Unicode) import Swift

/// One of Unicode's normal forms as of Unicode 9, which the `tokenizers` library uses.
///
/// Newer characters neither reorder nor compose, so the text on either side of one is normalized separately.
enum NormalForm: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    private var isCompatible: Bool { self == .nfkc || self == .nfkd }
    private var composes: Bool { self == .nfc || self == .nfkc }

    /// The lowest lead byte of a character that the form may change.
    private var lowestChanged: UInt8 {
        switch self {
        // Nothing below U+0300 composes or decomposes under NFC.
        case .nfc: 0xCC
        case .nfd, .nfkc, .nfkd: 0xC2
        }
    }

    /// Normalizes valid UTF-8.
    func apply(to text: [UInt8]) -> [UInt8] {
        guard text.contains(where: { $0 >= lowestChanged }) else { return text }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        let whole = String(decoding: text, as: UTF8.self)
        guard
            isCompatible
                || whole.unicodeScalars.contains(where: { Self.isNewer($0) || Self.parts(of: $0) != nil })
        else {
            append(whole, to: &result)
            return result
        }
        var known = String.UnicodeScalarView()
        for scalar in whole.unicodeScalars {
            guard !Self.isNewer(scalar) else {
                append(String(known), to: &result)
                known.removeAll(keepingCapacity: true)
                result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                continue
            }
            if let parts = Self.parts(of: scalar) ?? (isCompatible ? CompatibilityMapping.mapping(of: scalar) : nil) {
                known.append(contentsOf: parts.unicodeScalars)
            } else {
                known.append(scalar)
            }
        }
        append(String(known), to: &result)
        return result
    }

    /// The decomposition of Tibetan vowel signs that consist of combining marks.
    ///
    /// The standard library does not order the composed form among preceding marks; it does order the parts.
    private static func parts(of scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\u{F73}": "\u{F71}\u{F72}"
        case "\u{F75}": "\u{F71}\u{F74}"
        case "\u{F81}": "\u{F71}\u{F80}"
        default: nil
        }
    }

    private func append(_ text: String, to result: inout [UInt8]) {
        // The normal forms by which the standard library compares strings. Foundation's NFC on Linux is wrong for some
        // Hangul and for marks newer than its tables.
        func append(_ scalars: some Sequence<Unicode.Scalar>) {
            for scalar in scalars { result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter) }
        }
        if composes { append(text._nfc) } else { append(text._nfd) }
    }

    /// Whether a character was added after Unicode 9 and may take part in a normal form.
    private static func isNewer(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // These blocks gained no combining characters: below the first mark, symbols to Han, Hangul.
        case ..<0x7FD, 0x2E00..<0xA800, 0xAC00..<0xD7A4: return false
        default: return (scalar.properties.age?.major ?? 0) > 9
        }
    }
}

/// The compatibility decompositions of single characters as of Unicode 9, such as "1" for "①".
enum CompatibilityMapping {
    /// The blocks that have any.
    private static let ranges: [ClosedRange<UInt32>] = [
        0xA0...0x24F, 0x2B0...0x2FF, 0x370...0x58F, 0x600...0x6FF, 0xE00...0xEFF, 0xF00...0xFFF, 0x10A0...0x10FF,
        0x1D00...0x1DBF, 0x1E00...0x1FFF, 0x2000...0x214F, 0x2150...0x218F, 0x2200...0x22FF, 0x2400...0x24FF,
        0x2A00...0x2AFF, 0x2C60...0x2C7F, 0x2D00...0x2DFF, 0x2E80...0x2FDF, 0x3000...0x33FF, 0xA640...0xA7FF,
        0xAB30...0xAB6F, 0xF900...0xFFEF, 0x1D400...0x1D7FF, 0x1EE00...0x1EEFF, 0x1F100...0x1F2FF, 0x2F800...0x2FA1F,
    ]

    private static let table: [Unicode.Scalar: String] = {
        var table: [Unicode.Scalar: String] = [:]
        for value in ranges.joined() {
            guard let scalar = Unicode.Scalar(value), let age = scalar.properties.age, age.major <= 9 else { continue }
            let text = String(scalar)
            let mapped = text.decomposedStringWithCompatibilityMapping
            if !mapped.unicodeScalars.elementsEqual(text.unicodeScalars) { table[scalar] = mapped }
        }
        return table
    }()

    static func mapping(of scalar: Unicode.Scalar) -> String? {
        scalar.value < 0xA0 ? nil : table[scalar]
    }
}

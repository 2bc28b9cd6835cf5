import Foundation
import OrderedJSON

/// SentencePiece's table of replacements: a double-array trie (Darts) from texts to null-terminated replacements.
///
/// Layout as in `normalizer.cc` of google/sentencepiece: the byte count of the trie, its units, the replacements.
struct PrecompiledCharsmap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// Reads the member `precompiled_charsmap`, in base64.
    init(_ text: String, at place: String) throws {
        guard let data = Data(base64Encoded: text), data.count >= 4 else {
            throw TokenizerError.malformed(place: place, reason: "is not a table in base64")
        }
        let bytes = Array(data)
        let trieByteCount = Int(Self.unit(bytes, at: 0))
        guard trieByteCount >= 4, trieByteCount % 4 == 0, trieByteCount <= bytes.count - 4 else {
            throw TokenizerError.malformed(place: place, reason: "its trie of \(trieByteCount) bytes does not fit")
        }
        units = stride(from: 4, to: 4 + trieByteCount, by: 4).map { Self.unit(bytes, at: $0) }
        replacements = Array(bytes[(4 + trieByteCount)...])
        guard String(validating: replacements, as: UTF8.self) != nil else {
            throw TokenizerError.malformed(place: place, reason: "its replacements are not UTF-8")
        }
    }

    private static func unit(_ bytes: [UInt8], at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) }
    }

    /// How many times as long a text can become.
    var growth: Double {
        // Texts of one and two bytes are few; of longer ones, the longest replacement bounds the growth.
        var growth = Double(replacements.split(separator: 0).map(\.count).max() ?? 0) / 3
        func add(_ text: UInt8...) {
            let count = text.withUnsafeBufferPointer { replacement(of: $0)?.count } ?? 0
            growth = max(growth, Double(count) / Double(text.count))
        }
        for first in UInt8(0x01)..<0x80 {
            add(first)
            for second in UInt8(0x01)..<0x80 { add(first, second) }
        }
        for first in UInt8(0xC2)..<0xE0 {
            for second in UInt8(0x80)..<0xC0 { add(first, second) }
        }
        return max(1, growth)
    }

    /// The replacement of the shortest prefix of `text` that has one.
    @inline(__always)
    private func replacement(of text: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        var node = Int(Self.offset(units[0]))
        for byte in text {
            guard byte != 0 else { return nil }
            node ^= Int(byte)
            guard node < units.count, units[node] & (1 << 31 | 0xFF) == UInt32(byte) else { return nil }
            let unit = units[node]
            node ^= Int(Self.offset(unit))
            guard unit >> 8 & 1 == 1 else { continue }
            guard node < units.count else { return nil }
            let start = Int(units[node] & ~(1 << 31))
            guard start <= replacements.count, start == replacements.count || replacements[start] & 0xC0 != 0x80 else {
                return nil
            }
            return start..<(replacements[start...].firstIndex(of: 0) ?? replacements.count)
        }
        return nil
    }

    @inline(__always)
    private static func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & (1 << 9)) >> 6) }

    /// Replaces grapheme clusters of at most 5 bytes, or else single characters, as the `tokenizers` library does.
    func apply(to text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        text.withUnsafeBufferPointer { text in
            var position = 0
            while position < text.count {
                // A run in which no cluster starts or ends between its bytes needs no segmentation.
                if Self.isAlone(text, position) {
                    append(text, position..<position + 1, to: &result)
                    position += 1
                    continue
                }
                let start = position
                repeat { position += 1 } while position < text.count && !Self.isAlone(text, position)
                appendClusters(text, start..<position, to: &result)
            }
        }
        return result
    }

    /// Whether an ASCII character has only ASCII neighbours and is not part of a line break.
    @inline(__always)
    private static func isAlone(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        let byte = text[position]
        guard byte < 0x80, byte != UInt8(ascii: "\r"), byte != UInt8(ascii: "\n") else { return false }
        return (position == 0 || text[position - 1] < 0x80)
            && (position + 1 == text.count || text[position + 1] < 0x80)
    }

    private func appendClusters(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, to result: inout [UInt8]
    ) {
        var position = range.lowerBound
        for cluster in String(decoding: text[range], as: UTF8.self) {
            let end = position + cluster.utf8.count
            if end - position < 6,
                let found = replacement(of: UnsafeBufferPointer(rebasing: text[position..<end]))
            {
                result += replacements[found]
            } else {
                while position < end {
                    let next = min(position + UTF8Scan.length(ofLead: text[position]), end)
                    append(text, position..<next, to: &result)
                    position = next
                }
            }
            position = end
        }
    }

    /// Appends one character or its replacement.
    @inline(__always)
    private func append(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, to result: inout [UInt8]) {
        let character = UnsafeBufferPointer(rebasing: text[range])
        if let found = replacement(of: character) {
            result += replacements[found]
        } else {
            result += character
        }
    }
}

/// Places in a text with SentencePiece's mark for spaces (U+2581) that no token of a vocabulary crosses.
///
/// Models without a pre-tokenizer get whole texts; between two such places they can work on one word at a time, with
/// the same result.
struct MarkBoundaries: Sendable {
    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]
    /// Bytes that precede the mark inside a token.
    private let crossing: [Bool]

    /// Returns nil if the mark is not a token, or is part of the unknown token.
    init?(_ tokens: [String?], ids: TokenTable, unknownID: UInt32?) {
        guard let mark = ids.id(of: Self.mark), mark != unknownID else { return nil }
        if let unknownID, let text = tokens[Int(unknownID)], text.unicodeScalars.contains("\u{2581}") { return nil }
        var crossing = [Bool](repeating: false, count: 256)
        for case let token? in tokens {
            var token = token
            token.withUTF8 { bytes in
                for index in 1..<max(1, bytes.count)
                where bytes[index] == 0xE2 && bytes[index...].starts(with: Self.mark) {
                    crossing[Int(bytes[index - 1])] = true
                }
            }
        }
        self.crossing = crossing
    }

    /// The first boundary after `start`, or the end of the text.
    @inline(__always)
    func end(of text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var index = start + 1
        while index + 2 < text.count {
            if text[index] == 0xE2, text[index + 1] == 0x96, text[index + 2] == 0x81,
                !crossing[Int(text[index - 1])]
            {
                return index
            }
            index += 1
        }
        return text.count
    }
}

/// The tokens `<0x00>` to `<0xFF>`, which stand for bytes.
enum ByteFallback {
    /// The id of each byte's token, nil where there is none.
    static func ids(in ids: TokenTable, enabled: Bool) -> [UInt32?] {
        (0..<256).map { byte in
            let hexadecimal = String(byte, radix: 16, uppercase: true)
            return enabled ? ids.id(of: Array("<0x\(byte < 16 ? "0" : "")\(hexadecimal)>".utf8)) : nil
        }
    }
}

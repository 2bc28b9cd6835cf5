/// Steps through valid UTF-8 and finds incomplete characters at its end.
enum UTF8Scan {
    /// The length in bytes of the character that starts with this byte; 1 for a byte that cannot start one.
    @inline(__always)
    static func length(ofLead byte: UInt8) -> Int {
        if byte < 0xC2 { return 1 }
        if byte < 0xE0 { return 2 }
        if byte < 0xF0 { return 3 }
        return byte < 0xF5 ? 4 : 1
    }

    /// The scalar that starts at `position` in valid UTF-8, and its length in bytes.
    @inline(__always)
    static func scalar(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> (Unicode.Scalar, length: Int) {
        let lead = bytes[position]
        if lead < 0x80 { return (Unicode.Scalar(lead), 1) }
        let length = min(length(ofLead: lead), bytes.count - position)
        var value = UInt32(lead) & (0xFF >> UInt32(length + 1))
        for index in 1..<max(length, 1) { value = value << 6 | UInt32(bytes[position + index] & 0x3F) }
        return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
    }

    /// The start of the character before `position`, which must be greater than 0.
    @inline(__always)
    static func start(before position: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var index = position - 1
        while index > 0, bytes[index] & 0xC0 == 0x80 { index -= 1 }
        return index
    }

    /// The number of bytes (0 to 3) at the end that start a character which more bytes could complete.
    static func incompleteTail(_ bytes: some RandomAccessCollection<UInt8>) -> Int {
        var tail: [UInt8] = []
        var index = bytes.endIndex
        while index > bytes.startIndex, tail.count < 3 {
            index = bytes.index(before: index)
            tail.insert(bytes[index], at: 0)
            let lead = bytes[index]
            if lead & 0xC0 == 0x80 { continue }
            let wanted = length(ofLead: lead)
            guard wanted > tail.count else { return 0 }
            guard tail.count > 1 else { return 1 }
            // After these lead bytes, the range of the second byte is restricted.
            let allowed: ClosedRange<UInt8> =
                switch lead {
                case 0xE0: 0xA0...0xBF
                case 0xED: 0x80...0x9F
                case 0xF0: 0x90...0xBF
                case 0xF4: 0x80...0x8F
                default: 0x80...0xBF
                }
            return allowed.contains(tail[1]) ? tail.count : 0
        }
        return 0
    }
}

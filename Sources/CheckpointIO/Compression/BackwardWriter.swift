/// Appends codes to a stream, starting with the lowest bits.
struct BackwardWriter {
    /// Bits not yet written, in the highest bits with the newest uppermost; the other bits are undefined.
    private var bits: UInt64 = 0
    /// The number of bits not yet written in the lowest eight bits; missing entries are counted above them.
    private var count: UInt64 = 0
    /// The bits above the lowest eight are nonzero if an entry was missing.
    private var missed: UInt64 = 0
    private var target: UnsafeMutablePointer<UInt8>

    /// The entry of a symbol without a code: this bit belongs neither to a length nor to a code.
    static let missing: UInt64 = 1 << 8
    /// The bits in which missing entries add up.
    private static let missingBits: UInt64 = 0xff00

    init(target: UnsafeMutablePointer<UInt8>) { self.target = target }

    /// Appends an entry, which has a code in its highest bits and the code's length in its lowest.
    @inline(__always)
    mutating func append(_ entry: UInt64) {
        // The shift distance is the lowest six bits of the entry, which are the length.
        bits = bits &>> entry | entry
        count &+= entry
    }

    /// Writes all whole bytes of the 1 to 56 pending bits, and overwrites up to eight bytes.
    @inline(__always)
    mutating func flush() {
        let pending = count & 0xff
        missed |= count
        UnsafeMutableRawPointer(target).storeBytes(of: (bits &>> (64 &- pending)).littleEndian, as: UInt64.self)
        target += Int(pending &>> 3)
        count = pending & 7
    }

    /// Writes the codes of bytes `start`..<`end`, the last first, without writing beyond them.
    mutating func writeSlowly(
        _ bytes: UnsafePointer<UInt8>, _ end: Int, downTo start: Int, _ entries: UnsafePointer<UInt64>
    ) {
        for index in stride(from: end - 1, through: start, by: -1) {
            append(entries[Int(bytes[index])])
            missed |= count
            count &= 0xff
            while count >= 8 { writeByte() }
        }
    }

    private mutating func writeByte() {
        target.pointee = UInt8(truncatingIfNeeded: bits &>> (64 &- count))
        target += 1
        count -= 8
    }

    /// Whether a byte had no code.
    var hasMissed: Bool { missed & Self.missingBits != 0 }

    /// Ends the stream with the one bit that marks the end for a decoder, and returns the end of the stream.
    mutating func finish() -> UnsafeMutablePointer<UInt8> {
        append(1 << 63 | 1)
        count &= 0xff
        if count < 8 { append(8 - count) }
        count &= 0xff
        while count >= 8 { writeByte() }
        return target
    }
}

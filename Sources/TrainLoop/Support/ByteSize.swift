/// An amount of memory as a person writes it: `8GiB`, `500MB`, or a number of bytes.
package struct ByteSize: Sendable, Equatable {
    package let bytes: Int

    package static let requirement = "a size, like 8GiB, 500MB, or a number of bytes"

    private static let units: [(name: String, bytes: Double)] = [
        ("kib", 0x1p10), ("mib", 0x1p20), ("gib", 0x1p30), ("tib", 0x1p40),
        ("kb", 1e3), ("mb", 1e6), ("gb", 1e9), ("tb", 1e12), ("b", 1), ("", 1),
    ]

    package init(bytes: Int) { self.bytes = bytes }

    /// nil if the text is not a size of at least one byte and at most 1 PiB.
    package init?(_ text: String) {
        let lower = text.lowercased()
        guard let unit = Self.units.first(where: { lower.hasSuffix($0.name) }) else { return nil }
        let number = lower.dropLast(unit.name.count).trimmingPrefix { $0 == " " }
        guard number.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == "." || $0 == " ") }),
            let value = Double(String(number).replacing(" ", with: "")), (1...0x1p50).contains(value * unit.bytes)
        else { return nil }
        bytes = Int(value * unit.bytes)
    }
}

/// Builds HDF5's structures from consecutive little-endian fields.
struct HDF5Bytes {
    private(set) var bytes: [UInt8] = []

    var count: Int { bytes.count }

    mutating func append(_ field: some FixedWidthInteger) {
        withUnsafeBytes(of: field.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ part: some Sequence<UInt8>) { bytes.append(contentsOf: part) }

    /// Appends an address; nil stands for HDF5's undefined address.
    mutating func append(address: UInt64?) { append(address ?? UInt64.max) }

    mutating func append(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// Appends zeros up to the next multiple of eight bytes.
    mutating func pad() { append(zeros: -count & 7) }

    /// Appends a text with a terminating NUL, and zeros up to a multiple of eight bytes.
    mutating func append(padded text: String) {
        append(text.utf8)
        append(zeros: 1 + ~text.utf8.count & 7)
    }
}

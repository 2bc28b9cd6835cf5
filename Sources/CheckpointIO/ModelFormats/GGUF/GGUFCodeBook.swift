import Foundation

/// Vectors of 4 or 8 elements whose numbers are stored in blocks of IQ1, IQ2 and IQ3.
struct GGUFCodeBook: Sendable {
    /// The vectors one after another.
    private let elements: [Float]

    /// - Parameters:
    ///   - values: the values that elements have.
    ///   - bitsPerElement: the size of a number of a value; the first element is in the lowest bits.
    ///   - packed: the elements' numbers in Base64.
    init(values: [Float], bitsPerElement: Int, packed: String) {
        let mask = UInt8(1 << bitsPerElement - 1)
        elements = (Data(base64Encoded: packed) ?? Data()).flatMap { byte in
            stride(from: 0, to: 8, by: bitsPerElement).map { values[Int(byte >> UInt8($0) & mask)] }
        }
    }

    @inline(__always)
    func withVectors(_ body: (UnsafePointer<Float>) -> Void) {
        elements.withUnsafeBufferPointer { if let start = $0.baseAddress { body(start) } }
    }
}

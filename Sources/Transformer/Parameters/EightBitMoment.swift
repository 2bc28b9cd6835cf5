import CheckpointIO
import Parallel

/// The number format of AdamW's moments.
package enum MomentPrecision: String, Sendable, CaseIterable {
    case fp32
    /// Those of matrices in 8 bits with a scale for each block, those of norms and biases in float32.
    case eightBit = "8bit"

    /// The bytes of one moment of what `trained` lists.
    package func byteCount(_ trained: TrainedLayout) -> Int {
        trained.parameters.reduce(0) { sum, parameter in
            guard self == .eightBit, parameter.isMatrix else { return sum + 4 * parameter.elementCount }
            return sum + parameter.elementCount + 4 * EightBitMoment.scaleShape(parameter).reduce(1, *)
        }
    }
}

/// One of AdamW's moments, in 8 bits: a code for each element of a matrix, and a scale for each block of a row.
package final class EightBitMoment: @unchecked Sendable {
    // Sendable because each thread of an update writes rows of its own, and nothing else writes.

    /// The matrices, in the order of the codes.
    package let layout: [ParameterDescription]
    /// Whether the codes have a sign, as those of first moments.
    let isSigned: Bool
    private let codes: UnsafeMutableBufferPointer<UInt8>
    private let scales: UnsafeMutableBufferPointer<Float>
    private let places: [String: (code: Int, scale: Int)]

    /// Zeros for the matrices of `layout`.
    init(_ layout: [ParameterDescription], isSigned: Bool) {
        self.layout = layout
        self.isSigned = isSigned
        var places: [String: (code: Int, scale: Int)] = [:]
        var (codeCount, scaleCount) = (0, 0)
        for matrix in layout {
            places[matrix.name] = (codeCount, scaleCount)
            codeCount += matrix.elementCount
            scaleCount += Self.scaleShape(matrix).reduce(1, *)
        }
        self.places = places
        codes = LargeAllocation.allocate(byteCount: max(1, codeCount)).bindMemory(to: UInt8.self)
        scales = .allocate(capacity: max(1, scaleCount))
        codes.initialize(repeating: 0)
        scales.initialize(repeating: 0)
    }

    deinit {
        codes.deallocate()
        scales.deallocate()
    }

    /// The shape `[rows, blocks]` of a matrix's scales.
    package static func scaleShape(_ matrix: ParameterDescription) -> [Int] {
        [matrix.shape[0], Quantization.blocks(matrix.shape[1])]
    }

    /// The codes of a matrix in `layout`, row-major.
    package func codes(_ matrix: ParameterDescription) -> UnsafeMutableBufferPointer<UInt8> {
        let start = place(matrix).code
        return UnsafeMutableBufferPointer(rebasing: codes[start..<start + matrix.elementCount])
    }

    /// The scales of a matrix in `layout`, row-major.
    package func scales(_ matrix: ParameterDescription) -> UnsafeMutableBufferPointer<Float> {
        let start = place(matrix).scale
        return UnsafeMutableBufferPointer(rebasing: scales[start..<start + Self.scaleShape(matrix).reduce(1, *)])
    }

    /// The codes of a matrix, as a checkpoint stores them.
    package static func codeDescription(_ matrix: ParameterDescription) -> TensorDescription {
        TensorDescription(name: matrix.name, elementType: .uint8, shape: matrix.shape)
    }

    /// The scales of a matrix, as a checkpoint stores them.
    package static func scaleDescription(_ matrix: ParameterDescription) -> TensorDescription {
        TensorDescription(name: matrix.name + "_scale", elementType: .float32, shape: scaleShape(matrix))
    }

    /// The codes and scales of all matrices, as a checkpoint stores them.
    package var parts: [(description: TensorDescription, bytes: UnsafeMutableRawBufferPointer)] {
        layout.flatMap { matrix in
            [
                (Self.codeDescription(matrix), UnsafeMutableRawBufferPointer(codes(matrix))),
                (Self.scaleDescription(matrix), UnsafeMutableRawBufferPointer(scales(matrix))),
            ]
        }
    }

    /// The codes of all matrices in the order of the layout.
    package var allCodes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(codes)[..<layout.reduce(0) { $0 + $1.elementCount }])
    }

    /// The scales of all matrices in the order of the layout.
    package var allScales: UnsafeRawBufferPointer {
        let count = layout.reduce(0) { $0 + Self.scaleShape($1).reduce(1, *) }
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scales)[..<(4 * count)])
    }

    /// The name in a checkpoint of the first scales of which one is negative or not finite; nil if there are none.
    package var firstInvalidScale: String? {
        layout.first { scales($0).contains { !($0 >= 0 && $0.isFinite) } }.map { $0.name + "_scale" }
    }

    private func place(_ matrix: ParameterDescription) -> (code: Int, scale: Int) {
        guard let place = places[matrix.name] else { preconditionFailure("no moment of \(matrix.name)") }
        return place
    }

    /// The first row of a matrix; nil if it has no elements.
    func firstRow(_ matrix: ParameterDescription) -> QuantizedRow? {
        guard let codes = codes(matrix).baseAddress, let scales = scales(matrix).baseAddress else { return nil }
        return QuantizedRow(count: matrix.shape[1], codes: codes, scales: scales, isSigned: isSigned)
    }

    /// The elements of a matrix, row-major.
    package func values(_ matrix: ParameterDescription) -> [Float] {
        var values = [Float](repeating: 0, count: matrix.elementCount)
        values.withUnsafeMutableBufferPointer { values in
            guard let start = values.baseAddress else { return }
            guard let first = firstRow(matrix) else { return }
            for row in 0..<matrix.shape[0] {
                let own = first.advanced(by: row)
                for block in own.blocks { own.load(block, into: start + row * own.count + block.lowerBound) }
            }
        }
        return values
    }
}

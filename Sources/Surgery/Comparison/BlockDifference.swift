/// The block of a quantised tensor that differs most from the other tensor.
struct BlockDifference: Sendable, Equatable {
    /// The index of its first element.
    private(set) var index = 0
    /// ‖B − A‖² of the block.
    private(set) var squaredDifference: Float = 0

    /// Finds the first block with the largest difference; values that are not finite are passed over.
    init(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int, blockLength: Int) {
        let vectors = blockLength / 8
        for start in stride(from: 0, to: count / blockLength * blockLength, by: blockLength) {
            var sum = SIMD8<Float>.zero
            for vector in 0..<vectors {
                let place = start &+ vector &* 8
                let x = UnsafeRawPointer(a + place).loadUnaligned(as: SIMD8<Float>.self)
                let y = UnsafeRawPointer(b + place).loadUnaligned(as: SIMD8<Float>.self)
                let difference = y - x
                sum += difference * difference
            }
            let square = sum.sum()
            if square > squaredDifference, square.isFinite {
                squaredDifference = square
                index = start
            }
        }
    }

    /// The larger of two blocks; `offset` is added to the index of the second.
    static func larger(_ first: BlockDifference?, _ second: BlockDifference?, offset: Int) -> BlockDifference? {
        guard var second else { return first }
        second.index += offset
        guard let first, first.squaredDifference >= second.squaredDifference else { return second }
        return first
    }
}

/// The worst block of a quantised tensor, as reports show it.
package struct WorstBlock: Sendable {
    /// The index of the first element, one number per dimension.
    package let index: [Int]
    package let elementCount: Int
    /// ‖B − A‖ of the block by the norm that an average block of A has.
    package let relativeError: Double
}

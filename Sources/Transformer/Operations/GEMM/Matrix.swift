/// A view of a row-major matrix in memory that another object owns.
///
/// Element (i, j) is at index `i * stride + j`.
package struct Matrix {
    package enum Elements {
        case float32(UnsafeMutablePointer<Float>)
        /// Weights or their gradients: such a matrix is never the result of a product.
        case bfloat16(UnsafePointer<UInt16>)
    }

    package let elements: Elements
    package let rows: Int
    package let columns: Int
    package let stride: Int

    /// A view with rows `stride` elements apart, or adjacent rows if `stride` is nil.
    package init(_ elements: Elements, rows: Int, columns: Int, stride: Int? = nil) {
        self.elements = elements
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }

    package init(_ floats: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
        self.init(.float32(floats), rows: rows, columns: columns, stride: stride)
    }

    /// A matrix that must not be the result of a product.
    package init(reading floats: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
        self.init(.float32(UnsafeMutablePointer(mutating: floats)), rows: rows, columns: columns, stride: stride)
    }

    /// This matrix with the rows of `next` below, if `next` starts in memory where this one ends; otherwise nil.
    func joined(with next: Matrix) -> Matrix? {
        guard columns == next.columns, stride == columns, next.stride == columns else { return nil }
        switch (elements, next.elements) {
        case (.float32(let a), .float32(let b)) where a + rows * columns == b: break
        case (.bfloat16(let a), .bfloat16(let b)) where a + rows * columns == b: break
        default: return nil
        }
        return Matrix(elements, rows: rows + next.rows, columns: columns)
    }

    /// The elements of a float32 matrix; a programming error for other matrices.
    var floats: Floats {
        guard case .float32(let floats) = elements else {
            preconditionFailure("the matrix is in bfloat16")
        }
        return floats
    }

    /// Copies row `row`, converted to float32.
    @inline(__always)
    func copyRow(_ row: Int, to target: Floats) { copy(row: row, columns: 0..<columns, to: target) }

    /// Copies some columns of row `row`, converted to float32.
    @inline(__always)
    func copy(row: Int, columns: Range<Int>, to target: Floats) {
        let start = row * stride + columns.lowerBound
        switch elements {
        case .float32(let floats): target.update(from: floats + start, count: columns.count)
        case .bfloat16(let halves): BFloat16.widen(halves + start, into: target, columns.count)
        }
    }
}

/// Conversion of bfloat16, the upper half of a float32.
enum BFloat16 {
    @inline(__always)
    static func load(_ p: UnsafePointer<UInt16>, _ i: Int) -> Vector8 {
        let halves = UnsafeRawPointer(p + i).loadUnaligned(as: SIMD8<UInt16>.self)
        return unsafeBitCast(SIMD8<UInt32>(truncatingIfNeeded: halves) &<< 16, to: Vector8.self)
    }

    @inline(__always)
    static func widened(_ half: UInt16) -> Float { Float(bitPattern: UInt32(half) << 16) }

    /// Rounds to the nearest bfloat16, ties to even.
    @inline(__always)
    static func rounded(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // Rounding up the bits of a NaN could make it an infinity.
        if value.isNaN { return UInt16(bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }

    static func widen(_ halves: UnsafePointer<UInt16>, into floats: Floats, _ count: Int) {
        var i = 0
        while i + 8 <= count {
            store(load(halves, i), floats, i)
            i += 8
        }
        while i < count {
            floats[i] = widened(halves[i])
            i += 1
        }
    }
}

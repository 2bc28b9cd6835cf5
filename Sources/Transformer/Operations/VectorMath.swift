import CKernels

/// Eight floats, the unit of the operations' inner loops.
///
/// The build targets plain x86-64 (SSE2), where a fused multiply-add would be a call into libm; products and sums are
/// therefore separate instructions.
typealias Vector8 = SIMD8<Float>

@inline(__always)
func load(_ p: UnsafePointer<Float>, _ i: Int) -> Vector8 {
    UnsafeRawPointer(p + i).loadUnaligned(as: Vector8.self)
}

@inline(__always)
func load(_ p: UnsafeMutablePointer<Float>, _ i: Int) -> Vector8 {
    UnsafeRawPointer(p + i).loadUnaligned(as: Vector8.self)
}

@inline(__always)
func store(_ v: Vector8, _ p: UnsafeMutablePointer<Float>, _ i: Int) {
    UnsafeMutableRawPointer(p + i).storeBytes(of: v, as: Vector8.self)
}

/// The up to seven numbers at `i..<count`, followed by `fill`.
@inline(__always)
func loadTail(_ p: UnsafePointer<Float>, _ i: Int, _ count: Int, fill: Float = 0) -> Vector8 {
    var v = Vector8(repeating: fill)
    for j in i..<count { v[j - i] = p[j] }
    return v
}

@inline(__always)
func storeTail(_ v: Vector8, _ p: UnsafeMutablePointer<Float>, _ i: Int, _ count: Int) {
    for j in i..<count { p[j] = v[j - i] }
}

@inline(__always)
func horizontalSum(_ v: Vector8) -> Float {
    let four = v.lowHalf + v.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

@inline(__always)
func horizontalMaximum(_ v: Vector8) -> Float {
    let four = v.lowHalf.replacing(with: v.highHalf, where: v.lowHalf .< v.highHalf)
    let two = four.lowHalf.replacing(with: four.highHalf, where: four.lowHalf .< four.highHalf)
    return max(two.x, two.y)
}

/// e^x with a relative error below 1e-7, for x clamped to −87.3…88.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; the polynomial approximates e^r with a relative error of 3e-9 before rounding.
@inline(__always)
func exponential(_ x: Vector8) -> Vector8 {
    let low = Vector8(repeating: -87.3)
    let high = Vector8(repeating: 88)
    var y = x.replacing(with: low, where: x .< low)
    y = y.replacing(with: high, where: y .> high)
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    let shift = Vector8(repeating: 12_582_912)
    let shifted = y * 1.442_695_04 + shift
    let n = shifted - shift
    let r = (y - n * 0.693_145_75) - n * 1.428_606_8e-6
    var p = r * 0.001_381_454_4 + 0.008_368_745
    p = p * r + 0.041_668_39
    p = p * r + 0.166_665_21
    p = p * r + 0.499_999_94
    p = p * (r * r) + r + 1
    let bits = unsafeBitCast(shifted, to: SIMD8<UInt32>.self)
    let scale = (bits &+ 127) &<< 23
    return p * unsafeBitCast(scale, to: Vector8.self)
}

/// Gives a vector to C code as eight floats.
@inline(__always)
func withLanes(of vector: inout Vector8, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    withUnsafeMutablePointer(to: &vector) {
        $0.withMemoryRebound(to: Float.self, capacity: 8) { body($0) }
    }
}

enum VectorMath {
    /// Loops with wider vectors, if the processor has them: same bits as the loops in Swift, in half the time.
    static let elementwise = ckpt_elementwise_kernels()?.pointee

    /// Σ a[i] b[i].
    @inline(__always)
    static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var first = Vector8.zero
        var second = Vector8.zero
        var i = 0
        while i + 16 <= count {
            first += load(a, i) * load(b, i)
            second += load(a, i + 8) * load(b, i + 8)
            i += 16
        }
        if i + 8 <= count {
            first += load(a, i) * load(b, i)
            i += 8
        }
        var sum = horizontalSum(first + second)
        while i < count {
            sum += a[i] * b[i]
            i += 1
        }
        return sum
    }

    /// y += a x.
    @inline(__always)
    static func accumulate(_ a: Float, _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int) {
        var i = 0
        while i + 8 <= count {
            store(load(y, i) + a * load(x, i), y, i)
            i += 8
        }
        while i < count {
            y[i] += a * x[i]
            i += 1
        }
    }

    /// y += x.
    @inline(__always)
    static func add(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int) {
        var i = 0
        while i + 8 <= count {
            store(load(y, i) + load(x, i), y, i)
            i += 8
        }
        while i < count {
            y[i] += x[i]
            i += 1
        }
    }

    /// The largest of `count` numbers; −∞ if there are none.
    @inline(__always)
    static func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
        var best = Vector8(repeating: -.infinity)
        var i = 0
        while i + 8 <= count {
            let v = load(x, i)
            best = best.replacing(with: v, where: best .< v)
            i += 8
        }
        var result = horizontalMaximum(best)
        while i < count {
            if x[i] > result { result = x[i] }
            i += 1
        }
        return result
    }

    /// Σ x[i]², summed in double precision, for norms over whole models.
    static func sumOfSquares(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
        var sum = 0.0
        var i = 0
        while i < count {
            let end = min(i + 1024, count)
            sum += Double(dot(x + i, x + i, end - i))
            i = end
        }
        return sum
    }

    /// y[i] = e^(x[i] scale − offset); returns the sum.
    ///
    /// `x` and `y` may be the same.
    @inline(__always)
    static func exponentials(
        of x: UnsafePointer<Float>, scale: Float, minus offset: Float, into y: UnsafeMutablePointer<Float>, _ count: Int
    ) -> Float {
        var sum = Vector8.zero
        var i = 0
        if let elementwise {
            i = count & ~7
            withLanes(of: &sum) { elementwise.exponentials(x, scale, offset, y, i, $0) }
        }
        while i + 8 <= count {
            let e = exponential(load(x, i) * scale - offset)
            store(e, y, i)
            sum += e
            i += 8
        }
        var result = horizontalSum(sum)
        if i < count {
            let e = exponential(loadTail(x, i, count) * scale - offset)
            storeTail(e, y, i, count)
            for j in i..<count { result += y[j] }
        }
        return result
    }
}

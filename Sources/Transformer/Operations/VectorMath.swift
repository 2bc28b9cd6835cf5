import CKernels

/// Eight floats at a time over raw memory: what the other operations' inner loops are made of.
///
/// The build targets plain x86-64 (SSE2), so a product and a sum stay two instructions: `addingProduct` would call
/// into libm for a fused one.
typealias Lane = SIMD8<Float>

@inline(__always)
func load(_ p: UnsafePointer<Float>, _ i: Int) -> Lane {
    UnsafeRawPointer(p + i).loadUnaligned(as: Lane.self)
}

@inline(__always)
func load(_ p: UnsafeMutablePointer<Float>, _ i: Int) -> Lane {
    UnsafeRawPointer(p + i).loadUnaligned(as: Lane.self)
}

@inline(__always)
func store(_ v: Lane, _ p: UnsafeMutablePointer<Float>, _ i: Int) {
    UnsafeMutableRawPointer(p + i).storeBytes(of: v, as: Lane.self)
}

/// The up to seven numbers from `i` on, the rest of the lane filled up.
@inline(__always)
func loadTail(_ p: UnsafePointer<Float>, _ i: Int, _ count: Int, fill: Float = 0) -> Lane {
    var lane = Lane(repeating: fill)
    for j in i..<count { lane[j - i] = p[j] }
    return lane
}

@inline(__always)
func storeTail(_ v: Lane, _ p: UnsafeMutablePointer<Float>, _ i: Int, _ count: Int) {
    for j in i..<count { p[j] = v[j - i] }
}

@inline(__always)
func total(_ v: Lane) -> Float {
    let four = v.lowHalf + v.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

@inline(__always)
func largest(_ v: Lane) -> Float {
    let four = v.lowHalf.replacing(with: v.highHalf, where: v.lowHalf .< v.highHalf)
    let two = four.lowHalf.replacing(with: four.highHalf, where: four.lowHalf .< four.highHalf)
    return max(two.x, two.y)
}

/// e to the x, relative error below 1e-7 where the result is a normal number; under -87 it is the smallest of those,
/// about 1e-38, and over 88 it stays at e^88.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; the polynomial of e^r is our own fit (relative error 3e-9 before rounding).
@inline(__always)
func exponential(_ x: Lane) -> Lane {
    let low = Lane(repeating: -87.3)
    let high = Lane(repeating: 88)
    var y = x.replacing(with: low, where: x .< low)
    y = y.replacing(with: high, where: y .> high)
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits of the sum.
    let shift = Lane(repeating: 12_582_912)
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
    return p * unsafeBitCast(scale, to: Lane.self)
}

enum VectorMath {
    /// Loops in wider vectors, where the processor has them: the bits of those here, in half the time.
    static let wideLoops = ckpt_loop_kernels()?.pointee

    /// The sum of products of two vectors.
    @inline(__always)
    static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var first = Lane.zero
        var second = Lane.zero
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
        var sum = total(first + second)
        while i < count {
            sum += a[i] * b[i]
            i += 1
        }
        return sum
    }

    /// y += a * x
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

    /// y += x
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

    /// The largest of `count` numbers; minus infinity of none.
    @inline(__always)
    static func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
        var best = Lane(repeating: -.infinity)
        var i = 0
        while i + 8 <= count {
            let v = load(x, i)
            best = best.replacing(with: v, where: best .< v)
            i += 8
        }
        var result = largest(best)
        while i < count {
            if x[i] > result { result = x[i] }
            i += 1
        }
        return result
    }

    /// The sum of squares in double precision, for norms over whole models.
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

    /// y[i] = e^(x[i] * scale - offset), and the sum of all; `x` and `y` may be the same.
    @inline(__always)
    static func exponentials(
        of x: UnsafePointer<Float>, scale: Float, minus offset: Float, into y: UnsafeMutablePointer<Float>, _ count: Int
    ) -> Float {
        var sum = Lane.zero
        var i = 0
        if let wideLoops {
            i = count & ~7
            withUnsafeMutableBytes(of: &sum) {
                wideLoops.exponentials(x, scale, offset, y, i, $0.assumingMemoryBound(to: Float.self).baseAddress!)
            }
        }
        while i + 8 <= count {
            let e = exponential(load(x, i) * scale - offset)
            store(e, y, i)
            sum += e
            i += 8
        }
        var result = total(sum)
        if i < count {
            let e = exponential(loadTail(x, i, count) * scale - offset)
            storeTail(e, y, i, count)
            for j in i..<count { result += y[j] }
        }
        return result
    }
}

/// Element-wise statistics of the change from tensor A to tensor B.
///
/// Sums cover pairs of finite values; chunks that both files store with equal bytes are counted but not read.
package struct TensorDifference: Sendable, Equatable {
    /// Elements compared, including unread ones.
    package internal(set) var elementCount = 0
    /// Elements whose stored bits are equal.
    package internal(set) var identicalCount = 0
    /// Identical elements that were not read; norms, cosine and non-finite counts exclude them.
    package internal(set) var unreadCount = 0
    /// Pairs of nonzero values with opposite signs.
    package internal(set) var signFlipCount = 0
    /// Elements of A that are NaN or infinite.
    package internal(set) var nonFiniteA = 0
    /// Elements of B that are NaN or infinite.
    package internal(set) var nonFiniteB = 0
    var squaresA = 0.0
    var squaresB = 0.0
    var products = 0.0
    var squaredDifferences = 0.0
    /// The largest |B − A|.
    package internal(set) var largestDifference: Float = 0
    /// The flat index of the first largest difference.
    package internal(set) var largestIndex = 0

    package var normA: Double { squaresA.squareRoot() }
    package var normB: Double { squaresB.squareRoot() }
    /// ‖B − A‖.
    package var differenceNorm: Double { squaredDifferences.squareRoot() }
    /// ‖B − A‖ / ‖A‖; infinite if A is zero and B is not.
    package var relativeChange: Double {
        squaredDifferences == 0 ? 0 : differenceNorm / normA
    }
    /// The cosine between A and B; 1 if both are zero.
    package var cosine: Double {
        let scale = normA * normB
        return scale > 0 ? min(max(products / scale, -1), 1) : (squaredDifferences == 0 ? 1 : 0)
    }
    /// The share of elements with equal stored bits, 0 to 1.
    package var identicalFraction: Double {
        elementCount > 0 ? Double(identicalCount) / Double(elementCount) : 1
    }

    /// Appends the statistics of the following elements.
    mutating func append(_ next: TensorDifference) {
        if next.largestDifference > largestDifference {
            largestDifference = next.largestDifference
            largestIndex = elementCount + next.largestIndex
        }
        elementCount += next.elementCount
        identicalCount += next.identicalCount
        unreadCount += next.unreadCount
        signFlipCount += next.signFlipCount
        nonFiniteA += next.nonFiniteA
        nonFiniteB += next.nonFiniteB
        squaresA += next.squaresA
        squaresB += next.squaresB
        products += next.products
        squaredDifferences += next.squaredDifferences
    }

    /// Statistics of elements that were not read because both files store equal bytes.
    init(unreadCount: Int) {
        elementCount = unreadCount
        identicalCount = unreadCount
        self.unreadCount = unreadCount
    }

    /// Includes unread elements in the norms and the cosine.
    ///
    /// They are equal on both sides, so their squares are `squares`, those of all of B, minus the squares read so far.
    mutating func include(allSquaresOfB squares: Double) {
        guard unreadCount > 0 else { return }
        let missing = max(squares - squaresB, 0)
        squaresA += missing
        squaresB += missing
        products += missing
        unreadCount = 0
    }

    /// Computes the statistics of `count` pairs.
    package init(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) {
        elementCount = count
        // Float32 vector lanes within short runs, float64 across runs: fast and sufficiently exact.
        let run = 1024
        var start = 0
        while start < count {
            addRun(a + start, b + start, count: min(run, count - start), offset: start)
            start += run
        }
    }

    init() {}

    private mutating func addRun(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int, offset: Int
    ) {
        var sumA = SIMD8<Float>.zero
        var sumB = SIMD8<Float>.zero
        var sumProduct = SIMD8<Float>.zero
        var sumDifference = SIMD8<Float>.zero
        // Non-negative floats sort like their bit patterns.
        var largestBits = SIMD8<Int32>.zero
        var flips = SIMD8<Int32>.zero
        let vectors = count / 8
        for index in 0..<vectors {
            let x = UnsafeRawPointer(a + index * 8).loadUnaligned(as: SIMD8<Float>.self)
            let y = UnsafeRawPointer(b + index * 8).loadUnaligned(as: SIMD8<Float>.self)
            let difference = y - x
            sumA += x * x
            sumB += y * y
            let product = x * y
            sumProduct += product
            sumDifference += difference * difference
            let magnitude = unsafeBitCast(difference, to: SIMD8<Int32>.self) & 0x7FFF_FFFF
            largestBits.replace(with: magnitude, where: magnitude .> largestBits)
            flips.replace(with: flips &+ 1, where: product .< 0)
        }
        let total = (sumA + sumB + sumDifference).sum()
        guard total.isFinite, total > 1e-30 else {
            // A value is not finite, or squares overflow, underflow or are all zero.
            return addRunExactly(a, b, count: count, offset: offset)
        }
        squaresA += Double(sumA.sum())
        squaresB += Double(sumB.sum())
        products += Double(sumProduct.sum())
        squaredDifferences += Double(sumDifference.sum())
        signFlipCount += (0..<8).reduce(0) { $0 + Int(flips[$1]) }
        let highest = Float(bitPattern: UInt32(bitPattern: largestBits.max()))
        if highest > largestDifference {
            for index in 0..<vectors * 8 where abs(b[index] - a[index]) == highest {
                largestDifference = highest
                largestIndex = offset + index
                break
            }
        }
        if vectors * 8 < count {
            addRunExactly(
                a + vectors * 8, b + vectors * 8, count: count - vectors * 8, offset: offset + vectors * 8)
        }
    }

    /// Adds a run element by element in float64, skipping values that are not finite.
    private mutating func addRunExactly(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int, offset: Int
    ) {
        for index in 0..<count {
            if !a[index].isFinite { nonFiniteA += 1 }
            if !b[index].isFinite { nonFiniteB += 1 }
            guard a[index].isFinite, b[index].isFinite else { continue }
            let x = Double(a[index])
            let y = Double(b[index])
            squaresA += x * x
            squaresB += y * y
            products += x * y
            squaredDifferences += (y - x) * (y - x)
            if x * y < 0 { signFlipCount += 1 }
            let difference = abs(b[index] - a[index])
            if difference > largestDifference {
                largestDifference = difference
                largestIndex = offset + index
            }
        }
    }
}

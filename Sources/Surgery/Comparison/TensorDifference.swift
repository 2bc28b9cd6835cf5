import CheckpointIO
import Synchronization

/// How far one tensor moved, element by element. Only finite pairs enter the sums; what both files store alike is
/// counted as identical and enters none.
public struct TensorDifference: Sendable, Equatable {
    public internal(set) var elementCount = 0
    /// Elements whose stored bits are equal.
    public internal(set) var identicalCount = 0
    /// Identical elements that were not read, because both files hold the same bytes of them: norms, cosine and the
    /// counts of NaN leave them out.
    public internal(set) var unreadCount = 0
    /// Elements whose sign changed between two values that are not zero.
    public internal(set) var signFlipCount = 0
    /// Elements that are NaN or infinite in A, in B.
    public internal(set) var nonFiniteA = 0
    public internal(set) var nonFiniteB = 0
    var squaresA = 0.0
    var squaresB = 0.0
    var products = 0.0
    var squaredDifferences = 0.0
    /// Largest |B − A| and the flat index of its first occurrence.
    public internal(set) var largestDifference: Float = 0
    public internal(set) var largestIndex = 0

    public var normA: Double { squaresA.squareRoot() }
    public var normB: Double { squaresB.squareRoot() }
    public var differenceNorm: Double { squaredDifferences.squareRoot() }
    /// ‖B − A‖ / ‖A‖; infinite where A is zero and B is not.
    public var relativeChange: Double {
        squaredDifferences == 0 ? 0 : differenceNorm / normA
    }
    /// Cosine between A and B; 1 where both are zero.
    public var cosine: Double {
        let scale = normA * normB
        return scale > 0 ? min(max(products / scale, -1), 1) : (squaredDifferences == 0 ? 1 : 0)
    }
    /// Share of elements whose stored bits are equal, 0 to 1.
    public var identicalFraction: Double {
        elementCount > 0 ? Double(identicalCount) / Double(elementCount) : 1
    }

    /// Adds the statistics of the elements that follow.
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

    /// Adds a tensor for a total; the place of the largest difference loses its meaning.
    mutating func add(_ tensor: TensorComparison) {
        if let statistics = tensor.statistics {
            append(statistics)
        } else if tensor.status == .identical {
            append(TensorDifference(alikeCount: tensor.shapeB?.reduce(1, *) ?? 0))
        }
    }

    /// Of elements that both files store alike.
    init(alikeCount: Int) {
        elementCount = alikeCount
        identicalCount = alikeCount
        unreadCount = alikeCount
    }

    /// Takes the elements that were not read into the norms and the cosine: they are the same on both sides, and make
    /// up what is missing from the squares of all of B.
    mutating func include(allSquaresOfB squares: Double) {
        guard unreadCount > 0 else { return }
        let missing = max(squares - squaresB, 0)
        squaresA += missing
        squaresB += missing
        products += missing
        unreadCount = 0
    }

    /// Of `count` pairs of float32.
    package init(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) {
        elementCount = count
        // Short runs in float32 lanes, then float64: as exact as needed and still vector code.
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
        // Bit patterns of numbers that are not negative are in the order of the numbers.
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
            // Something here is not finite, or squares over- or underflow (or all is zero): once more with care.
            return addRunCarefully(a, b, count: count, offset: offset)
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
            addRunCarefully(
                a + vectors * 8, b + vectors * 8, count: count - vectors * 8, offset: offset + vectors * 8)
        }
    }

    private mutating func addRunCarefully(
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

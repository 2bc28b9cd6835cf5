import Surgery
import Testing

@Suite struct TensorDifferenceTests {
    func statistics(_ a: [Float], _ b: [Float]) -> TensorDifference {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                guard let left = a.baseAddress, let right = b.baseAddress else { preconditionFailure("empty") }
                return TensorDifference(left, right, count: a.count)
            }
        }
    }

    /// The definitions of the statistics in float64.
    struct Naive {
        var relative = 0.0
        var cosine = 0.0
        var largest: Float = 0
        var index = 0
        var flips = 0

        init(_ a: [Float], _ b: [Float]) {
            let pairs = zip(a, b).map { (Double($0), Double($1)) }
            let difference = pairs.reduce(0.0) { $0 + ($1.1 - $1.0) * ($1.1 - $1.0) }.squareRoot()
            let normA = pairs.reduce(0.0) { $0 + $1.0 * $1.0 }.squareRoot()
            let normB = pairs.reduce(0.0) { $0 + $1.1 * $1.1 }.squareRoot()
            relative = difference / normA
            cosine = pairs.reduce(0.0) { $0 + $1.0 * $1.1 } / (normA * normB)
            for (position, pair) in zip(a, b).enumerated() where abs(pair.1 - pair.0) > largest {
                largest = abs(pair.1 - pair.0)
                index = position
            }
            flips = pairs.count { $0.0 * $0.1 < 0 }
        }
    }

    @Test(arguments: [1, 7, 8, 9, 1023, 1024, 1025, 5000])
    func agreesWithTheDefinition(count: Int) {
        let a = TinyModel.values("a", count: count)
        let b = zip(a, TinyModel.values("b", count: count)).map { $0 + $1 * 0.2 }
        let found = statistics(a, b)
        let wanted = Naive(a, b)
        #expect(abs(found.relativeChange / wanted.relative - 1) < 1e-6)
        #expect(abs(found.cosine - wanted.cosine) < 1e-6)
        #expect(found.largestDifference == wanted.largest)
        #expect(found.largestIndex == wanted.index)
        #expect(found.signFlipCount == wanted.flips)
        #expect(found.elementCount == count)
    }

    @Test func countsNonFiniteValues() {
        var a = TinyModel.values("a", count: 3000)
        var b = a
        a[5] = .nan
        b[5] = .nan
        b[2000] = .infinity
        b[2999] += 1
        let found = statistics(a, b)
        #expect(found.nonFiniteA == 1)
        #expect(found.nonFiniteB == 2)
        #expect(abs(found.largestDifference - 1) < 1e-6)
        #expect(found.largestIndex == 2999)
        #expect(found.relativeChange.isFinite)
    }

    @Test func handlesTinyAndHugeValues() {
        let tiny = [Float](repeating: 1e-25, count: 64)
        #expect(abs(statistics(tiny, tiny.map { $0 * 2 }).relativeChange - 1) < 1e-6)
        let huge = [Float](repeating: 1e30, count: 64)
        #expect(abs(statistics(huge, huge.map { $0 * 2 }).relativeChange - 1) < 1e-6)
        let zero = [Float](repeating: 0, count: 64)
        #expect(statistics(zero, zero).relativeChange == 0)
        #expect(statistics(zero, zero).cosine == 1)
        #expect(statistics(zero, tiny).relativeChange == .infinity)
    }
}

import Foundation

/// Cosines and sines of the angles that positions turn a head's pairs by.
final class RotaryTable: @unchecked Sendable {
    let half: Int
    let length: Int
    /// `[length, half]` cosines, then as many sines; never written after `init`.
    private let storage: UnsafeMutableBufferPointer<Float>

    init(_ configuration: ModelConfiguration, length: Int, sequenceLength: Int) {
        half = configuration.headDimension / 2
        self.length = length
        storage = .allocate(capacity: 2 * length * half)
        let (inverse, magnitude) = configuration.ropeScaling.frequencies(
            theta: configuration.ropeTheta, dimension: configuration.headDimension,
            maxPositionEmbeddings: configuration.maxPositionEmbeddings, sequenceLength: sequenceLength)
        // Angles as PyTorch computes them: the frequency and its product with the position in float32.
        let single = inverse.map { Float($0) }
        for position in 0..<length {
            for i in 0..<half {
                let angle = Double(Float(position) * single[i])
                storage[position * half + i] = Float(cos(angle) * magnitude)
                storage[(length + position) * half + i] = Float(sin(angle) * magnitude)
            }
        }
    }

    deinit { storage.deallocate() }

    @inline(__always)
    func cosines(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(storage.baseAddress! + position * half) }

    @inline(__always)
    func sines(_ position: Int) -> UnsafePointer<Float> {
        UnsafePointer(storage.baseAddress! + (length + position) * half)
    }
}

/// Turns pairs (i, i + half) of every head by its token's position.
package enum RotaryEmbedding {
    /// Turns `heads` neighbouring heads of one token in place; `backward` turns the other way, which carries gradients
    /// back (times the table's magnitude, as the forward turn has it too).
    @inline(__always)
    static func turn(
        _ x: UnsafeMutablePointer<Float>, heads: Int, dimension: Int, _ cosines: UnsafePointer<Float>,
        _ sines: UnsafePointer<Float>, backward: Bool
    ) {
        let half = dimension / 2
        for head in 0..<heads {
            let low = x + head * dimension
            let high = low + half
            var i = 0
            while i + 8 <= half {
                let a = load(low, i)
                let b = load(high, i)
                let c = load(cosines, i)
                let s = backward ? -load(sines, i) : load(sines, i)
                store(a * c - b * s, low, i)
                store(b * c + a * s, high, i)
                i += 8
            }
            while i < half {
                let a = low[i]
                let b = high[i]
                let s = backward ? -sines[i] : sines[i]
                low[i] = a * cosines[i] - b * s
                high[i] = b * cosines[i] + a * s
                i += 1
            }
        }
    }

    /// Turns one head by the definition: x cos + rotateHalf(x) sin, rotateHalf(x) = (−x₂, x₁).
    package static func naive(_ x: [Float], angles: [Double]) -> [Float] {
        let half = x.count / 2
        return (0..<x.count).map { i in
            let rotated = i < half ? -Double(x[i + half]) : Double(x[i - half])
            return Float(Double(x[i]) * cos(angles[i % half]) + rotated * sin(angles[i % half]))
        }
    }
}

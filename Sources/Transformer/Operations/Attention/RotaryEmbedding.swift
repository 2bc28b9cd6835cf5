import CheckpointIO
import Foundation

/// Cosines and sines of the rotation angles of all positions up to `length`.
final class RotaryTable: @unchecked Sendable {
    // Sendable because `storage` is not written after `init`.
    let half: Int
    let length: Int
    /// `[length, half]` cosines, then as many sines.
    private let storage: Floats

    init(_ configuration: ModelConfiguration, length: Int, sequenceLength: Int) {
        half = configuration.rotaryDimension / 2
        self.length = length
        storage = .allocate(capacity: 2 * length * half)
        let (inverse, magnitude) = configuration.ropeScaling.frequencies(
            theta: configuration.ropeTheta, dimension: configuration.rotaryDimension,
            maxPositionEmbeddings: configuration.maxPositionEmbeddings, sequenceLength: sequenceLength)
        // Angles as in PyTorch: frequency, and frequency times position, in float32.
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
    func cosines(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(storage + position * half) }

    @inline(__always)
    func sines(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(storage + (length + position) * half) }
}

/// Rotary position embedding (Su et al., 2021): rotates the pairs (i, i + half) of every head by its token's position,
/// where half is half the number of rotated dimensions.
enum RotaryEmbedding {
    /// Rotates the first `rotated` dimensions of adjacent heads `[heads, dimension]` of one token in place.
    ///
    /// `backward` rotates in the other direction, which maps gradients of the result to those of the input.
    @inline(__always)
    static func applyRotary(
        _ x: Floats, heads: Int, dimension: Int, rotated: Int, _ cosines: UnsafePointer<Float>,
        _ sines: UnsafePointer<Float>, backward: Bool
    ) {
        let half = rotated / 2
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
}

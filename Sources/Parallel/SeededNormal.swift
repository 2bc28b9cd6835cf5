import Foundation

/// Normal random numbers from a seed and a stream number: the same on every machine, however the work is divided.
package struct SeededNormal {
    private var generator: SplitMix64
    private var spare: Double?

    package init(seed: UInt64, stream: UInt64) {
        // Two rounds of mixing keep neighbouring seeds and streams apart.
        let mixed = SplitMix64.mix(seed &+ SplitMix64.increment) ^ (stream &* 0xD1B5_4A32_D192_ED03)
        generator = SplitMix64(seed: SplitMix64.mix(mixed))
    }

    /// Uniform in (0, 1].
    private mutating func uniform() -> Double { (Double(generator.next() >> 11) + 1) * 0x1p-53 }

    /// A standard normal value (Box and Muller's transform; both halves are used).
    package mutating func next() -> Double {
        if let value = spare {
            spare = nil
            return value
        }
        let radius = (-2 * log(uniform())).squareRoot()
        let angle = 2 * Double.pi * uniform()
        spare = radius * sin(angle)
        return radius * cos(angle)
    }
}

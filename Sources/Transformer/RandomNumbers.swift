import Foundation

/// Random numbers as a pure function of a key: no state, so they do not depend on the order of work.
package enum CounterRandom {
    /// The 64-bit finaliser of SplitMix64 (Steele, Lea, Flood 2014; Stafford's variant 13).
    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// 64 bits that depend on every part of the key and on their order.
    @inline(__always)
    static func bits(_ seed: UInt64, _ first: Int, _ second: Int, _ third: Int, _ fourth: Int) -> UInt64 {
        var state = mix(seed)
        state = mix(state ^ UInt64(bitPattern: Int64(first)))
        state = mix(state ^ UInt64(bitPattern: Int64(second)))
        state = mix(state ^ UInt64(bitPattern: Int64(third)))
        return mix(state ^ UInt64(bitPattern: Int64(fourth)))
    }

    /// Uniform in [0, 1), 53 bits: the draw for one token.
    package static func uniform(seed: UInt64, step: Int, prompt: Int, sample: Int, position: Int) -> Double {
        Double(bits(seed, step, prompt, sample, position) >> 11) * 0x1p-53
    }

    /// Standard normal (Box and Muller).
    static func normal(seed: UInt64, stream: Int, counter: Int) -> Float {
        let first = Double(bits(seed, stream, counter / 2, 0, 0) >> 11) * 0x1p-53
        let second = Double(bits(seed, stream, counter / 2, 1, 0) >> 11) * 0x1p-53
        let radius = (-2 * log(1 - first)).squareRoot()
        return Float(radius * (counter % 2 == 0 ? cos(2 * .pi * second) : sin(2 * .pi * second)))
    }
}

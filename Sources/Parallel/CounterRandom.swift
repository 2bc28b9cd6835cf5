import Foundation

/// Random numbers as a pure function of a key, so they do not depend on the order of work.
package enum CounterRandom {
    /// The SplitMix64 output for the state `value`.
    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 { SplitMix64.mix(value &+ SplitMix64.increment) }

    /// 64 bits that depend on every part of the key and on their order.
    @inline(__always)
    private static func bits(_ seed: UInt64, _ first: Int, _ second: Int, _ third: Int, _ fourth: Int) -> UInt64 {
        var state = mix(seed)
        state = mix(state ^ UInt64(bitPattern: Int64(first)))
        state = mix(state ^ UInt64(bitPattern: Int64(second)))
        state = mix(state ^ UInt64(bitPattern: Int64(third)))
        return mix(state ^ UInt64(bitPattern: Int64(fourth)))
    }

    /// The draw for one token: uniform in [0, 1), 53 bits.
    package static func uniform(seed: UInt64, step: Int, prompt: Int, sample: Int, position: Int) -> Double {
        Double(bits(seed, step, prompt, sample, position) >> 11) * 0x1p-53
    }

    /// Numbers with a common part of their key.
    package struct Stream: Sendable {
        private let state: UInt64

        package init(seed: UInt64, _ first: Int, _ second: Int, _ third: Int) {
            var state = mix(seed)
            state = mix(state ^ UInt64(bitPattern: Int64(first)))
            state = mix(state ^ UInt64(bitPattern: Int64(second)))
            self.state = mix(state ^ UInt64(bitPattern: Int64(third)))
        }

        /// Uniform in [0, 1), 53 bits.
        @inline(__always)
        package func uniform(_ counter: Int) -> Double {
            Double(mix(state ^ UInt64(bitPattern: Int64(counter))) >> 11) * 0x1p-53
        }
    }

    /// The key of a stream of random words at a step of a run.
    package static func key(seed: UInt64, step: Int, stream: Int) -> UInt64 { bits(seed, step, stream, -1, 0) }

    /// Standard normal (Box and Muller's transform).
    package static func normal(seed: UInt64, stream: Int, counter: Int) -> Float {
        let first = Double(bits(seed, stream, counter / 2, 0, 0) >> 11) * 0x1p-53
        let second = Double(bits(seed, stream, counter / 2, 1, 0) >> 11) * 0x1p-53
        let radius = (-2 * log(1 - first)).squareRoot()
        return Float(radius * (counter % 2 == 0 ? cos(2 * .pi * second) : sin(2 * .pi * second)))
    }
}

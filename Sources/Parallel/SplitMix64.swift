/// SplitMix64: a small generator that gives the same sequence on every machine, for data that a seed must reproduce.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014; finaliser: Stafford's variant
/// 13.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    /// The increment of the state: 2⁶⁴ divided by the golden ratio.
    package static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// A stream named by keys: equal seeds and keys give equal streams, whatever was drawn before.
    package init(seed: UInt64, keys: UInt64...) {
        state = seed
        for key in keys { state = Self.mix(state ^ Self.mix(key &+ Self.increment)) }
    }

    package mutating func next() -> UInt64 {
        state &+= Self.increment
        return Self.mix(state)
    }

    /// The output function: mixes all bits of `value`.
    @inline(__always)
    package static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

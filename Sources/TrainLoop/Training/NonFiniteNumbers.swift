import Transformer

extension ModelParameters {
    /// The first parameter with a number that is not finite, and how many it has; nil if all numbers are finite.
    var firstNotFinite: (name: String, count: Int)? {
        for description in layout {
            var count = self[description.name]?.reduce(0) { $0 + ($1.isFinite ? 0 : 1) } ?? 0
            // The exponent of infinities and NaN.
            count += halves(description.name)?.reduce(0) { $0 + ($1 & 0x7F80 == 0x7F80 ? 1 : 0) } ?? 0
            if count > 0 { return (description.name, count) }
        }
        return nil
    }
}

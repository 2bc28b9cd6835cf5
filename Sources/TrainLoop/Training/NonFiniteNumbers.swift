import Transformer

extension ModelParameters {
    /// The first parameter with a number that is not finite, and how many it has; nil if all numbers are finite.
    var firstNotFinite: (name: String, count: Int)? {
        for description in layout {
            guard let values = self[description.name] else { continue }
            let count = values.reduce(0) { $0 + ($1.isFinite ? 0 : 1) }
            if count > 0 { return (description.name, count) }
        }
        return nil
    }
}

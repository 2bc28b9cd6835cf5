/// Orders tensors as a forward pass meets them: the embedding, layers by number, the last norm, the head.
struct ModelOrder: Comparable {
    /// Numbers sort by value, before any text.
    private struct Part: Comparable {
        var number: Int
        var text: String

        static func < (left: Part, right: Part) -> Bool {
            (left.number, left.text) < (right.number, right.text)
        }
    }

    private let place: Int
    private let parts: [Part]

    init(_ name: String) {
        let firsts = ["model.embed_tokens.", "model.layers.", "model.norm.", "lm_head."]
        place = firsts.firstIndex { name.hasPrefix($0) } ?? 1
        parts = name.split(separator: ".").map { part in
            if let number = Int(part) { Part(number: number, text: "") } else { Part(number: .max, text: String(part)) }
        }
    }

    static func areInOrder(_ left: TensorDescription, _ right: TensorDescription) -> Bool {
        ModelOrder(left.name) < ModelOrder(right.name)
    }

    static func < (left: ModelOrder, right: ModelOrder) -> Bool {
        left.place == right.place ? left.parts.lexicographicallyPrecedes(right.parts) : left.place < right.place
    }
}

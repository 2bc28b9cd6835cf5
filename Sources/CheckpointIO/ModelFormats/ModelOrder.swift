/// Orders tensors as a forward pass uses them: the embedding, the layers by number, the last norm, the head.
struct ModelOrder: Comparable {
    /// A component of a name; numbers sort by value and before texts.
    private struct NameComponent: Comparable {
        var number: Int
        var text: String

        static func < (left: NameComponent, right: NameComponent) -> Bool {
            (left.number, left.text) < (right.number, right.text)
        }
    }

    private let section: Int
    private let components: [NameComponent]

    init(_ name: String) {
        let sections = ["model.embed_tokens.", "model.layers.", "model.norm.", "lm_head."]
        section = sections.firstIndex { name.hasPrefix($0) } ?? 1
        components = name.split(separator: ".").map { text in
            Int(text).map { NameComponent(number: $0, text: "") } ?? NameComponent(number: .max, text: String(text))
        }
    }

    static func areInOrder(_ left: TensorDescription, _ right: TensorDescription) -> Bool {
        ModelOrder(left.name) < ModelOrder(right.name)
    }

    static func < (left: ModelOrder, right: ModelOrder) -> Bool {
        left.section == right.section
            ? left.components.lexicographicallyPrecedes(right.components) : left.section < right.section
    }
}

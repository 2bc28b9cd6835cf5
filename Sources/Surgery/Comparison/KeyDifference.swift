import OrderedJSON

/// One member in which two JSON texts differ.
public struct KeyDifference: Sendable, Equatable {
    /// Names from the outside in, joined by dots.
    public let path: String
    /// Nil where that side has no such member.
    public let a: JSON?
    public let b: JSON?

    /// The members that differ, in A's order, then what only B has. Arrays count as one value.
    static func between(_ a: JSON, _ b: JSON, path: String = "") -> [KeyDifference] {
        if a == b { return [] }
        guard let left = a.object, let right = b.object else { return [KeyDifference(path: path, a: a, b: b)] }
        var result: [KeyDifference] = []
        for key in left.keys + right.keys.filter({ left[$0] == nil }) {
            let name = path.isEmpty ? key : path + "." + key
            switch (left[key], right[key]) {
            case (let left?, let right?): result += between(left, right, path: name)
            case (let left, let right): result.append(KeyDifference(path: name, a: left, b: right))
            }
        }
        return result
    }

    /// Of two optional texts; a text that is no JSON is compared as a string.
    static func between(text a: String?, _ b: String?) -> [KeyDifference] {
        if a == b { return [] }
        func value(_ text: String?) -> JSON? { text.map { (try? JSON.parse($0)) ?? .string($0) } }
        guard let left = value(a), let right = value(b) else {
            return [KeyDifference(path: "", a: value(a), b: value(b))]
        }
        return between(left, right)
    }

    var json: JSON { ["key": .string(path), "a": a ?? .null, "b": b ?? .null] }
}

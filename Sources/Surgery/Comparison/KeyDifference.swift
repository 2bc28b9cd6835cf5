import OrderedJSON

/// A member in which two JSON values differ.
package struct KeyDifference: Sendable, Equatable {
    /// The member names from the outermost in, joined by dots.
    package let path: String
    /// nil if A has no such member.
    package let a: JSON?
    /// nil if B has no such member.
    package let b: JSON?

    /// The members that differ, in A's order and then those only in B; arrays are compared as a whole.
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

    /// Compares two JSON texts; invalid JSON is compared as a string.
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

import OrderedJSON

/// The names of the levels of difficulty in a run's metrics.
///
/// A level is any text of a data file. Its name in metrics is short, has no `/`, space or invisible character, and is
/// not that of another level.
struct LevelNames: Sendable {
    private var names: [String: String] = [:]

    /// Data with more levels has no metrics by level.
    private static let maximumCount = 32
    private static let maximumBytes = 64

    /// Names the levels of all problems of a run, so that a resumed run uses the same names.
    init(_ levels: Set<String>) {
        let levels = levels.subtracting([""])
        guard levels.count <= Self.maximumCount else { return }
        // Levels that need no change keep their names.
        let sorted = levels.sorted()
        for level in sorted where Self.encoded(level) == level { names[level] = level }
        var used = Set(names.values)
        for level in sorted where names[level] == nil {
            let encoded = Self.encoded(level)
            var name = encoded
            var number = 2
            while !used.insert(name).inserted {
                name = "\(encoded)_\(number)"
                number += 1
            }
            names[level] = name
        }
    }

    /// The name of a level; nil if there are no metrics by level.
    subscript(level: String) -> String? { names[level] }

    private static func encoded(_ level: String) -> String {
        var result = String.UnicodeScalarView()
        var byteCount = 0
        for character in level {
            // A mark without a letter would join the character before it.
            let startsWithMark = character.unicodeScalars.first?.properties.isGraphemeExtend ?? true
            let isKept =
                character != "/" && !character.isWhitespace && !startsWithMark
                && character.unicodeScalars.allSatisfy(\.isPlain)
            for scalar in isKept ? Array(character.unicodeScalars) : ["_"] {
                byteCount += UTF8.width(scalar)
                guard byteCount <= maximumBytes else { return String(result) }
                result.append(scalar)
            }
        }
        return String(result)
    }
}

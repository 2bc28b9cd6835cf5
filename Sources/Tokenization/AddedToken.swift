/// A token that is found in the text before the model sees it.
public struct AddedToken: Sendable, Equatable {
    public var id: Int
    public var content: String
    /// Only where no word character touches it.
    public var singleWord: Bool
    /// Takes the white space before it along.
    public var lstrip: Bool
    /// Takes the white space behind it along.
    public var rstrip: Bool
    /// Looked for in the normalized text, not in the text as given.
    public var normalized: Bool
    /// Left out by a decoder that skips special tokens.
    public var special: Bool

    public init(
        id: Int, content: String, singleWord: Bool = false, lstrip: Bool = false, rstrip: Bool = false,
        normalized: Bool = false, special: Bool = true
    ) {
        self.id = id
        self.content = content
        self.singleWord = singleWord
        self.lstrip = lstrip
        self.rstrip = rstrip
        self.normalized = normalized
        self.special = special
    }
}

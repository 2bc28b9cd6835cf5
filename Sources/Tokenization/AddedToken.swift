/// A token that is matched in the text before pre-tokenization and BPE; fields as in `tokenizer.json`.
public struct AddedToken: Sendable, Equatable {
    public var id: Int
    public var content: String
    /// Matches only if no word character is adjacent.
    public var singleWord: Bool
    /// Absorbs white space on the left.
    public var lstrip: Bool
    /// Absorbs white space on the right.
    public var rstrip: Bool
    /// Matched in the normalized text instead of the raw text.
    public var normalized: Bool
    /// Omitted when decoding skips special tokens.
    public var special: Bool

    /// Creates a token; the flags default to those of a special token such as `<|im_end|>`.
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

/// What stands before a text that is encoded alone.
///
/// It decides about the space that SentencePiece's tokenizers put in front.
public enum TextPosition: Sendable {
    /// Nothing: the text is a whole one, or its start.
    case start
    /// An added token, such as a control token.
    case afterAddedToken
    /// Other text, which the text continues.
    case afterText
}

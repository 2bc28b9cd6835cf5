/// Turns ids into text one at a time, never giving out part of a character.
///
/// All that `append` returned, and `finish` at the end, put together is what `Tokenizer.decode` gives for all ids.
public struct StreamingDecoder: Sendable {
    private let storage: Tokenizer.Storage
    private let skipsSpecialTokens: Bool
    private let isByteLevel: Bool
    /// Byte-level: bytes that begin a character.
    private var pending: [UInt8] = []
    /// Other decoders look at neighbours: ids since the last place where the text could be cut, and how much of their
    /// text is out already.
    private var window: [Int] = []
    private var emitted = ""

    init(_ storage: Tokenizer.Storage, skippingSpecialTokens: Bool) {
        self.storage = storage
        skipsSpecialTokens = skippingSpecialTokens
        if storage.decoders.count == 1, case .byteLevel = storage.decoders[0] {
            isByteLevel = true
        } else {
            isByteLevel = false
        }
    }

    /// The text that this id completes; empty while a character is unfinished.
    public mutating func append(_ id: Int) -> String {
        guard isByteLevel else { return appendToWindow(id) }
        guard let token = storage.text(of: id, skippingSpecialTokens: skipsSpecialTokens) else { return "" }
        pending += ByteLevelAlphabet.bytes(of: token) ?? Array(token.utf8)
        let whole = pending.count - UTF8Scan.incompleteTail(pending)
        let text = String(decoding: pending[..<whole], as: UTF8.self)
        pending.removeFirst(whole)
        return text
    }

    /// What is left at the end: U+FFFD for a character that was never completed, else nothing.
    public mutating func finish() -> String {
        guard isByteLevel else { return rest(of: storage.decode(window, skippingSpecialTokens: skipsSpecialTokens)) }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Decodes the window again with the new id; what is beyond the text already out is new.
    private mutating func appendToWindow(_ id: Int) -> String {
        window.append(id)
        let text = storage.decode(window, skippingSpecialTokens: skipsSpecialTokens)
        guard !text.utf8.isEmpty, text.unicodeScalars.last != "\u{FFFD}" else { return "" }
        return rest(of: text)
    }

    private mutating func rest(of text: String) -> String {
        let new = String(decoding: text.utf8.dropFirst(emitted.utf8.count), as: UTF8.self)
        emitted = text
        return new
    }
}

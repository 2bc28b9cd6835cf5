/// Turns ids into text one at a time, never giving out part of a character.
///
/// All that `append` returned, and `finish` at the end, put together is what `Tokenizer.decode` gives for all ids.
public struct StreamingDecoder: Sendable {
    private enum Method {
        /// Bytes that are text as soon as they are whole characters.
        case bytes
        /// Tokens whose text does not depend on later ones, but for runs of tokens that stand for single bytes.
        case window
        /// Steps that look at the whole text: nothing is certain before the end.
        case atEnd
    }

    private let storage: Tokenizer.Storage
    private let skipsSpecialTokens: Bool
    private let method: Method
    /// Bytes that begin a character.
    private var pending: [UInt8] = []
    /// The ids that gave the last text, as context for what the decoder does at a start, and those behind them.
    private var window: [Int] = []
    private var contextCount = 0

    init(_ storage: Tokenizer.Storage, skippingSpecialTokens: Bool) {
        self.storage = storage
        skipsSpecialTokens = skippingSpecialTokens
        method = Self.method(for: storage.decoders)
    }

    private static func method(for decoders: [TokenDecoder]) -> Method {
        if decoders.count == 1, case .byteLevel = decoders[0] { return .bytes }
        var isFused = false
        for decoder in decoders {
            switch decoder {
            case .byteLevel: return .atEnd
            case .byteFallback where isFused, .replace where isFused: return .atEnd
            case .strip(_, _, let stop) where stop > 0: return .atEnd
            case .fuse: isFused = true
            case .byteFallback, .replace, .strip: break
            }
        }
        return .window
    }

    /// The text that this id completes; empty while a character is unfinished.
    public mutating func append(_ id: Int) -> String {
        guard let token = storage.text(of: id, skippingSpecialTokens: skipsSpecialTokens) else { return "" }
        switch method {
        case .bytes:
            pending += ByteLevelAlphabet.bytes(of: token) ?? Array(token.utf8)
            let whole = pending.count - UTF8Scan.incompleteTail(pending)
            let text = String(decoding: pending[..<whole], as: UTF8.self)
            pending.removeFirst(whole)
            return text
        case .window:
            window.append(id)
            // A run of bytes is text only if all of it is; it ends with the first other token.
            return TokenDecoder.byte(of: token) == nil ? takeWindow() : ""
        case .atEnd:
            window.append(id)
            return ""
        }
    }

    /// What is left at the end: U+FFFD for a character that was never completed, else mostly nothing.
    public mutating func finish() -> String {
        guard case .bytes = method else { return takeWindow() }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// The text of the window without that of its context; what gave it becomes the context of what follows.
    private mutating func takeWindow() -> String {
        let context = storage.decode(window[..<contextCount], skippingSpecialTokens: skipsSpecialTokens)
        let text = storage.decode(window, skippingSpecialTokens: skipsSpecialTokens)
        window.removeFirst(contextCount)
        contextCount = window.count
        return String(decoding: text.utf8.dropFirst(context.utf8.count), as: UTF8.self)
    }
}

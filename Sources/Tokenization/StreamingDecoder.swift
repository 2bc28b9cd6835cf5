/// How a decoder's output can be emitted before all ids are known.
private enum StreamingMethod {
    /// Bytes, emitted as soon as they form whole characters.
    case bytes
    /// Tokens whose text does not depend on later ones, except for runs of byte tokens.
    case window
    /// Steps that need the whole text, so nothing is emitted before the end.
    case atEnd
}

/// Decodes ids one at a time and never emits part of a character.
///
/// The concatenated results of `append` and `finish` equal `Tokenizer.decode` of all ids.
public struct StreamingDecoder: Sendable {
    private let storage: Tokenizer.Storage
    private let skipsSpecialTokens: Bool
    private let method: StreamingMethod
    /// Bytes of an incomplete character.
    private var pending: [UInt8] = []
    /// Ids of the last emitted text, as left context, followed by ids not yet emitted.
    private var window: [Int] = []
    private var contextCount = 0

    init(_ storage: Tokenizer.Storage, skippingSpecialTokens: Bool) {
        self.storage = storage
        skipsSpecialTokens = skippingSpecialTokens
        method = Self.method(for: storage.decoders)
    }

    private static func method(for decoders: [TokenDecoder]) -> StreamingMethod {
        if decoders.count == 1, case .byteLevel = decoders[0] { return .bytes }
        var isFused = false
        for decoder in decoders {
            switch decoder {
            case .byteLevel: return .atEnd
            case .byteFallback where isFused, .replace where isFused: return .atEnd
            case .strip(_, let start, let stop) where stop > 0 || isFused && start > 1: return .atEnd
            case .metaspace where isFused: return .atEnd
            case .fuse: isFused = true
            case .byteFallback, .replace, .strip, .metaspace: break
            }
        }
        return .window
    }

    /// Decodes one id and returns the text it completes; empty while a character is incomplete.
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
            // A run of byte tokens is decoded as a whole once another token ends it.
            return TokenDecoder.byte(of: token) == nil ? takeWindow() : ""
        case .atEnd:
            window.append(id)
            return ""
        }
    }

    /// Returns the remaining text: U+FFFD for an incomplete character, usually nothing.
    public mutating func finish() -> String {
        guard case .bytes = method else { return takeWindow() }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Returns the text of the window after its context; the ids of that text become the new context.
    private mutating func takeWindow() -> String {
        let context = storage.decode(window[..<contextCount], skippingSpecialTokens: skipsSpecialTokens)
        let text = storage.decode(window, skippingSpecialTokens: skipsSpecialTokens)
        window.removeFirst(contextCount)
        contextCount = window.count
        return String(decoding: text.utf8.dropFirst(context.utf8.count), as: UTF8.self)
    }
}

import CPCRE2

/// A compiled pattern of a pre-tokenizer or normalizer.
///
/// `Sendable` because PCRE2 never changes compiled code and a match context during matching.
final class SplitPattern: @unchecked Sendable {
    private let code: OpaquePointer
    private let context: OpaquePointer
    private let hasJIT: Bool
    /// Patterns for which a backtracking matcher takes quadratic time.
    private enum ByHand: String {
        case trailingSpace = #"\s+$"#
        case outerSpaces = #"\A +| +\z"#
    }
    private let byHand: ByHand?

    /// More backtracking than any real pre-tokenizer needs; bounds the time of a hostile pattern.
    private static let matchLimit: UInt32 = 200_000_000

    /// Compiles a pattern.
    ///
    /// - Parameters:
    ///   - pattern: in the syntax of the `tokenizers` library (Oniguruma, Ruby).
    ///   - place: the path within `tokenizer.json`, for errors.
    /// - Throws: `TokenizerError` if the pattern is unsupported or does not compile.
    init(_ pattern: String, at place: String) throws {
        byHand = ByHand(rawValue: pattern)
        let translated = Array(try PatternTranslation.translate(pattern, at: place).utf8)
        var errorCode: Int32 = 0
        var errorOffset = 0
        let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        guard
            let code = translated.withUnsafeBufferPointer({
                pcre2_compile_8($0.baseAddress, $0.count, options, &errorCode, &errorOffset, nil)
            })
        else {
            var message = [UInt8](repeating: 0, count: 256)
            let length = pcre2_get_error_message_8(errorCode, &message, message.count)
            let text = length > 0 ? String(decoding: message[..<Int(length)], as: UTF8.self) : "error \(errorCode)"
            throw TokenizerError.malformed(place: place, reason: "the pattern does not compile: \(text)")
        }
        guard let context = pcre2_match_context_create_8(nil) else {
            pcre2_code_free_8(code)
            throw TokenizerError.malformed(place: place, reason: "out of memory for the pattern")
        }
        pcre2_set_match_limit_8(context, Self.matchLimit)
        self.code = code
        self.context = context
        hasJIT = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE)) == 0
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// Calls `body` with the range of each match from left to right, without overlaps.
    ///
    /// An empty match directly after another match is skipped. If the matcher reaches its limit, the rest of the text
    /// counts as having no matches.
    ///
    /// - Parameters:
    ///   - text: valid UTF-8.
    ///   - body: receives byte ranges of `text`.
    func forEachMatch(in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
        switch byHand {
        case .trailingSpace: return forEachTrailingSpace(in: text, body)
        case .outerSpaces: return forEachOuterSpaces(in: text, body)
        case nil: break
        }
        guard let base = text.baseAddress, let data = pcre2_match_data_create_8(1, nil) else { return }
        defer { pcre2_match_data_free_8(data) }
        guard let offsets = pcre2_get_ovector_pointer_8(data) else { return }
        var position = 0
        var lastEnd = -1
        while position <= text.count {
            guard match(base, text.count, from: position, data) else { return }
            let (start, end) = (offsets[0], offsets[1])
            if start < end {
                body(start..<end)
                lastEnd = end
                position = end
            } else {
                if start != lastEnd { body(start..<start) }
                guard start < text.count else { return }
                position = start + UTF8Scan.length(ofLead: text[start])
            }
        }
    }

    @inline(__always)
    private func match(_ base: UnsafePointer<UInt8>, _ count: Int, from position: Int, _ data: OpaquePointer) -> Bool {
        let options = UInt32(PCRE2_NO_UTF_CHECK)
        guard hasJIT else { return pcre2_match_8(code, base, count, position, options, data, context) > 0 }
        let result = pcre2_jit_match_8(code, base, count, position, 0, data, context)
        if result == PCRE2_ERROR_JIT_STACKLIMIT {
            // The interpreter allocates its frames on the heap.
            return pcre2_match_8(code, base, count, position, options | UInt32(PCRE2_NO_JIT), data, context) > 0
        }
        return result > 0
    }

    /// Matches the spaces at the start and at the end of the text.
    private func forEachOuterSpaces(in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
        let start = text.firstIndex { $0 != UInt8(ascii: " ") } ?? text.count
        if start > 0 { body(0..<start) }
        let end = (text.lastIndex { $0 != UInt8(ascii: " ") } ?? text.count - 1) + 1
        if end > start, end < text.count { body(end..<text.count) }
    }

    /// Matches `\s+$`: white space up to the end of a line or of the text, including newlines before the last.
    private func forEachTrailingSpace(in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
        var position = 0
        while position < text.count {
            let (scalar, length) = UTF8Scan.scalar(text, at: position)
            guard scalar.properties.isWhitespace else {
                position += length
                continue
            }
            let start = position
            var lastNewline = -1
            while position < text.count {
                let (scalar, length) = UTF8Scan.scalar(text, at: position)
                guard scalar.properties.isWhitespace else { break }
                if scalar == "\n", position > start { lastNewline = position }
                position += length
            }
            if position == text.count {
                body(start..<position)
            } else if lastNewline >= 0 {
                body(start..<lastNewline)
            }
        }
    }
}

extension Tokenizer {
    /// Name and version of the pattern library.
    package static var library: String { "PCRE2 \(PCRE2_MAJOR).\(PCRE2_MINOR)" }
}

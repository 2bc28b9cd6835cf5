import CPCRE2
import OrderedJSON
import Synchronization

/// A compiled pattern of a pre-tokenizer or normalizer.
///
/// `Sendable` because PCRE2 never changes compiled code and a match context during matching.
final class SplitPattern: @unchecked Sendable {
    private let code: OpaquePointer
    private let context: OpaquePointer
    private let hasJIT: Bool
    private let isExhausted = Atomic(false)
    /// Patterns for which a backtracking matcher takes quadratic time.
    private enum ByHand: String {
        case trailingSpace = #"\s+$"#
        case outerSpaces = #"\A +| +\z"#
    }
    private let byHand: ByHand?
    private let pattern: String
    private let place: String
    /// nil for a pattern that is known to take linear time.
    private let budget: PatternBudget?

    /// Backtracking points of one match; bounds it even where steps are not counted.
    private static let matchLimit: UInt32 = 200_000_000
    /// The interpreter's memory for one match, in KiB.
    private static let heapLimit: UInt32 = 256 << 10

    /// Patterns of published tokenizers, which take linear time: counting their steps would double it.
    private static let linear: Set<String> = {
        let modern = [#"\p{N}"#, #"\p{N}{1,3}"#].map { digits in
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
                + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        }
        return Set([PreTokenizer.byteLevelPattern, PreTokenizer.whitespacePattern] + modern)
    }()

    /// Compiles a pattern.
    ///
    /// - Parameters:
    ///   - pattern: in the syntax of the `tokenizers` library (Oniguruma, Ruby).
    ///   - place: the path within `tokenizer.json`, for errors.
    /// - Throws: `TokenizerError` if the pattern is unsupported or does not compile.
    init(_ pattern: String, at place: String) throws {
        byHand = ByHand(rawValue: pattern)
        self.pattern = pattern
        self.place = place
        budget = Self.linear.contains(pattern) ? nil : PatternBudget()
        let translated = Array(try PatternTranslation.translate(pattern, at: place).utf8)
        var errorCode: Int32 = 0
        var errorOffset = 0
        let options =
            UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE) | UInt32(PCRE2_NEVER_BACKSLASH_C)
            | (budget == nil ? 0 : UInt32(PCRE2_AUTO_CALLOUT))
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
        pcre2_set_heap_limit_8(context, Self.heapLimit)
        self.code = code
        self.context = context
        hasJIT = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE)) == 0
    }

    /// The fewest bytes that a match has; 0 if that is unknown.
    var minimumByteCount: Int {
        var count: UInt32 = 0
        return pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_MINLENGTH), &count) == 0 ? Int(count) : 0
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// Calls `body` with the range of each match from left to right, without overlaps.
    ///
    /// An empty match directly after another match is skipped. If the matcher reaches a limit, the rest of the text
    /// counts as having no matches, and `check` throws from then on.
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
        guard !isExhausted.load(ordering: .relaxed), let base = text.baseAddress,
            let data = pcre2_match_data_create_8(1, nil)
        else { return }
        defer { pcre2_match_data_free_8(data) }
        guard let offsets = pcre2_get_ovector_pointer_8(data) else { return }
        guard let budget else { return forEachMatch(base, text, data, offsets, context, body) }
        guard let counting = pcre2_match_context_copy_8(context) else { return }
        defer { pcre2_match_context_free_8(counting) }
        var steps = budget.start(byteCount: text.count)
        withUnsafeMutablePointer(to: &steps) { steps in
            pcre2_set_callout_8(counting, { PatternBudget.count($0, $1) }, steps)
            forEachMatch(base, text, data, offsets, counting, body)
        }
        budget.finish(steps)
    }

    private func forEachMatch(
        _ base: UnsafePointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>, _ data: OpaquePointer,
        _ offsets: UnsafeMutablePointer<Int>, _ context: OpaquePointer, _ body: (Range<Int>) -> Void
    ) {
        var position = 0
        var lastEnd = -1
        while position <= text.count {
            guard match(base, text.count, from: position, data, context) else { return }
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
    private func match(
        _ base: UnsafePointer<UInt8>, _ count: Int, from position: Int, _ data: OpaquePointer, _ context: OpaquePointer
    ) -> Bool {
        let options = UInt32(PCRE2_NO_UTF_CHECK)
        var result = PCRE2_ERROR_JIT_STACKLIMIT
        if hasJIT { result = pcre2_jit_match_8(code, base, count, position, 0, data, context) }
        if result == PCRE2_ERROR_JIT_STACKLIMIT {
            // The interpreter allocates its frames on the heap.
            result = pcre2_match_8(code, base, count, position, options | UInt32(PCRE2_NO_JIT), data, context)
        }
        if result < 0, result != PCRE2_ERROR_NOMATCH { isExhausted.store(true, ordering: .relaxed) }
        return result > 0
    }

    /// Checks that every match so far ended within the limits.
    ///
    /// - Throws: `TokenizerError`, which names the pattern.
    func check() throws {
        guard isExhausted.load(ordering: .relaxed) else { return }
        throw TokenizerError.malformed(
            place: place,
            reason:
                "the pattern \(pattern.onOneLine(limit: 80)) takes too many steps for a text; use one that does not "
                + "backtrack")
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

/// The steps that a pattern may take, in proportion to the text that it has read.
///
/// A step is an item of the pattern that is tried, or a byte between two such places. Published patterns take 5 a byte.
private final class PatternBudget: Sendable {
    private static let free = 10_000_000
    private static let perByte = 100
    /// Steps that are left, over all texts.
    private let left = Atomic(PatternBudget.free)

    /// The count of one text's steps.
    struct Steps {
        fileprivate var left: Int
        fileprivate var position = 0
    }

    func start(byteCount: Int) -> Steps {
        Steps(left: left.load(ordering: .relaxed) + Self.perByte * byteCount)
    }

    /// Takes what a text has left over, at most as much as a pattern has before the first.
    func finish(_ steps: Steps) { left.store(min(steps.left, Self.free), ordering: .relaxed) }

    /// Counts an item of the pattern that is tried; 0 to go on.
    static func count(
        _ block: UnsafeMutablePointer<pcre2_callout_block_8>?, _ data: UnsafeMutableRawPointer?
    ) -> Int32 {
        guard let block, let steps = data?.assumingMemoryBound(to: Steps.self) else { return 0 }
        let position = Int(block.pointee.current_position)
        steps.pointee.left -= 1 + abs(position - steps.pointee.position)
        steps.pointee.position = position
        return steps.pointee.left > 0 ? 0 : PCRE2_ERROR_CALLOUT
    }
}

extension Tokenizer {
    /// Name and version of the pattern library.
    package static var library: String { "PCRE2 \(PCRE2_MAJOR).\(PCRE2_MINOR)" }
}

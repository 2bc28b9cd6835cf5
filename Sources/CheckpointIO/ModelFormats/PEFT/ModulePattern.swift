import CPCRE2

/// A regular expression of PEFT's configuration, which is matched against the whole name of a module.
///
/// `Sendable` because PCRE2 never changes compiled code and a match context during matching.
final class ModulePattern: @unchecked Sendable {
    private let code: OpaquePointer
    private let context: OpaquePointer
    private let text: String
    private let path: String

    /// Backtracking points of one match; a usual pattern needs some hundred.
    private static let matchLimit: UInt32 = 100_000
    /// The matcher's memory, in KiB.
    private static let heapLimit: UInt32 = 8 << 10
    private static let maximumByteCount = 16 << 10

    /// Compiles a pattern in the syntax of Python's `re`; `path` is the configuration's file, for errors.
    ///
    /// - Throws: `ModelFormatError` if the pattern does not compile.
    init(_ pattern: String, path: String) throws {
        text = pattern
        self.path = path
        let bytes = Array(pattern.utf8)
        guard bytes.count <= Self.maximumByteCount else {
            throw Self.malformed(pattern, path, "has more than \(Self.maximumByteCount) bytes")
        }
        var errorCode: Int32 = 0
        var errorOffset = 0
        let options =
            UInt32(PCRE2_UTF) | UInt32(PCRE2_ANCHORED) | UInt32(PCRE2_ENDANCHORED) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        guard
            let code = bytes.withUnsafeBufferPointer({
                pcre2_compile_8($0.baseAddress, $0.count, options, &errorCode, &errorOffset, nil)
            })
        else { throw Self.malformed(pattern, path, "is not a regular expression (byte \(errorOffset))") }
        guard let context = pcre2_match_context_create_8(nil) else {
            pcre2_code_free_8(code)
            throw Self.malformed(pattern, path, "does not fit into memory")
        }
        pcre2_set_match_limit_8(context, Self.matchLimit)
        pcre2_set_heap_limit_8(context, Self.heapLimit)
        self.code = code
        self.context = context
    }

    deinit {
        pcre2_match_context_free_8(context)
        pcre2_code_free_8(code)
    }

    /// Whether the pattern matches the whole name.
    ///
    /// - Throws: `ModelFormatError` if the matcher reaches a limit.
    func matches(_ name: String) throws -> Bool {
        guard let data = pcre2_match_data_create_8(1, nil) else {
            throw Self.malformed(text, path, "does not fit into memory")
        }
        defer { pcre2_match_data_free_8(data) }
        let bytes = Array(name.utf8)
        let result = bytes.withUnsafeBufferPointer {
            pcre2_match_8(code, $0.baseAddress, $0.count, 0, 0, data, context)
        }
        guard result >= 0 || result == PCRE2_ERROR_NOMATCH else {
            throw Self.malformed(text, path, "takes too long to match; simplify it")
        }
        return result >= 0
    }

    private static func malformed(_ pattern: String, _ path: String, _ reason: String) -> ModelFormatError {
        .malformed(path: path, place: "pattern \(quoted(pattern))", reason: reason)
    }
}

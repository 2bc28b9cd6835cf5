import OrderedJSON

/// What kind of problem a `TemplateError` reports.
public enum TemplateErrorKind: Sendable, Equatable {
    /// The text is not a valid template or uses an unsupported construct.
    case syntax
    /// Evaluating an expression failed.
    case evaluation
    /// The template called `raise_exception` to reject the conversation.
    case refusedByTemplate
    /// The template exceeded the limit of time, memory, output or depth.
    case limit
}

/// Why a chat template cannot be used or failed to render, with its place in the source.
public struct TemplateError: Error, Equatable, CustomStringConvertible {
    public let kind: TemplateErrorKind
    /// The cause in one line.
    public let reason: String
    /// The line, from 1.
    public let line: Int
    /// The column in characters, from 1.
    public let column: Int

    /// The place and the reason in one line.
    public var description: String {
        kind == .refusedByTemplate
            ? "the chat template refuses the conversation (line \(line), column \(column)): \(reason)"
            : "chat template, line \(line), column \(column): \(reason)"
    }
}

/// An error inside the interpreter, located by an offset that becomes a `TemplateError` with line and column.
struct TemplateFault: Error {
    var kind: TemplateErrorKind
    var reason: String
    /// In scalars of the source; nil until a node adds its own.
    var offset: Int?

    init(_ reason: String, kind: TemplateErrorKind = .evaluation, at offset: Int? = nil) {
        self.kind = kind
        self.reason = reason
        self.offset = offset
    }

    func located(at offset: Int) -> TemplateFault {
        var fault = self
        if fault.offset == nil { fault.offset = offset }
        return fault
    }

    func error(in source: [Unicode.Scalar]) -> TemplateError {
        var line = 1
        var lineStart = 0
        let offset = min(offset ?? 0, source.count)
        for index in 0..<offset where source[index] == "\n" {
            line += 1
            lineStart = index + 1
        }
        // The template's message may contain line breaks and control characters.
        let words = reason.split(whereSeparator: \.isNewline).joined(separator: " ").onOneLine()
        return TemplateError(kind: kind, reason: words, line: line, column: offset - lineStart + 1)
    }
}

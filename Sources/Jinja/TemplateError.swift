import OrderedJSON

/// Why a chat template cannot be used or did not render, and where in it.
public struct TemplateError: Error, Equatable, CustomStringConvertible {
    public enum Kind: Sendable, Equatable {
        /// The text is no template, or uses what this interpreter does not know.
        case syntax
        /// The template ran into a mistake.
        case evaluation
        /// The template called `raise_exception`: it does not take this conversation.
        case refusedByTemplate
        /// The template needed more time, memory, output or depth than allowed.
        case limit
    }

    public let kind: Kind
    public let reason: String
    /// From 1; columns count characters.
    public let line: Int
    public let column: Int

    public var description: String {
        kind == .refusedByTemplate
            ? "the chat template refuses the conversation (line \(line), column \(column)): \(reason)"
            : "chat template, line \(line), column \(column): \(reason)"
    }
}

/// An error inside the interpreter; its offset becomes line and column where the source is at hand.
struct TemplateFault: Error {
    var kind: TemplateError.Kind
    var reason: String
    /// In scalars of the source; nil until a node that knows its place passes it on.
    var offset: Int?

    init(_ reason: String, kind: TemplateError.Kind = .evaluation, at offset: Int? = nil) {
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
        // One line, whatever the template put into it; its own line breaks part words.
        let words = reason.split(whereSeparator: \.isNewline).joined(separator: " ").onOneLine()
        return TemplateError(kind: kind, reason: words, line: line, column: offset - lineStart + 1)
    }
}

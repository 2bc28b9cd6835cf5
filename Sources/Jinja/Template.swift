import OrderedJSON

/// A Jinja template in the dialect of transformers' chat templates.
///
/// Parsing checks the whole template: an unsupported tag, filter or test is rejected with its line and column.
/// Templates are untrusted input, so rendering is bounded in time, memory, depth and output, and reads only its
/// arguments and the clock (`strftime_now`).
public struct Template: Sendable {
    private let source: [Unicode.Scalar]
    private let statements: [TemplateStatement]

    /// The longest accepted template in UTF-8 bytes, far longer than any published one.
    static let maximumLength = 1 << 20

    /// Parses and checks a template.
    ///
    /// - Throws: `TemplateError` of kind `syntax` or `limit`.
    public init(_ source: String) throws {
        guard source.utf8.count <= Self.maximumLength else {
            throw TemplateError(
                kind: .limit, reason: "the template is longer than \(Self.maximumLength >> 20) MiB", line: 1, column: 1)
        }
        self.source = TemplateLexer.normalized(source)
        do {
            statements = try TemplateParser.parse(self.source)
        } catch let fault as TemplateFault {
            throw fault.error(in: self.source)
        }
    }

    /// Renders the template.
    ///
    /// - Parameter variables: the values that the template can use; any other name is undefined.
    /// - Returns: the rendered text.
    /// - Throws: `TemplateError`, including when the template calls `raise_exception`.
    public func render(_ variables: [String: JSON]) throws -> String {
        do {
            return try TemplateEvaluator.render(statements, variables: variables.mapValues { TemplateValue($0) })
        } catch let fault as TemplateFault {
            throw fault.error(in: source)
        }
    }
}

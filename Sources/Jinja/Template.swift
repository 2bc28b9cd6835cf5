import OrderedJSON

/// A Jinja template as transformers renders it.
///
/// The template is parsed and checked as a whole when it is made: a tag, filter or test that this interpreter does not
/// know is refused with its line and column. Rendering is bounded in time, memory, depth and output, because templates
/// come with models from anywhere; it reads nothing but its arguments (and the clock, for `strftime_now`).
public struct Template: Sendable {
    private let source: [Unicode.Scalar]
    private let statements: [TemplateStatement]

    /// The longest template that is accepted, in UTF-8 bytes; far longer than any published one.
    static let maximumLength = 1 << 20

    /// - Throws: `TemplateError`.
    public init(_ source: String) throws {
        guard source.utf8.count <= Self.maximumLength else {
            throw TemplateError(
                kind: .limit, reason: "a template of more than \(Self.maximumLength >> 20) MiB", line: 1, column: 1)
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
    /// - Parameter variables: the values that the template may name; any other name is undefined.
    /// - Throws: `TemplateError`, also where the template calls `raise_exception`.
    public func render(_ variables: [String: JSON]) throws -> String {
        do {
            return try TemplateEvaluator.render(statements, variables: variables.mapValues { TemplateValue($0) })
        } catch let fault as TemplateFault {
            throw fault.error(in: source)
        }
    }
}

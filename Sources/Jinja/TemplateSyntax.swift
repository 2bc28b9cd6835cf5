/// An expression of the syntax tree; `at` is an offset in scalars from the start of the source.
indirect enum TemplateExpression: Sendable {
    case literal(TemplateLiteral)
    case name(String, at: Int)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)], at: Int)
    case attribute(TemplateExpression, String, at: Int)
    case item(TemplateExpression, TemplateExpression, at: Int)
    case slice(TemplateExpression, TemplateSlice, at: Int)
    case call(TemplateExpression, TemplateArguments, at: Int)
    case filter(TemplateExpression, TemplateFilter)
    case test(TemplateExpression, name: String, TemplateArguments, isNegated: Bool, at: Int)
    /// Left-associative operators of one precedence, flat so that long chains do not nest.
    case chain(TemplateExpression, [(operation: String, operand: TemplateExpression, at: Int)])
    case comparison(TemplateExpression, [(operation: String, operand: TemplateExpression, at: Int)])
    case concatenation([TemplateExpression], at: Int)
    case and([TemplateExpression])
    case or([TemplateExpression])
    case not(TemplateExpression)
    case negative(TemplateExpression, at: Int)
    case positive(TemplateExpression, at: Int)
    case conditional(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression?, at: Int)
}

enum TemplateLiteral: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
}

struct TemplateSlice: Sendable {
    var start: TemplateExpression?
    var stop: TemplateExpression?
    var step: TemplateExpression?
}

struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}

struct TemplateFilter: Sendable {
    var name: String
    var arguments: TemplateArguments
    var offset: Int
}

/// The target of `set`, `for` or `with`.
indirect enum TemplateTarget: Sendable {
    case name(String)
    case attribute(String, String, at: Int)
    case tuple([TemplateTarget], at: Int)
}

struct TemplateLoop: Sendable {
    var target: TemplateTarget
    var iterable: TemplateExpression
    var condition: TemplateExpression?
    var body: [TemplateStatement]
    var otherwise: [TemplateStatement]
    var offset: Int
}

struct TemplateMacro: Sendable {
    var name: String
    var parameters: [(name: String, value: TemplateExpression?)]
    var body: [TemplateStatement]
    var offset: Int
}

indirect enum TemplateStatement: Sendable {
    case text(String, at: Int)
    case output(TemplateExpression, at: Int)
    case conditional([(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(TemplateLoop)
    case assignment(TemplateTarget, TemplateExpression, at: Int)
    /// `{% set x %}…{% endset %}`
    case capture(TemplateTarget, [TemplateFilter], [TemplateStatement], at: Int)
    case macro(TemplateMacro)
    /// `{% filter f %}…{% endfilter %}`
    case filtered([TemplateFilter], [TemplateStatement], at: Int)
    case with([(target: TemplateTarget, value: TemplateExpression)], [TemplateStatement], at: Int)
    /// `{% generation %}…{% endgeneration %}`, which marks the assistant's text and renders its body unchanged.
    case generation([TemplateStatement])
    case leaveLoop
    case nextRound
}

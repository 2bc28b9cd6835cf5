import OrderedJSON

enum TemplateTokenKind: Equatable {
    /// Text outside tags.
    case data(String)
    case variableBegin, variableEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    case symbol(String)
    case end
}

struct TemplateToken {
    var kind: TemplateTokenKind
    /// In scalars from the start of the source.
    var offset: Int
}

/// Splits a template into data and the tokens inside tags.
///
/// White space follows transformers' settings: `trim_blocks`, `lstrip_blocks`, no trailing newline kept.
struct TemplateLexer {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var tokens: [TemplateToken] = []
    /// Whether the current position starts a line, so that white space before a tag may be stripped.
    private var isLineStart = true

    /// Converts all newlines to `\n` and removes one at the end; offsets refer to this form.
    static func normalized(_ text: String) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.utf8.count)
        var previousWasReturn = false
        for scalar in text.unicodeScalars {
            if scalar == "\r" {
                result.append("\n")
            } else if scalar != "\n" || !previousWasReturn {
                result.append(scalar)
            }
            previousWasReturn = scalar == "\r"
        }
        if result.last == "\n" { result.removeLast() }
        return result
    }

    static func tokens(of source: [Unicode.Scalar]) throws -> [TemplateToken] {
        var lexer = TemplateLexer(source: source)
        try lexer.run()
        lexer.tokens.append(TemplateToken(kind: .end, offset: source.count))
        return lexer.tokens
    }

    private init(source: [Unicode.Scalar]) { self.source = source }

    private func fault(_ reason: String, at offset: Int) -> TemplateFault {
        TemplateFault(reason, kind: .syntax, at: offset)
    }

    private func at(_ offset: Int) -> Unicode.Scalar? { offset < source.count ? source[offset] : nil }

    private func hasPrefix(_ text: String, at offset: Int) -> Bool {
        var index = offset
        for scalar in text.unicodeScalars {
            guard at(index) == scalar else { return false }
            index += 1
        }
        return true
    }

    private mutating func run() throws {
        while position < source.count {
            let start = position
            var tag = start
            while tag < source.count, !isTag(at: tag) { tag += 1 }
            guard tag < source.count else {
                appendData(start..<source.count)
                position = source.count
                return
            }
            let kind = source[tag + 1]
            let sign = at(tag + 2).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
            appendData(start..<dataEnd(start..<tag, kind: kind, sign: sign))
            position = tag + (sign == nil ? 2 : 3)
            switch kind {
            case "#": try skipComment(from: tag)
            case "%":
                if try !readRaw(from: tag) {
                    tokens.append(TemplateToken(kind: .blockBegin, offset: tag))
                    try readExpression(isBlock: true, from: tag)
                }
            default:
                tokens.append(TemplateToken(kind: .variableBegin, offset: tag))
                try readExpression(isBlock: false, from: tag)
            }
        }
    }

    private func isTag(at offset: Int) -> Bool {
        guard source[offset] == "{", let next = at(offset + 1) else { return false }
        return next == "{" || next == "%" || next == "#"
    }

    private mutating func appendData(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        tokens.append(
            TemplateToken(kind: .data(String(String.UnicodeScalarView(source[range]))), offset: range.lowerBound))
    }

    /// The end of the text before a tag once white space is stripped.
    ///
    /// A `-` strips all of it; a block or comment at the start of a line strips its indentation.
    private func dataEnd(_ range: Range<Int>, kind: Unicode.Scalar, sign: Unicode.Scalar?) -> Int {
        var end = range.upperBound
        if sign == "-" {
            while end > range.lowerBound, TemplateText.isSpace(source[end - 1]) { end -= 1 }
            return end
        }
        guard sign == nil, kind != "{" else { return end }
        while end > range.lowerBound, source[end - 1] != "\n" {
            guard TemplateText.isSpace(source[end - 1]) else { return range.upperBound }
            end -= 1
        }
        return end > range.lowerBound || isLineStart ? end : range.upperBound
    }

    private mutating func skipComment(from tag: Int) throws {
        while position < source.count {
            if try readEnd("#}", trimsNewline: true) { return }
            position += 1
        }
        throw fault("unterminated comment", at: tag)
    }

    /// Reads the end of a tag, if it is here, and the white space it strips.
    private mutating func readEnd(_ end: String, trimsNewline: Bool) throws -> Bool {
        var index = position
        var sign: Unicode.Scalar?
        if let scalar = at(index), scalar == "-" || (scalar == "+" && trimsNewline) {
            sign = scalar
            index += 1
        }
        guard hasPrefix(end, at: index) else { return false }
        index += 2
        if sign == "-" {
            while let scalar = at(index), TemplateText.isSpace(scalar) { index += 1 }
        } else if sign == nil, trimsNewline, at(index) == "\n" {
            index += 1
        }
        position = index
        isLineStart = source[index - 1] == "\n"
        return true
    }

    /// Reads `{% raw %}…{% endraw %}` as data if the tag is `raw`.
    private mutating func readRaw(from tag: Int) throws -> Bool {
        var index = position
        func skipSpace() { while let scalar = at(index), TemplateText.isSpace(scalar) { index += 1 } }
        skipSpace()
        guard hasPrefix("raw", at: index) else { return false }
        index += 3
        skipSpace()
        guard hasPrefix("%}", at: index) || hasPrefix("-%}", at: index) else { return false }
        position = index
        _ = try readEnd("%}", trimsNewline: false)
        let start = position
        while position < source.count {
            if hasPrefix("{%", at: position) {
                let endTag = position
                index = position + 2
                let sign = at(index).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
                if sign != nil { index += 1 }
                skipSpace()
                if hasPrefix("endraw", at: index) {
                    index += 6
                    skipSpace()
                    position = index
                    if try readEnd("%}", trimsNewline: true) {
                        let isLineStartBefore = isLineStart
                        isLineStart = false
                        appendData(start..<dataEnd(start..<endTag, kind: "%", sign: sign))
                        isLineStart = isLineStartBefore
                        return true
                    }
                }
                position = endTag
            }
            position += 1
        }
        throw fault("unterminated raw block", at: tag)
    }

    private static let symbols = [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".", ":", "|", ",",
    ]

    private mutating func readExpression(isBlock: Bool, from tag: Int) throws {
        var open: [Unicode.Scalar] = []
        while let scalar = at(position) {
            if open.isEmpty, try readEnd(isBlock ? "%}" : "}}", trimsNewline: isBlock) {
                tokens.append(TemplateToken(kind: isBlock ? .blockEnd : .variableEnd, offset: position))
                return
            }
            if TemplateText.isSpace(scalar) {
                position += 1
                continue
            }
            let offset = position
            if scalar == "'" || scalar == "\"" {
                tokens.append(TemplateToken(kind: .string(try readString(scalar)), offset: offset))
            } else if TemplateText.isDigit(scalar) {
                tokens.append(TemplateToken(kind: try readNumber(), offset: offset))
            } else if scalar == "_" || scalar.properties.isXIDStart {
                while let next = at(position), next == "_" || next.properties.isXIDContinue { position += 1 }
                let name = String(String.UnicodeScalarView(source[offset..<position]))
                tokens.append(TemplateToken(kind: .name(name), offset: offset))
            } else if let symbol = Self.symbols.first(where: { hasPrefix($0, at: position) }) {
                switch symbol {
                case "(", "[", "{": open.append(scalar)
                case ")", "]", "}":
                    let opener: Unicode.Scalar = symbol == ")" ? "(" : symbol == "]" ? "[" : "{"
                    guard open.popLast() == opener else { throw fault("unmatched \"\(symbol)\"", at: offset) }
                default: break
                }
                position += symbol.unicodeScalars.count
                tokens.append(TemplateToken(kind: .symbol(symbol), offset: offset))
            } else {
                throw fault("unexpected character \"\(scalar)\"", at: offset)
            }
        }
        throw fault("unterminated tag", at: tag)
    }

    private mutating func readNumber() throws -> TemplateTokenKind {
        let start = position
        let isMember = start > 0 && source[start - 1] == "."
        func digits(_ isValid: (Unicode.Scalar) -> Bool) -> String {
            var text = ""
            while let scalar = at(position) {
                if isValid(scalar) {
                    text.unicodeScalars.append(scalar)
                } else if scalar != "_" || !(at(position + 1).map(isValid) ?? false) || text.isEmpty {
                    break
                }
                position += 1
            }
            return text
        }
        if source[start] == "0", let letter = at(start + 1), let radix = ["x": 16, "o": 8, "b": 2][letter.lowercased] {
            position += 2
            let text = digits { Character($0).hexDigitValue.map { $0 < radix } ?? false }
            guard let value = Int(text, radix: radix) else { throw fault("malformed number", at: start) }
            return .integer(value)
        }
        var text = digits(TemplateText.isDigit)
        var isFloat = false
        if !isMember, at(position) == ".", at(position + 1).map(TemplateText.isDigit) ?? false {
            position += 1
            text += "." + digits(TemplateText.isDigit)
            isFloat = true
        }
        if !isMember, let letter = at(position), letter == "e" || letter == "E" {
            let hasSign = at(position + 1) == "+" || at(position + 1) == "-"
            if at(position + (hasSign ? 2 : 1)).map(TemplateText.isDigit) ?? false {
                let sign = hasSign ? String(source[position + 1]) : ""
                position += hasSign ? 2 : 1
                text += "e" + sign + digits(TemplateText.isDigit)
                isFloat = true
            }
        }
        if isFloat, let value = Double(text) { return .float(value) }
        guard !isFloat, let value = Int(text) else { throw fault("the number is out of range", at: start) }
        return .integer(value)
    }

    private mutating func readString(_ quote: Unicode.Scalar) throws -> String {
        let start = position
        position += 1
        var text = TextBuffer()
        while let scalar = at(position) {
            position += 1
            if scalar == quote { return text.text }
            if scalar != "\\" {
                text.append(scalar)
                continue
            }
            guard let letter = at(position) else { break }
            position += 1
            switch letter {
            case "n": text.append("\n" as Unicode.Scalar)
            case "t": text.append("\t" as Unicode.Scalar)
            case "r": text.append("\r" as Unicode.Scalar)
            case "a": text.append("\u{7}" as Unicode.Scalar)
            case "b": text.append("\u{8}" as Unicode.Scalar)
            case "f": text.append("\u{C}" as Unicode.Scalar)
            case "v": text.append("\u{B}" as Unicode.Scalar)
            case "\\", "'", "\"": text.append(letter)
            case "\n": break
            case "x": text.append(try readHexadecimal(2, from: position - 2))
            case "u": text.append(try readHexadecimal(4, from: position - 2))
            case "U": text.append(try readHexadecimal(8, from: position - 2))
            case "0"..."7":
                var value = letter.value - 0x30
                var count = 1
                while count < 3, let next = at(position), ("0"..."7").contains(next) {
                    value = value * 8 + next.value - 0x30
                    position += 1
                    count += 1
                }
                text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
            case "N": throw fault("the escape \"\\N\" is not supported", at: position - 2)
            default:
                // As in Python, an unknown escape stands for itself.
                text.append("\\" as Unicode.Scalar)
                text.append(letter)
            }
        }
        throw fault("unterminated string", at: start)
    }

    private mutating func readHexadecimal(_ count: Int, from start: Int) throws -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let scalar = at(position), let digit = Character(scalar).hexDigitValue else {
                throw fault("malformed escape", at: start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(value) else { throw fault("the escape is not a valid character", at: start) }
        return scalar
    }
}

extension Unicode.Scalar {
    fileprivate var lowercased: String { properties.lowercaseMapping }
}

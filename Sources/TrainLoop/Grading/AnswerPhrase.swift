/// The values in a sentence, or in the part of one that follows "answer is".
///
/// A value is the longest run of numbers, LaTeX and operators, never a part of one.
struct AnswerPhrase {
    private let pieces: [PhrasePiece]
    private let values: [Value]

    private struct Value {
        var text: String
        /// Of pieces.
        var range: Range<Int>
        /// Whether the text is a whole value, as far as the pieces around it show.
        var isWhole = true

        /// Whether the parser reads the text, which takes longer than everything else.
        var isReadable: Bool { isWhole && AnswerExtraction.isMathematics(text) }
    }

    /// `endsAtReason` leaves out what follows "because" and the like.
    init(_ text: String, endsAtReason: Bool = false) {
        var pieces = PhrasePiece.pieces(of: AnswerExtraction.withoutMarkup(text))
        if endsAtReason, let end = pieces.indices.dropFirst().first(where: { pieces[$0].startsReason }) {
            pieces.removeSubrange(end...)
        }
        self.pieces = pieces
        var values: [Value] = []
        var index = 0
        while index < pieces.count {
            guard let range = Self.run(in: pieces, from: index) else {
                index += 1
                continue
            }
            let text = Self.text(of: pieces[range])
            values.append(
                Value(text: text, range: range, isWhole: pieces[range].last?.kind != .operation))
            index = range.upperBound
        }
        self.values = Self.joined(values, pieces)
    }

    // MARK: Readings

    /// The reading of a text behind a marker such as "answer is".
    var marked: AnswerReading {
        guard !pieces.isEmpty else { return .none }
        guard !pieces.contains(where: \.isNegation) else { return .unreadable }
        guard let first = values.first, let last = values.last else {
            // Words or an option: "Monday", "option B".
            let words = pieces.filter { !$0.isFiller }.map(\.text)
            return words.isEmpty || words.count > 4 ? .unreadable : .certain(words.joined(separator: " "))
        }
        let isFirst = pieces[..<first.range.lowerBound].allSatisfy(\.isFiller)
        let chosen = isFirst ? first : last
        guard chosen.isReadable else { return .unreadable }
        return values.count == 1 ? .certain(chosen.text) : .likely(chosen.text)
    }

    /// The reading of a sentence without a marker.
    var unmarked: AnswerReading {
        guard let last = values.last else { return .none }
        guard last.isReadable else { return .unreadable }
        let before = last.range.lowerBound > 0 ? pieces[last.range.lowerBound - 1] : nil
        let isStated = (before?.isVerb ?? false) && pieces.count - last.range.upperBound <= 3
        let isSure = values.count == 1 && !(before?.isLabel ?? false) || isStated
        return isSure && !pieces.contains(where: \.isNegation) ? .certain(last.text) : .likely(last.text)
    }

    // MARK: Values

    /// The longest run of pieces that starts at an index and is one value.
    private static func run(in pieces: [PhrasePiece], from start: Int) -> Range<Int>? {
        var end = start
        var hasValue = false
        while end < pieces.count {
            let piece = pieces[end]
            let followsOperation = end > start && pieces[end - 1].kind == .operation
            switch piece.kind {
            case .value:
                guard
                    end == start || followsOperation || piece.startsWithOperation || isMixed(pieces, end)
                        || isGroup(pieces, end)
                else {
                    return hasValue ? start..<end : nil
                }
                hasValue = true
            case .letters:
                // Letters are part of a value only beside an operator.
                let precedes = end + 1 < pieces.count && !piece.endsClause && pieces[end + 1].kind == .operation
                guard end == start ? precedes : followsOperation else { return trimmed(start..<end, pieces, hasValue) }
            case .operation:
                if end == start, !["-", "−", "–", "+", "±"].contains(piece.text) { return nil }
            case .word:
                if hasValue, piece.factor != nil, pieces[end - 1].kind == .value { end += 1 }
                return trimmed(start..<end, pieces, hasValue)
            }
            end += 1
            if piece.endsClause { break }
        }
        return trimmed(start..<end, pieces, hasValue)
    }

    /// A run without operators at its end that are punctuation: "5 – the least".
    private static func trimmed(_ range: Range<Int>, _ pieces: [PhrasePiece], _ hasValue: Bool) -> Range<Int>? {
        guard hasValue else { return nil }
        var end = range.upperBound
        while end > range.lowerBound, pieces[end - 1].kind == .operation, "-–—−=:≈".contains(pieces[end - 1].text) {
            end -= 1
        }
        return range.lowerBound..<end
    }

    /// Whether a piece is the fraction of a mixed number: `2 1/2`.
    private static func isMixed(_ pieces: [PhrasePiece], _ index: Int) -> Bool {
        index > 0 && pieces[index - 1].text.allSatisfy { $0.isASCII && $0.isNumber } && pieces[index].isFraction
    }

    /// Whether a piece continues a number: `1 000`.
    private static func isGroup(_ pieces: [PhrasePiece], _ index: Int) -> Bool {
        guard index > 0, pieces[index].text.utf8.prefix(3).allSatisfy({ $0 &- 48 < 10 }) else { return false }
        let before = pieces[index - 1].text.utf8
        return pieces[index].text.utf8.prefix { $0 &- 48 < 10 }.count == 3 && before.allSatisfy { $0 &- 48 < 10 }
            && before.count <= 3 && before.first != UInt8(ascii: "0")
    }

    private static func text(of run: ArraySlice<PhrasePiece>) -> String {
        var run = run
        // A label says nothing about the value: x = 5.
        if let first = run.first, first.kind == .letters, run.dropFirst().first?.text == "=",
            run.count(where: { $0.kind == .operation && "=<>≤≥≈".contains($0.text) }) == 1
        {
            run = run.dropFirst(2)
        }
        return run.map { $0.factor ?? $0.text }.joined(separator: " ")
    }

    /// Values that only commas, "and" or "or" separate become one list.
    private static func joined(_ values: [Value], _ pieces: [PhrasePiece]) -> [Value] {
        var result: [Value] = []
        var index = 0
        while index < values.count {
            var end = index + 1
            var hasConjunction = false
            while end < values.count {
                let between = pieces[values[end - 1].range.upperBound..<values[end].range.lowerBound]
                let isConjunction = between.count == 1 && ["and", "or"].contains(between[between.startIndex].text)
                guard isConjunction || (between.isEmpty && pieces[values[end - 1].range.upperBound - 1].endsClause)
                else { break }
                hasConjunction = hasConjunction || isConjunction
                end += 1
            }
            let items = values[index..<end]
            let isList = values[index].range.lowerBound > 0 && pieces[values[index].range.lowerBound - 1].isVerb
            // A comma alone may end a clause: "In 2020, 5 people".
            if items.count > 1, hasConjunction || isList || items.count > 2 {
                let text = items.map(\.text).joined(separator: ", ")
                result.append(
                    Value(
                        text: text, range: items[index].range.lowerBound..<items[end - 1].range.upperBound))
            } else {
                result += items
            }
            index = end
        }
        // A unit between two values joins them to one that is not read: "3 hours 20 minutes".
        for index in result.indices.dropFirst() {
            let between = pieces[result[index - 1].range.upperBound..<result[index].range.lowerBound]
            if between.count == 1, let unit = between.first, !unit.endsClause, Units.isKnown(unit.text) {
                result[index - 1].isWhole = false
                result[index].isWhole = false
            }
        }
        return result
    }
}

import OrderedJSON

/// The values of one column in a row group, decoded page by page.
final class ParquetColumnPages {
    /// The most values of a page.
    static let maximumValues = 1 << 27

    let column: ParquetColumn
    private let pages: ParquetPages
    /// Values that no page has been read for, and those left in the current page.
    private var remaining: Int
    private var inPage = 0
    private var dictionary: [JSON]?
    private var repetitions: HybridDecoder?
    private var definitions: HybridDecoder?
    private var values: any ValueDecoder
    private var indices: HybridDecoder?
    /// The levels of the next value.
    private var next: (repetition: Int, definition: Int)?

    /// - Throws: `FormatProblem`.
    init(_ file: OpenFile, size: Int, _ column: ParquetColumn, _ chunk: ParquetColumnChunk) throws {
        guard chunk.type == column.type, chunk.valueCount >= 0 else {
            throw FormatProblem("the column differs from the schema")
        }
        self.column = column
        pages = try ParquetPages(file, size: size, chunk, column)
        remaining = chunk.valueCount
        values = PlainDecoder([], from: 0, column)
        try advance()
    }

    /// The repetition level of the next value: 0 at the start of a row; nil at the end.
    var repetition: Int? { next?.repetition }

    /// The definition level of the next value.
    ///
    /// - Throws: `FormatProblem` at the end.
    func definition() throws -> Int {
        guard let next else { throw FormatProblem("the column has fewer values than the rows need") }
        return next.definition
    }

    /// Takes the next value; null unless it is defined.
    ///
    /// - Throws: `FormatProblem`.
    func take() throws -> JSON {
        let isDefined = try definition() == column.maximumDefinition
        let value: JSON
        if !isDefined {
            value = .null
        } else if let index = try indices?.next() {
            guard let dictionary, index < dictionary.count else {
                throw FormatProblem("a page refers to an entry that the dictionary does not have")
            }
            value = dictionary[Int(index)]
        } else {
            value = try column.value(values.next())
        }
        try advance()
        return value
    }

    /// Reads the levels of the next value, and its page if it is the first of one.
    private func advance() throws {
        while inPage == 0 {
            guard remaining > 0 else {
                next = nil
                return
            }
            try startPage()
        }
        inPage -= 1
        let repetition = try repetitions?.next() ?? 0
        let definition = try definitions.map { _ in Int(try definitions?.next() ?? 0) } ?? column.maximumDefinition
        guard repetition <= column.maximumRepetition, definition <= column.maximumDefinition else { throw damaged }
        next = (Int(repetition), definition)
    }

    private func startPage() throws {
        let page = try pages.next()
        switch page.kind {
        case .dictionary:
            guard dictionary == nil, page.encoding == 0 || page.encoding == 2, column.type != 0 else { throw damaged }
            var decoder = PlainDecoder(page.bytes, from: 0, column)
            // Every entry takes at least one byte.
            guard page.valueCount <= page.bytes.count else { throw damaged }
            dictionary = try (0..<page.valueCount).map { _ in try column.value(decoder.next()) }
        case .data:
            guard page.valueCount <= remaining else { throw FormatProblem("the pages have more values than stated") }
            repetitions = try levels(page.repetitions, column.maximumRepetition, page)
            definitions = try levels(page.definitions, column.maximumDefinition, page)
            try startValues(page)
            remaining -= page.valueCount
            inPage = page.valueCount
        }
    }

    private func levels(_ range: Range<Int>?, _ maximum: Int, _ page: ParquetPage) throws -> HybridDecoder? {
        guard maximum > 0 else { return nil }
        return try HybridDecoder(
            page.levels, range ?? 0..<0, bitWidth: Int.bitWidth - maximum.leadingZeroBitCount)
    }

    private func startValues(_ page: ParquetPage) throws {
        indices = nil
        let (bytes, start) = (page.bytes, page.start)
        switch (page.encoding, column.type) {
        case (0, _): values = PlainDecoder(bytes, from: start, column)
        case (2, _), (8, _):
            // A page of nulls may leave out the width.
            let width = start < bytes.count ? Int(bytes[start]) : 0
            indices = try HybridDecoder(bytes, min(start + 1, bytes.count)..<bytes.count, bitWidth: width)
        case (3, 0): values = try BooleanRunDecoder(bytes, from: start)
        case (5, 1), (5, 2):
            guard start < bytes.count else { break }
            values = try DeltaIntegerDecoder(bytes, from: start, column)
        case (6, 6):
            guard start < bytes.count else { break }
            values = try DeltaLengthDecoder(bytes, from: start)
        case (7, 6), (7, 7):
            guard start < bytes.count else { break }
            values = try DeltaTextDecoder(bytes, from: start)
        case (9, 1), (9, 2), (9, 4), (9, 5), (9, 7): values = try SplitDecoder(bytes, from: start, column)
        default:
            throw FormatProblem(
                "values of its type in encoding \(page.encoding) are not read; write the file with pyarrow")
        }
    }
}

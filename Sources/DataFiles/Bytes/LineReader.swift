/// Reads a file line by line through one buffer.
package struct LineReader: ~Copyable {
    /// The limit of a line; real problems and answers are far shorter.
    package static let maximumBytes = 64 << 20

    private let source: any ByteSource
    private let path: String
    private var buffer: [UInt8] = []
    private var start = 0
    private var atEnd = false
    /// The number of the last line returned, from 1.
    package private(set) var lineNumber = 0
    /// Whether lines over the limit are passed over instead of being an error.
    package var skipsLongLines = false
    package private(set) var skippedLines = 0

    /// Reads an uncompressed file.
    ///
    /// - Throws: `DataFileError` if it cannot be opened.
    package init(path: String) throws { self.init(FileBytes(try OpenFile(path: path)), path: path) }

    init(_ source: any ByteSource, path: String) {
        self.source = source
        self.path = path
    }

    /// The next line without its line feed, or nil at the end.
    ///
    /// - Throws: `DataFileError`.
    package mutating func next() throws -> ArraySlice<UInt8>? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                lineNumber += 1
                return buffer[start..<end]
            }
            guard buffer.count - start <= Self.maximumBytes else {
                if skipsLongLines {
                    try skipLine()
                    searched = start
                    continue
                }
                throw DataFileError(
                    path: path, place: "line \(lineNumber + 1)",
                    reason: "the line is over 64 MiB; check that this is a JSONL file")
            }
            if atEnd {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                lineNumber += 1
                return buffer[start...]
            }
            buffer.removeFirst(start)
            start = 0
            searched = buffer.count
            try fill()
        }
    }

    /// Passes over the rest of the current line.
    private mutating func skipLine() throws {
        lineNumber += 1
        skippedLines += 1
        while true {
            buffer.removeAll(keepingCapacity: true)
            start = 0
            if atEnd { return }
            try fill()
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                start = end + 1
                return
            }
        }
    }

    private mutating func fill() throws {
        let step = 1 << 18
        let count = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: step))
        let received = try buffer.withUnsafeMutableBytes {
            try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
        }
        buffer.removeLast(step - received)
        atEnd = received == 0
    }
}

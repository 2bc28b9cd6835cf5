/// Reads a stream byte by byte and counts lines and columns.
final class ByteCursor {
    private let source: any ByteSource
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)
    private var position = 0
    private var end = 0
    /// The place of the next byte, from 1.
    private(set) var line = 1
    private(set) var column = 1

    init(_ source: any ByteSource) { self.source = source }

    /// The next byte, which stays unread; nil at the end.
    ///
    /// - Throws: the errors of the source.
    func peek() throws -> UInt8? {
        if position == end {
            end = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
            position = 0
            if end == 0 { return nil }
        }
        return buffer[position]
    }

    /// Reads the next byte; nil at the end.
    ///
    /// - Throws: the errors of the source.
    func next() throws -> UInt8? {
        guard let byte = try peek() else { return nil }
        position += 1
        if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 1) } else { column += 1 }
        return byte
    }
}

import DataFiles
import Foundation

/// Scalars in a TensorBoard event file: protocol buffers in TFRecord frames.
///
/// A frame is the length (8 bytes), its masked CRC-32C, the event, and the event's masked CRC-32C. Only the messages
/// and fields that scalars need are written: `Event` {1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log},
/// `Summary` {1 value}, `Value` {1 tag, 2 simple_value}.
package final class TensorBoardLog {
    package let path: String
    private let descriptor: Int32
    private let now: () -> Double

    /// Starts a new event file.
    ///
    /// - Parameters:
    ///   - folder: the folder, which is created if it does not exist.
    ///   - firstStep: the first step that a resumed run will write, nil for a new run. TensorBoard ignores this step
    ///     and later ones in the other files of the folder.
    ///   - now: seconds since 1970.
    /// - Throws: `DataFileError`.
    package init(
        folder: String, resumingAt firstStep: Int? = nil, now: @escaping () -> Double = { Date().timeIntervalSince1970 }
    ) throws {
        self.now = now
        // TensorBoard follows the last file of a folder by name, so names sort by time and are unique.
        let stem = "\(folder)/events.out.tfevents.\(String(format: "%010d", Int(now()))).ckpt.\(getpid())"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw DataFileError(path: folder, reason: "cannot create the folder")
        }
        var path = stem
        var descriptor: Int32 = -1
        for attempt in 0..<1000 {
            path = "\(stem).\(attempt)"
            descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
            if descriptor >= 0 || errno != EEXIST { break }
        }
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
        self.path = path
        self.descriptor = descriptor

        var version = ProtocolBuffer()
        version.add(1, double: now())
        version.add(3, string: "brain.Event:2")
        try append(version)
        if let firstStep {
            var session = ProtocolBuffer()
            // SessionLog.START
            session.add(1, integer: 1)
            var event = ProtocolBuffer()
            event.add(1, double: now())
            event.add(2, integer: firstStep)
            event.add(7, message: session)
            try append(event)
        }
    }

    deinit { close(descriptor) }

    /// Appends the values of one step.
    ///
    /// - Throws: `DataFileError`.
    package func append(step: Int, _ row: MetricRow) throws {
        var summary = ProtocolBuffer()
        for (name, value) in row.values {
            var entry = ProtocolBuffer()
            entry.add(1, string: name)
            entry.add(2, float: Float(value))
            summary.add(1, message: entry)
        }
        var event = ProtocolBuffer()
        event.add(1, double: now())
        event.add(2, integer: step)
        event.add(5, message: summary)
        try append(event)
    }

    private func append(_ event: ProtocolBuffer) throws {
        let length = littleEndian(UInt64(event.bytes.count))
        let frame =
            length + littleEndian(CRC32C.masked(length)) + event.bytes + littleEndian(CRC32C.masked(event.bytes))
        try writeRecord(frame, to: descriptor, of: path)
    }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// A protocol buffer message, written field by field.
private struct ProtocolBuffer {
    private(set) var bytes: [UInt8] = []

    mutating func add(_ field: Int, integer value: Int) {
        key(field, wireType: 0)
        variableLength(UInt64(bitPattern: Int64(value)))
    }

    mutating func add(_ field: Int, double value: Double) {
        key(field, wireType: 1)
        bytes += littleEndian(value.bitPattern)
    }

    mutating func add(_ field: Int, float value: Float) {
        key(field, wireType: 5)
        bytes += littleEndian(value.bitPattern)
    }

    mutating func add(_ field: Int, string value: String) { add(field, Array(value.utf8)) }

    mutating func add(_ field: Int, message: ProtocolBuffer) { add(field, message.bytes) }

    private mutating func add(_ field: Int, _ content: [UInt8]) {
        key(field, wireType: 2)
        variableLength(UInt64(content.count))
        bytes += content
    }

    private mutating func key(_ field: Int, wireType: Int) { variableLength(UInt64(field << 3 | wireType)) }

    private mutating func variableLength(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

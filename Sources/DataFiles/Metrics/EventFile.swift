import Foundation

/// The scalars of a TensorBoard event file: protocol buffers in TFRecord frames.
///
/// A frame is the length (8 bytes), its masked CRC-32C, the event, and the event's masked CRC-32C. Of `Event` {2 step,
/// 5 summary, 7 session_log}, `Summary` {1 value}, `Value` {1 tag, 2 simple_value, 8 tensor} and `TensorProto` {1
/// dtype, 4 tensor_content, 5 float_val, 6 double_val} only these fields are read.
package enum EventFile {
    /// Events with pictures or histograms may be large; scalars are not.
    private static let maximumEvent = 1 << 28

    /// Reads the scalars of a file.
    ///
    /// A frame that the file cuts off ends it, because a run may still write.
    ///
    /// - Throws: `DataFileError` if a checksum is wrong or the file cannot be read.
    package static func read(_ path: String, into table: inout MetricTable) throws {
        let file = try OpenFile(path: path)
        guard let size = file.size else {
            throw DataFileError(path: path, reason: "is not a regular file")
        }
        var offset = 0
        while offset + 12 <= size {
            do {
                let head = try file.bytes(at: offset, count: 12)
                guard littleEndian(head[8...]) == CRC32C.masked(head[..<8]) else {
                    throw FormatProblem("the checksum of a length is wrong; get the file again")
                }
                let count: UInt64 = littleEndian(head[..<8])
                // The last frame of a file that is being written.
                guard count <= UInt64(max(0, size - offset - 16)) else { return }
                guard count <= maximumEvent else { throw FormatProblem("an event has over 256 MiB") }
                let bytes = try file.bytes(at: offset + 12, count: Int(count) + 4)
                let event = bytes[..<Int(count)]
                guard littleEndian(bytes[Int(count)...]) == CRC32C.masked(event) else {
                    throw FormatProblem("the checksum of an event is wrong; get the file again")
                }
                try add(event, to: &table)
                offset += 16 + Int(count)
            } catch let problem as FormatProblem {
                throw DataFileError(path: path, place: "byte \(offset)", reason: problem.reason)
            }
        }
    }

    private static func add(_ event: ArraySlice<UInt8>, to table: inout MetricTable) throws {
        var reader = ProtocolBufferReader(event)
        var step = 0
        var summaries: [ArraySlice<UInt8>] = []
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .integer(let number)): step = Int(clamping: Int64(bitPattern: number))
            case (5, .bytes(let bytes)): summaries.append(bytes)
            default: break
            }
        }
        for summary in summaries {
            var values = ProtocolBufferReader(summary)
            while let (field, value) = try values.next() {
                guard field == 1, case .bytes(let bytes) = value, let (name, number) = try scalar(bytes)
                else { continue }
                try table.add(number, step: step, name: name)
            }
        }
    }

    /// The name and the number of a value; nil of a picture, a histogram or another kind.
    private static func scalar(_ bytes: ArraySlice<UInt8>) throws -> (String, Double)? {
        var reader = ProtocolBufferReader(bytes)
        var name: String?
        var number: Double?
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, _): name = value.text
            case (2, .fixed32(let bits)): number = Double(Float(bitPattern: bits))
            case (8, .bytes(let tensor)): number = try element(tensor) ?? number
            default: break
            }
        }
        guard let name, let number else { return nil }
        return (name, number)
    }

    /// The only element of a tensor of float32 or float64.
    private static func element(_ bytes: ArraySlice<UInt8>) throws -> Double? {
        var reader = ProtocolBufferReader(bytes)
        var type: UInt64 = 0
        var content: ArraySlice<UInt8> = []
        var number: Double?
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .integer(let found)): type = found
            case (4, .bytes(let bytes)): content = bytes
            // One element, alone or packed.
            case (5, .fixed32(let bits)): number = Double(Float(bitPattern: bits))
            case (5, .bytes(let bytes)) where bytes.count == 4:
                number = Double(Float(bitPattern: littleEndian(bytes)))
            case (6, .fixed64(let bits)): number = Double(bitPattern: bits)
            case (6, .bytes(let bytes)) where bytes.count == 8:
                number = Double(bitPattern: littleEndian(bytes))
            default: break
            }
        }
        switch (type, content.count) {
        case (1, 4): return Double(Float(bitPattern: littleEndian(content)))
        case (2, 8): return Double(bitPattern: littleEndian(content))
        default: return number
        }
    }
}

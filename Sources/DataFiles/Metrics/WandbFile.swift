import CZlib
import Foundation
import OrderedJSON

/// The history in a file `run-ID.wandb`, as the W&B client writes it beside its upload: protocol buffers in LevelDB's
/// log.
///
/// After a head of seven bytes the file consists of blocks of 32 KiB, and these of parts {CRC-32, length, type}; a
/// record is one part, or a first, middle and last one. Of `Record` {2 history}, `HistoryRecord` {1 item, 2 step},
/// `HistoryItem` {1 key, 2 nested_key, 5 integer, 6 number, 16 value_json} and `HistoryStep` {1 num} only these fields
/// are read.
package enum WandbFile {
    private static let blockSize = 32768
    private static let head: [UInt8] = Array(":W&B".utf8) + [0xE1, 0xBE, 0]
    private static let maximumRecord = 1 << 28

    /// Reads the history of a file.
    ///
    /// A record that the file cuts off ends it, because a run may still write.
    ///
    /// - Throws: `DataFileError` if the file is not one, a checksum is wrong, or it cannot be read.
    package static func read(_ path: String, into table: inout MetricTable) throws {
        let file = try OpenFile(path: path)
        guard let size = file.size else {
            throw DataFileError(path: path, reason: "is not a regular file")
        }
        guard size >= head.count, try file.bytes(at: 0, count: head.count) == head else {
            throw DataFileError(
                path: path, reason: "is not a W&B file of version 0; give the file that the run wrote")
        }
        var offset = 0
        var record: [UInt8] = []
        var isOpen = false
        while offset < size {
            do {
                let block = try file.bytes(at: offset, count: min(blockSize, size - offset))
                var place = offset == 0 ? head.count : 0
                // Less than a part's head at the end of a block is filled with zeros.
                while place + 7 <= block.count {
                    let count = Int(block[place + 4]) | Int(block[place + 5]) << 8
                    let kind = block[place + 6]
                    if kind == 0, count == 0 { break }
                    guard place + 7 + count <= block.count else {
                        if block.count < blockSize { return }
                        throw FormatProblem("a record leaves its block")
                    }
                    let content = block[place + 7..<place + 7 + count]
                    try check(content, kind, against: littleEndian(block[place..<place + 4]))
                    switch kind {
                    case 1, 2: record = Array(content)
                    case 3 where isOpen, 4 where isOpen: record += content
                    default: throw FormatProblem("a part of a record stands alone")
                    }
                    guard record.count <= maximumRecord else {
                        throw FormatProblem("a record has over 256 MiB")
                    }
                    isOpen = kind == 2 || kind == 3
                    if !isOpen { try add(record[...], to: &table) }
                    place += 7 + count
                }
                offset += block.count
            } catch let problem as FormatProblem {
                throw DataFileError(path: path, place: "block at byte \(offset)", reason: problem.reason)
            }
        }
    }

    /// - Throws: `FormatProblem` if the checksum of a part, which covers its type, is another.
    private static func check(_ content: ArraySlice<UInt8>, _ kind: UInt8, against checksum: UInt32)
        throws
    {
        let bytes = [kind] + content
        let found = bytes.withUnsafeBufferPointer { crc32(0, $0.baseAddress, UInt32($0.count)) }
        guard UInt32(truncatingIfNeeded: found) == checksum else {
            throw FormatProblem("the checksum of a record is wrong; get the file again")
        }
    }

    private static func add(_ bytes: ArraySlice<UInt8>, to table: inout MetricTable) throws {
        var record = ProtocolBufferReader(bytes)
        while let (field, value) = try record.next() {
            guard field == 2, case .bytes(let history) = value else { continue }
            var reader = ProtocolBufferReader(history)
            var step: Int?
            var items: [(name: String, value: JSON)] = []
            while let (field, value) = try reader.next() {
                guard case .bytes(let content) = value else { continue }
                if field == 1, let item = try item(content) {
                    if item.name == "_step" { step = item.value.int ?? step }
                    items.append(item)
                } else if field == 2 {
                    step = try number(content) ?? step
                }
            }
            // Trainers that log several times a step give the step of training beside W&B's own count.
            let trained = items.lazy.compactMap { item in
                ["train/global_step", "global_step"].contains(item.name) ? item.value.int : nil
            }.first
            guard let step = trained ?? step else { continue }
            for item in items where !item.name.hasPrefix("_") {
                try table.add(item.value, step: step, name: item.name)
            }
        }
    }

    private static func item(_ bytes: ArraySlice<UInt8>) throws -> (name: String, value: JSON)? {
        var reader = ProtocolBufferReader(bytes)
        var (key, nested, json) = ("", [String](), JSON.null)
        while let (field, value) = try reader.next() {
            switch (field, value, value.text) {
            case (1, _, let text?): key = text
            case (2, _, let text?): nested.append(text)
            // Zigzag, so that small negative numbers are short.
            case (5, .integer(let bits), _):
                json = .integer(Int(bitPattern: UInt(bits >> 1)) ^ -Int(bits & 1))
            case (6, .fixed64(let bits), _): json = .double(Double(bitPattern: bits))
            // NaN and Infinity stand there as Python writes them.
            case (16, _, let text?): json = (try? JSON.parse(text)) ?? .string(text)
            default: break
            }
        }
        let name = nested.isEmpty ? key : nested.joined(separator: "/")
        return name.isEmpty ? nil : (name, json)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) throws -> Int? {
        var reader = ProtocolBufferReader(bytes)
        var found: Int?
        while let (field, value) = try reader.next() {
            if field == 1, case .integer(let number) = value {
                found = Int(clamping: Int64(bitPattern: number))
            }
        }
        return found
    }
}

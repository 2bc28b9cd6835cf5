import CZlib
import DataFiles
import Foundation
import OrderedJSON

/// Logs of other trainers.
extension FuzzTarget {
    /// Reads W&B's files, which begin with `:W&B`, JSON, which begins with `{`, and else TensorBoard's event files.
    ///
    /// The checksums of the first and the last are corrected, so that the inputs reach what stands behind them.
    static func log(_ bytes: [UInt8], _ folder: FuzzFolder) throws {
        var table = MetricTable()
        if bytes.starts(with: Array(":W&B".utf8)) {
            try WandbFile.read(folder.file(wandbChecksums(bytes), "run-x.wandb"), into: &table)
        } else if bytes.first == UInt8(ascii: "{") {
            // A state of transformers' Trainer has its log in one object, other logs a line for each step.
            let isState = (try? JSON.parse(bytes))?["log_history"] != nil
            let run = folder.path + "/run"
            try? FileManager.default.removeItem(atPath: run)
            try FileManager.default.createDirectory(atPath: run + "/checkpoint-1", withIntermediateDirectories: true)
            _ = try folder.file([], "run/checkpoint-1/model.pt")
            _ = try folder.file(bytes, isState ? "run/checkpoint-1/trainer_state.json" : "run/metrics.jsonl")
            table = try TrainerRun(path: run).metrics
        } else {
            try EventFile.read(folder.file(eventChecksums(bytes), "events.out.tfevents.1"), into: &table)
        }
        let steps = table.steps
        for name in table.names.prefix(100) {
            guard table.values(name, at: steps).count == steps.count else { throw FuzzFinding("a step is missing") }
        }
    }

    /// Corrects the checksums of an event file's frames.
    private static func eventChecksums(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var offset = 0
        while offset + 16 <= bytes.count {
            let count = bytes[offset..<offset + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            bytes.replace(at: offset + 8, with: CRC32C.masked(bytes[offset..<offset + 8]))
            guard count <= UInt64(bytes.count - offset - 16) else { break }
            let end = offset + 12 + Int(count)
            bytes.replace(at: end, with: CRC32C.masked(bytes[offset + 12..<end]))
            offset = end + 4
        }
        return bytes
    }

    /// Corrects the checksums of the records in the first block of a W&B file.
    private static func wandbChecksums(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var offset = 7
        while offset + 7 <= bytes.count {
            let end = offset + 7 + Int(bytes[offset + 4]) + Int(bytes[offset + 5]) << 8
            guard end <= bytes.count else { break }
            let checksum = bytes[offset + 6..<end].withUnsafeBufferPointer {
                crc32(0, $0.baseAddress, UInt32($0.count))
            }
            bytes.replace(at: offset, with: UInt32(truncatingIfNeeded: checksum))
            offset = end
        }
        return bytes
    }
}

extension [UInt8] {
    /// Writes a little-endian word over four bytes.
    fileprivate mutating func replace(at offset: Int, with word: UInt32) {
        for index in 0..<4 { self[offset + index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * index)) }
    }
}

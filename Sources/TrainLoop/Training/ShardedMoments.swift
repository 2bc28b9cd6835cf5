import CheckpointIO
import Foundation
import Glibc
import Ranks
import Transformer

/// The moments of all ranks, where each holds those of its shard of the parameters: one checkpoint holds all of them.
///
/// Rank 0 keeps those of the others in a temporary file while it saves, so that it needs no more memory than they.
struct ShardedMoments {
    /// The moments of all parameters, ready to be written; empty on other ranks than 0.
    let tensors: [TensorToWrite]

    /// A kind of numbers that each rank has a part of; the parts follow each other in the order of the shards.
    private struct Stream {
        let group: TensorGroup
        let own: UnsafeRawBufferPointer
        /// All tensors of the kind, in order.
        let descriptions: [TensorDescription]
    }

    /// Collects the moments of all ranks on rank 0; `folder` takes the temporary file.
    ///
    /// - Throws: `RankError`, `CheckpointError.system`.
    init(collecting optimizer: AdamW, _ shard: OptimizerShard, _ ranks: RankGroup, in folder: String) throws {
        let streams = Self.streams(of: optimizer)
        var tensors: [TensorToWrite] = []
        let file = ranks.isRoot ? try TemporaryNumbers(in: folder) : nil
        for stream in streams {
            // The bytes of each rank, by shard.
            let sizes = try ranks.gather(stream.own.count)
            var places = [(start: Int, rank: Int)](repeating: (0, 0), count: ranks.count)
            for (rank, segment) in ranks.segments.enumerated() { places[segment].rank = rank }
            var start = file?.end ?? 0
            let first = start
            for segment in places.indices {
                places[segment].start = start
                start += sizes[places[segment].rank]
            }
            let starts = Dictionary(uniqueKeysWithValues: places.map { ($0.rank, $0.start) })
            try file?.write(stream.own, at: starts[0] ?? 0)
            try ranks.collect(stream.own) { rank, bytes in try file?.write(bytes, at: starts[rank] ?? 0) }
            guard let file else { continue }
            file.end = start
            var offset = first
            for description in stream.descriptions {
                let place = offset
                tensors.append(
                    TensorToWrite(
                        group: stream.group, description: description,
                        content: .bytes { range, bytes in try file.read(place + range.lowerBound, into: bytes) }))
                offset += description.byteCount
            }
        }
        self.tensors = tensors
    }

    private static func streams(of optimizer: AdamW) -> [Stream] {
        let all = optimizer.trained.parameters
        let matrices = optimizer.eightBit == nil ? [] : all.filter(\.isMatrix)
        let wide = optimizer.eightBit == nil ? all : all.filter { !$0.isMatrix }
        let floats = wide.map { TensorDescription(name: $0.name, elementType: .float32, shape: $0.shape) }
        var streams = [
            Stream(group: .optimizerM, own: UnsafeRawBufferPointer(optimizer.m.values), descriptions: floats),
            Stream(group: .optimizerV, own: UnsafeRawBufferPointer(optimizer.v.values), descriptions: floats),
        ]
        guard let (m, v) = optimizer.eightBit else { return streams }
        for (group, moment) in [(TensorGroup.optimizerM, m), (.optimizerV, v)] {
            streams.append(
                Stream(
                    group: group, own: moment.allCodes, descriptions: matrices.map(EightBitMoment.codeDescription)))
            streams.append(
                Stream(
                    group: group, own: moment.allScales, descriptions: matrices.map(EightBitMoment.scaleDescription)))
        }
        return streams
    }

    /// Loads the rows of a shard, one tensor at a time, whose whole is checked.
    ///
    /// - Throws: `TrainingStateError.damagedState`, `CheckpointError.damaged`, and errors of reading.
    static func load(into optimizer: AdamW, _ shard: OptimizerShard, from file: CheckpointFile) throws {
        for parameter in optimizer.trained.parameters {
            let isWide = optimizer.eightBit == nil || !parameter.isMatrix
            for (group, wide, narrow) in [
                (TensorGroup.optimizerM, optimizer.m, optimizer.eightBit?.m),
                (.optimizerV, optimizer.v, optimizer.eightBit?.v),
            ] {
                if isWide {
                    try copy(
                        TensorDescription(name: parameter.name, elementType: .float32, shape: parameter.shape), group,
                        shard.rows[parameter.name], to: wide[parameter.name].map(UnsafeMutableRawBufferPointer.init),
                        from: file)
                } else if let narrow {
                    let part = narrow.layout.first { $0.name == parameter.name }
                    try copy(
                        EightBitMoment.codeDescription(parameter), group, shard.rows[parameter.name],
                        to: part.map { UnsafeMutableRawBufferPointer(narrow.codes($0)) }, from: file)
                    try copy(
                        EightBitMoment.scaleDescription(parameter), group, shard.rows[parameter.name],
                        to: part.map { UnsafeMutableRawBufferPointer(narrow.scales($0)) }, from: file)
                }
            }
        }
        if let (m, v) = optimizer.eightBit, let name = m.firstInvalidScale ?? v.firstInvalidScale {
            throw TrainingStateError.damagedState(
                file.path, reason: "\(name) holds a number that is negative or not finite")
        }
    }

    /// Reads and checks a tensor, and copies some of its rows.
    private static func copy(
        _ description: TensorDescription, _ group: TensorGroup, _ rows: Range<Int>?,
        to target: UnsafeMutableRawBufferPointer?, from file: CheckpointFile
    ) throws {
        let tensor = try TrainingState.moment(
            description.name, description.shape, description.elementType, group, in: file)
        guard let rows, let target else { return }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: description.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        try file.read([(tensor, bytes)])
        if description.elementType == .float32 {
            try TrainingState.verify([LoadedTensor(group, description.name, bytes.bindMemory(to: Float.self))], file)
        }
        let rowBytes = description.byteCount / max(1, description.shape.count > 1 ? description.shape[0] : 1)
        let first = description.shape.count > 1 ? rows.lowerBound * rowBytes : 0
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<first + target.count]))
    }
}

/// An unnamed file for numbers that are needed for a short time.
private final class TemporaryNumbers: @unchecked Sendable {
    // Sendable because `end` is used before other threads read.
    private let descriptor: Int32
    private let path: String
    var end = 0

    init(in folder: String) throws {
        path = "\(folder)/.ckpt-moments-\(getpid()).partial"
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CheckpointError.system(path: path, operation: "create the file", code: errno)
        }
        unlink(path)
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer, at start: Int) throws {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, min(bytes.count - done, 1 << 30), start + done)
            guard count > 0 else {
                throw CheckpointError.system(path: path, operation: "write the moments", code: errno)
            }
            done += count
        }
    }

    func read(_ start: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < bytes.count {
            let count = pread(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, start + done)
            guard count > 0 else {
                throw CheckpointError.system(path: path, operation: "read the moments", code: errno)
            }
            done += count
        }
    }
}

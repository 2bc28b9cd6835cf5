// Saves, loads and copies checkpoints and prints the time; used by bench/io/compare.py and by the tests of faults.
//
//     io-bench save IN.h5 OUT.h5        load IN, then save it
//     io-bench load FILE.h5 [huge]      load all tensors into fresh memory, then into the same memory again; with
//                                       `huge` in huge pages, which the engine uses
//     io-bench delta OLD.h5 NEW.h5      code the differences of two states, in memory, and give NEW back from them
//     io-bench decode IN.h5             decode the exponents of bf16 tensors, by ckpt and by libzstd, on one core
//     io-bench copy IN.h5 OUT.h5        copy with one byte of the first tensor changed, which is decoded and compressed
//     io-bench random OUT.h5 MEGABYTES SEED    save random bf16 tensors of one megabyte each
//     io-bench model OUT.h5 SEED        save random bf16 weights with the shapes of DeepSeek-R1-Distill-Qwen-1.5B
//
// Prints one line of JSON: seconds, bytes of the tensors before compression, and other figures.

import CheckpointIO
import Glibc
import Parallel

func seconds(_ work: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    return try clock.measure(work) / .seconds(1)
}

/// User and system time of all threads so far.
func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(0, &usage)
    let micro = Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + micro / 1e6
}

/// Peak memory of this program; getrusage would include that of the process that started it.
func peakResidentBytes() -> Int {
    var text = [UInt8](repeating: 0, count: 8192)
    let descriptor = open("/proc/self/status", O_RDONLY)
    defer { close(descriptor) }
    let count = max(0, read(descriptor, &text, text.count))
    for line in text[..<count].split(separator: UInt8(ascii: "\n")) where line.starts(with: "VmHWM:".utf8) {
        let digits = line.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return (Int(String(decoding: digits, as: UTF8.self)) ?? 0) * 1024
    }
    return 0
}

/// One block of memory for tensors.
final class Memory: @unchecked Sendable {
    // Sendable because it is filled before it is shared.
    let buffer: UnsafeMutableRawBufferPointer

    init(_ byteCount: Int, inHugePages: Bool = false) {
        buffer =
            inHugePages
            ? LargeAllocation.allocate(byteCount: byteCount) : .allocate(byteCount: byteCount, alignment: 64)
    }

    deinit { buffer.deallocate() }

    var start: UnsafeMutableRawPointer {
        // An allocation has an address.
        // swift-format-ignore: NeverForceUnwrap
        buffer.baseAddress!
    }

    func content(_ range: Range<Int>) -> TensorContent {
        .memory(TensorMemory(UnsafeRawBufferPointer(rebasing: buffer[range]), owner: self))
    }
}

/// The range of each tensor in one block of memory.
func places(_ tensors: [StoredTensor]) -> (ranges: [Range<Int>], byteCount: Int) {
    var end = 0
    let ranges = tensors.map { tensor in
        let start = end
        end += (tensor.description.byteCount + 63) / 64 * 64
        return start..<start + tensor.description.byteCount
    }
    return (ranges, end)
}

func load(_ file: CheckpointFile, into memory: Memory) throws {
    let tensors = file.tensors()
    try file.read(
        zip(tensors, places(tensors).ranges).map {
            ($0, UnsafeMutableRawBufferPointer(rebasing: memory.buffer[$1]))
        })
}

func load(_ file: CheckpointFile, inHugePages: Bool = false) throws -> Memory {
    let memory = Memory(places(file.tensors()).byteCount, inHugePages: inHugePages)
    try load(file, into: memory)
    return memory
}

/// Random bf16 numbers near zero.
func randomWeights(_ count: Int, seed: UInt64) -> Memory {
    let bytes = Memory(2 * count)
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    for index in 0..<count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        let sum = (0..<4).reduce(0) { $0 + Float(state >> (16 * UInt64($1)) & 0xffff) }
        let value = ElementConversion.float32ToBFloat16((sum - 131_070) / 2_000_000)
        bytes.buffer.storeBytes(of: value, toByteOffset: 2 * index, as: UInt16.self)
    }
    return bytes
}

/// Names and shapes of the tensors of DeepSeek-R1-Distill-Qwen-1.5B.
let largeModel: [(name: String, shape: [Int])] = {
    let (hidden, intermediate, keyValue, vocabulary) = (1536, 8960, 256, 151_936)
    var tensors: [(name: String, shape: [Int])] = [
        ("model.embed_tokens.weight", [vocabulary, hidden]), ("lm_head.weight", [vocabulary, hidden]),
        ("model.norm.weight", [hidden]),
    ]
    for layer in 0..<28 {
        let prefix = "model.layers.\(layer)."
        for (name, width) in [("q_proj", hidden), ("k_proj", keyValue), ("v_proj", keyValue)] {
            tensors.append(("\(prefix)self_attn.\(name).weight", [width, hidden]))
            tensors.append(("\(prefix)self_attn.\(name).bias", [width]))
        }
        tensors.append((prefix + "self_attn.o_proj.weight", [hidden, hidden]))
        tensors.append((prefix + "mlp.gate_proj.weight", [intermediate, hidden]))
        tensors.append((prefix + "mlp.up_proj.weight", [intermediate, hidden]))
        tensors.append((prefix + "mlp.down_proj.weight", [hidden, intermediate]))
        tensors.append((prefix + "input_layernorm.weight", [hidden]))
        tensors.append((prefix + "post_attention_layernorm.weight", [hidden]))
    }
    return tensors
}()

/// Elements of a tensor that are coded together.
struct Piece: Sendable {
    let bytes: Range<Int>
    let elementSize: Int
    var count: Int { bytes.count / elementSize }
}

/// Codes the differences of states in memory as a delta does, then applies them to the old one; reports both times.
func measureDelta(_ old: CheckpointFile, _ new: CheckpointFile) throws {
    let tensors = new.tensors()
    guard old.tensors().map(\.description) == tensors.map(\.description) else {
        throw CheckpointError.invalid(name: "io-bench delta", problem: "the states have different tensors")
    }
    let pieces = zip(tensors, places(tensors).ranges).flatMap { tensor, range in
        let elementSize = tensor.description.elementType.byteCount
        return stride(from: range.lowerBound, to: range.upperBound, by: 1 << 20).map {
            Piece(bytes: $0..<min($0 + 1 << 20, range.upperBound), elementSize: elementSize)
        }
    }
    let (base, wanted) = (try load(old), try load(new))
    // Written once before, so that no page is new to the process.
    let given = try load(old)
    // Each piece has its own frame, so tasks on different threads never write to the same memory.
    let frames = pieces.map { Memory(DifferenceFrame.outputBound($0.bytes.count, planeCount: $0.elementSize)) }
    let sizes = Memory(pieces.count * 8)
    let workers = ParallelWork.coreCount
    let encoding = try seconds {
        try ParallelWork.forEach(workers) { worker in
            let frame = DifferenceFrame()
            let planes = Memory(1 << 20)
            for index in stride(from: worker, to: pieces.count, by: workers) {
                let piece = pieces[index]
                _ = BitDifferences.encode(
                    from: UnsafeRawBufferPointer(rebasing: base.buffer[piece.bytes]),
                    to: UnsafeRawBufferPointer(rebasing: wanted.buffer[piece.bytes]), elementSize: piece.elementSize,
                    into: planes.start.assumingMemoryBound(to: UInt8.self), stride: piece.count)
                let size = frame.compress(
                    UnsafeRawBufferPointer(rebasing: planes.buffer[..<piece.bytes.count]),
                    planeCount: piece.elementSize, into: frames[index].buffer)
                sizes.buffer.storeBytes(of: size, toByteOffset: index * 8, as: Int.self)
            }
        }
    }
    let applying = try seconds {
        try ParallelWork.forEach(workers) { worker in
            let decompressor = try ZstdDecompressor()
            let (codes, planes) = (Memory(1 << 20), Memory(1 << 20))
            for index in stride(from: worker, to: pieces.count, by: workers) {
                let piece = pieces[index]
                let size = sizes.buffer.load(fromByteOffset: index * 8, as: Int.self)
                _ = try decompressor.decompress(
                    UnsafeRawBufferPointer(rebasing: frames[index].buffer[..<size]),
                    into: UnsafeMutableRawBufferPointer(rebasing: planes.buffer[..<piece.bytes.count]))
                BitDifferences.join(
                    planes.start.assumingMemoryBound(to: UInt8.self), stride: piece.count, count: piece.count,
                    elementSize: piece.elementSize, into: codes.start)
                let target = UnsafeMutableRawBufferPointer(rebasing: given.buffer[piece.bytes])
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: base.buffer[piece.bytes]))
                BitDifferences.apply(
                    UnsafeRawBufferPointer(rebasing: codes.buffer[..<piece.bytes.count]), to: target,
                    elementSize: piece.elementSize)
            }
        }
    }
    guard pieces.allSatisfy({ given.buffer[$0.bytes].elementsEqual(wanted.buffer[$0.bytes]) }) else {
        throw CheckpointError.invalid(name: "io-bench delta", problem: "the new state was not given back")
    }
    let stored = pieces.indices.reduce(0) { $0 + sizes.buffer.load(fromByteOffset: $1 * 8, as: Int.self) }
    report([
        ("encode_seconds", "\(encoding)"), ("apply_seconds", "\(applying)"),
        ("bytes", "\(pieces.reduce(0) { $0 + $1.bytes.count })"), ("delta_bytes", "\(stored)"),
    ])
}

/// Compresses the high bytes of bf16 tensors in memory, then decodes them on one core in two ways; reports both times.
func measureDecoding(_ file: CheckpointFile) throws {
    let memory = try load(file)
    let ranges = zip(file.tensors(), places(file.tensors()).ranges)
        .filter { $0.0.description.elementType == .bfloat16 }.map(\.1)
    let plane = Memory(512 << 10)
    let encoder = EntropyFrame()
    var frames: [(bytes: [UInt8], count: Int)] = []
    for range in ranges {
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 1 << 20) {
            let count = (min(range.upperBound, start + 1 << 20) - start) / 2
            for index in 0..<count { plane.buffer[index] = memory.buffer[start + 2 * index + 1] }
            var frame = [UInt8](repeating: 0, count: EntropyFrame.outputBound(count, elementSize: 1))
            let size = frame.withUnsafeMutableBytes {
                encoder.compress(UnsafeRawBufferPointer(rebasing: plane.buffer[..<count]), elementSize: 1, into: $0)
            }
            frames.append((Array(frame[..<size]), count))
        }
    }
    func time(_ decode: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Bool) throws -> Double {
        var isDecoded = true
        let time = try seconds {
            for frame in frames {
                let target = UnsafeMutableRawBufferPointer(rebasing: plane.buffer[..<frame.count])
                isDecoded = try frame.bytes.withUnsafeBytes { try decode($0, target) } && isDecoded
            }
        }
        guard isDecoded else {
            throw CheckpointError.invalid(name: "io-bench decode", problem: "a frame was not decoded")
        }
        return time
    }
    let decoder = EntropyFrameDecoder()
    let decompressor = try ZstdDecompressor()
    let own = try time { decoder.decodePlanes($0, planeCount: 1, into: $1) }
    let libzstd = try time { try decompressor.decompress($0, into: $1) }
    report([
        ("own_seconds", "\(own)"), ("libzstd_seconds", "\(libzstd)"),
        ("bytes", "\(frames.reduce(0) { $0 + $1.count })"),
    ])
}

func save(_ tensors: [TensorToWrite], to path: String, step: Int) throws {
    let metadata = CheckpointMetadata(step: step, createdBy: "io-bench", config: "{}")
    var written: WrittenCheckpoint?
    let time = try seconds {
        written = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: true)
    }
    report([("seconds", "\(time)"), ("bytes", "\(written?.logicalByteCount ?? 0)")])
}

func report(_ fields: [(String, String)]) {
    let all = fields + [("peak_resident_bytes", String(peakResidentBytes()))]
    print("{" + all.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}")
}

func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count > 2 else {
        throw CheckpointError.invalid(name: "io-bench", problem: "give a verb and a file")
    }
    switch (arguments[1], arguments.count) {
    case ("save", 4):
        let file = try CheckpointFile(path: arguments[2])
        let memory = try load(file, inHugePages: true)
        let tensors = zip(file.tensors(), places(file.tensors()).ranges).map {
            TensorToWrite(description: $0.description, content: memory.content($1))
        }
        var written: WrittenCheckpoint?
        let before = processorSeconds()
        let time = try seconds {
            written = try CheckpointWriter.write(file.metadata, tensors: tensors, to: arguments[3], overwrite: true)
        }
        report([
            ("seconds", "\(time)"), ("processor_seconds", "\(processorSeconds() - before)"),
            ("bytes", "\(written?.logicalByteCount ?? 0)"),
            ("file_bytes", "\(written?.fileByteCount ?? 0)"),
        ])
    case ("load", 3), ("load", 4):
        let isHuge = arguments.last == "huge"
        guard isHuge || arguments.count == 3 else {
            throw CheckpointError.invalid(name: "io-bench load", problem: "only 'huge' may follow the file")
        }
        let clock = ContinuousClock()
        let start = clock.now
        let memory = try load(CheckpointFile(path: arguments[2]), inHugePages: isHuge)
        let fresh = (clock.now - start) / .seconds(1)
        let reused = try seconds { try load(CheckpointFile(path: arguments[2]), into: memory) }
        let count = memory.buffer.count
        report([("fresh_seconds", "\(fresh)"), ("reused_seconds", "\(reused)"), ("bytes", "\(count)")])
    case ("delta", 4):
        try measureDelta(CheckpointFile(path: arguments[2]), CheckpointFile(path: arguments[3]))
    case ("decode", 3):
        try measureDecoding(CheckpointFile(path: arguments[2]))
    case ("copy", 4):
        let file = try CheckpointFile(path: arguments[2])
        var tensors = file.tensors().map {
            TensorToWrite(description: $0.description, content: .copy(file, $0))
        }
        if let first = file.tensors().first {
            tensors[0].content = .bytes { range, target in
                try file.read(first, range: range, into: target)
                if range.lowerBound == 0 { target[0] ^= 1 }
            }
        }
        let time = try seconds {
            _ = try CheckpointWriter.write(file.metadata, tensors: tensors, to: arguments[3], overwrite: true)
        }
        report([("seconds", "\(time)"), ("file_bytes", "\(file.fileByteCount)")])
    case ("random", 5):
        guard let megabytes = Int(arguments[3]), let seed = UInt64(arguments[4]), megabytes > 0 else {
            throw CheckpointError.invalid(name: "io-bench random", problem: "give megabytes and a seed")
        }
        let tensors = (0..<megabytes).map { number in
            let seed = seed &* 1000 &+ UInt64(number)
            return TensorToWrite(
                description: TensorDescription(
                    name: "model.layers.\(number).weight", elementType: .bfloat16, shape: [512, 1024]),
                content: randomWeights(512 * 1024, seed: seed).content(0..<1024 * 1024))
        }
        try save(tensors, to: arguments[2], step: Int(seed))
    case ("model", 4):
        guard let seed = UInt64(arguments[3]) else {
            throw CheckpointError.invalid(name: "io-bench model", problem: "give a seed")
        }
        // All tensors use the same random numbers at different offsets; only their distribution matters.
        let pool = randomWeights(1 << 26, seed: seed)
        let tensors = largeModel.enumerated().map { number, tensor in
            TensorToWrite(
                description: TensorDescription(name: tensor.name, elementType: .bfloat16, shape: tensor.shape),
                content: .bytes { range, target in
                    var done = 0
                    while done < target.count {
                        let start = (number * 7919 * 4096 + range.lowerBound + done) % pool.buffer.count
                        let count = min(target.count - done, pool.buffer.count - start)
                        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count])
                            .copyMemory(from: UnsafeRawBufferPointer(rebasing: pool.buffer[start..<start + count]))
                        done += count
                    }
                })
        }
        try save(tensors, to: arguments[2], step: Int(seed))
    default:
        throw CheckpointError.invalid(name: "io-bench", problem: "unknown verb \(arguments[1])")
    }
}

do {
    try main()
} catch {
    let line = "io-bench: \(error)\n"
    _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    exit(2)
}

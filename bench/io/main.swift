// Saves, loads and copies checkpoints, and says how long that took: the ckpt side of bench/io/compare.py, and what the
// tests of crashes and faults run.
//
//     io-bench save IN.h5 OUT.h5        decode IN into memory, then save it anew
//     io-bench load FILE.h5             read all tensors into fresh, then into the same memory
//     io-bench copy IN.h5 OUT.h5        copy, the first tensor newly compressed
//     io-bench random OUT.h5 MEGABYTES SEED    save a random bf16 model
//
// One line of JSON on stdout: seconds, and bytes of the tensors before compression.

import CheckpointIO
import Glibc

func seconds(_ work: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    return try clock.measure(work) / .seconds(1)
}

/// Of this program alone; getrusage would count the memory of the process that started it.
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

/// The bytes of a tensor, shared with the writer's threads.
struct Bytes: @unchecked Sendable {
    // Sendable because they are not changed once filled.
    let buffer: UnsafeMutableRawBufferPointer

    init(_ count: Int) { buffer = .allocate(byteCount: count, alignment: 64) }

    var content: TensorContent {
        .bytes { range, target in
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: self.buffer[range]))
        }
    }
}

func load(_ file: CheckpointFile) throws -> [Bytes] {
    try file.tensors().map { tensor in
        let bytes = Bytes(tensor.description.byteCount)
        try file.read(tensor, into: bytes.buffer)
        return bytes
    }
}

/// bf16 bits of numbers near zero.
func randomWeights(_ count: Int, seed: UInt64) -> Bytes {
    let bytes = Bytes(2 * count)
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
        let contents = try load(file)
        let tensors = zip(file.tensors(), contents).map {
            TensorToWrite(description: $0.description, content: $1.content)
        }
        var written: WrittenCheckpoint?
        let time = try seconds {
            written = try CheckpointWriter.write(file.metadata, tensors: tensors, to: arguments[3], overwrite: true)
        }
        report([
            ("seconds", "\(time)"), ("bytes", "\(written?.logicalByteCount ?? 0)"),
            ("file_bytes", "\(written?.fileByteCount ?? 0)"),
        ])
    case ("load", 3):
        var contents: [Bytes] = []
        var file: CheckpointFile?
        let fresh = try seconds {
            let opened = try CheckpointFile(path: arguments[2])
            contents = try load(opened)
            file = opened
        }
        let reused = try seconds {
            let opened = try CheckpointFile(path: arguments[2])
            for (tensor, bytes) in zip(opened.tensors(), contents) { try opened.read(tensor, into: bytes.buffer) }
        }
        let count = file?.tensors().reduce(0) { $0 + $1.description.byteCount } ?? 0
        report([("fresh_seconds", "\(fresh)"), ("reused_seconds", "\(reused)"), ("bytes", "\(count)")])
    case ("copy", 4):
        let file = try CheckpointFile(path: arguments[2])
        var tensors = file.tensors().map {
            TensorToWrite(description: $0.description, content: .copy(file, $0))
        }
        if let first = file.tensors().first {
            let bytes = Bytes(first.description.byteCount)
            try file.read(first, into: bytes.buffer)
            tensors[0].content = bytes.content
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
                content: randomWeights(512 * 1024, seed: seed).content)
        }
        let metadata = CheckpointMetadata(step: Int(seed), createdBy: "io-bench", config: "{}")
        let time = try seconds {
            _ = try CheckpointWriter.write(metadata, tensors: tensors, to: arguments[2], overwrite: true)
        }
        report([("seconds", "\(time)"), ("bytes", "\(megabytes << 20)")])
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

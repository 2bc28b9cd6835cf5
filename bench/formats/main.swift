// Converts models between formats with CheckpointIO alone, and prints time and peak memory.
//
//     formats-bench import PATH base.h5 [type]       a model in any supported format to a checkpoint
//     formats-bench hf base.h5 FOLDER [type]         a checkpoint to a Hugging Face folder
//     formats-bench gguf base.h5 FILE [type]         a checkpoint to GGUF
//     formats-bench raw PATH FOLDER                  every tensor's bytes as a file, to compare with other programs

import CheckpointIO
import Foundation

func peakMegabytes() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 1024
}

func run(_ arguments: [String]) throws {
    guard arguments.count >= 3 else { return print("formats-bench import|hf|gguf|raw INPUT OUTPUT [TYPE]") }
    let type = arguments.count > 3 ? arguments[3] : nil
    let start = ContinuousClock.now
    var byteCount = 0
    switch arguments[0] {
    case "import":
        let model = try ModelImport.open(path: arguments[1])
        for note in model.notes { print("note: \(note)") }
        let source =
            type.flatMap { ElementType(rawValue: $0) }
            .map { ConvertedTensors(model.source, to: $0) as any TensorSource } ?? model.source
        let written = try CheckpointWriter.write(
            model.metadata,
            tensors: source.tensors.map { tensor in
                TensorToWrite(
                    description: tensor, content: .bytes { try source.read(tensor.name, range: $0, into: $1) })
            }, to: arguments[2], overwrite: true)
        byteCount = written.logicalByteCount
        print("digest \(written.digest)")
    case "hf":
        let file = try CheckpointFile(path: arguments[1])
        let stored = CheckpointTensors(file)
        let source =
            type.flatMap { ElementType(rawValue: $0) }
            .map { ConvertedTensors(stored, to: $0) as any TensorSource } ?? stored
        try HuggingFaceExport.write(file.metadata, source, to: arguments[2], overwrite: true)
        byteCount = source.tensors.reduce(0) { $0 + $1.byteCount }
    case "gguf":
        let file = try CheckpointFile(path: arguments[1])
        let stored = CheckpointTensors(file)
        try GGUFExport.write(
            file.metadata, stored, to: arguments[2], overwrite: true,
            precision: type.flatMap { GGUFExport.Precision(rawValue: $0) })
        byteCount = stored.tensors.reduce(0) { $0 + $1.byteCount }
    case "raw":
        let model = try ModelImport.open(path: arguments[1])
        try FileManager.default.createDirectory(atPath: arguments[2], withIntermediateDirectories: true)
        for tensor in model.source.tensors {
            var bytes = [UInt8](repeating: 0, count: tensor.byteCount)
            try bytes.withUnsafeMutableBytes { try model.source.read(tensor.name, range: 0..<$0.count, into: $0) }
            try Data(bytes).write(to: URL(fileURLWithPath: arguments[2] + "/" + tensor.name))
            byteCount += bytes.count
        }
        if let tokenizer = model.metadata.tokenizer {
            try Data(tokenizer.json).write(to: URL(fileURLWithPath: arguments[2] + "/tokenizer.json"))
        }
    default: return print("unknown verb \(arguments[0])")
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    print(
        String(
            format: "%.2f s, %.0f MB, %.0f MB/s, peak %d MB", seconds, Double(byteCount) / 1e6,
            Double(byteCount) / 1e6 / seconds, peakMegabytes()))
}

do {
    try run(Array(CommandLine.arguments.dropFirst()))
} catch {
    FileHandle.standardError.write(Data("formats-bench: \(error)\n".utf8))
    exit(2)
}

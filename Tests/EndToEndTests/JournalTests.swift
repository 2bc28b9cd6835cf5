import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Journals and logs with a damaged middle: what is whole is used, what is not is counted, and nothing is destroyed.
@Suite struct JournalTests {
    private let whole: TemporaryFolder
    private let folder: TemporaryFolder

    init() throws {
        whole = try TinyRun.made.get().folder
        folder = try TemporaryFolder()
    }

    /// Damages the middle of a file of at least ten lines: NUL bytes, a cut line that runs into the next, invalid
    /// UTF-8, a repeated line, and a line over the limit of 64 MiB.
    private func damage(_ name: String) throws -> Data {
        let url = folder.url.appending(path: name)
        var lines = try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")).map { Data($0) }
        #expect(lines.count >= 10)
        lines[3] = Data(count: lines[3].count)
        lines[5] = lines[5].prefix(lines[5].count / 2) + lines.remove(at: 6)
        lines[6] = lines[6].prefix(lines[6].count - 2) + Data([0xff]) + lines[6].suffix(2)
        lines.append(lines[1])
        lines.append(Data(repeating: UInt8(ascii: "x"), count: 65 << 20))
        let bytes = Data(lines.joined(separator: Data("\n".utf8))) + Data("\n".utf8)
        try bytes.write(to: url)
        return bytes
    }

    private func isKept(_ bytes: Data, in name: String) throws -> Bool {
        try Data(contentsOf: folder.url.appending(path: name)).starts(with: bytes)
    }

    @Test func distillGoesOnFromWholeLines() throws {
        let numbers = 0..<8
        try folder.write(
            numbers.map { "{\"id\":\"\($0)\",\"problem\":\"p\($0)\",\"answer\":\"\($0)\"}\n" }.joined(),
            to: "problems.jsonl")
        try folder.write(
            numbers.map { "{\"problem\":\"p\($0)\",\"think\":\"w</think>\($0)\",\"short\":\"\($0)\"}\n" }.joined(),
            to: "recorded.jsonl")
        let command = [
            "distill", "problems.jsonl", "-o", "pairs.jsonl", "--think-teacher", "recorded.jsonl", "--short-teacher",
            "recorded.jsonl", "--json",
        ]
        let first = try Command.run(Command.ckptPath, command, in: folder)
        #expect(first.status == 0, "\(first.errors)")
        let pairs = try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8)
        #expect(pairs.split(separator: "\n").count == numbers.count)
        let bytes = try damage("pairs.jsonl.answers")
        let again = try Command.run(Command.ckptPath, command + ["--resume"], in: folder)
        #expect(again.status == 0, "\(again.errors)")
        let report = try JSON.parse(Array(again.output.utf8))
        #expect(report["damaged_lines"]?.int == 4 && report["repeated_lines"]?.int == 1, "\(again.output)")
        #expect(report["answers_now"]?.int == 3 && report["answers_from_earlier"]?.int == 2 * numbers.count - 3)
        #expect(try String(contentsOfFile: folder.path("pairs.jsonl"), encoding: .utf8) == pairs)
        #expect(try isKept(bytes, in: "pairs.jsonl.answers"))
        let text = try Command.run(Command.ckptPath, command.dropLast() + ["--resume"], in: folder)
        #expect(
            text.output.contains("4 damaged lines of 21 left out; their answers are asked for again"), "\(text.output)")
    }

    @Test func evalGoesOnFromWholeLines() throws {
        try FileManager.default.copyItem(atPath: whole.path("sft/step-000006.h5"), toPath: folder.path("model.h5"))
        try FileManager.default.copyItem(atPath: whole.path("task/dev.jsonl"), toPath: folder.path("dev.jsonl"))
        let command = [
            "eval", "model.h5", "--data", "dev.jsonl", "--limit", "12", "--prompt", "plain", "--max-new-tokens", "8",
            "--answer", "bare", "--answers", "answers.jsonl", "--json",
        ]
        let first = try Command.run(Command.ckptPath, command, in: folder)
        #expect(first.status == 0, "\(first.errors)")
        let bytes = try damage("answers.jsonl")
        let again = try Command.run(Command.ckptPath, command, in: folder)
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.output == first.output)
        #expect(
            again.errors.contains(
                "ckpt: warning: answers.jsonl: 4 damaged lines of 13 left out; their answers are made again; 1 repeated row left "
                    + "out\n"), "\(again.errors)")
        #expect(try isKept(bytes, in: "answers.jsonl"))
    }

    /// The damage is in the middle, or in the first line.
    @Test(arguments: [false, true]) func aRunGoesOnFromWholeMetrics(isFirst: Bool) throws {
        try FileManager.default.copyItem(atPath: whole.path("rl"), toPath: folder.path("run"))
        try FileManager.default.removeItem(atPath: folder.path("run/step-000004.h5"))
        var bytes = try Data(contentsOf: folder.url.appending(path: "run/metrics.jsonl"))
        bytes[isFirst ? 0 : bytes.count / 2] = 0
        try bytes.write(to: folder.url.appending(path: "run/metrics.jsonl"))
        let result = try Command.ckpt("train-rl", "--resume", "run", "--data", whole.path("task/rl.jsonl"), in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            result.errors.contains("ckpt: warning: run/metrics.jsonl: 1 damaged line of 4 left out"), "\(result.errors)"
        )
        #expect(try isKept(bytes, in: "run/metrics.jsonl.damaged"))
        let rows = try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8).split(separator: "\n")
        #expect(rows.count == 3 && rows.last?.hasPrefix("{\"step\":4,") == true)
    }

    /// A link in a run's folder, as another user of a shared folder could put there, redirects no write.
    @Test(arguments: ["metrics.jsonl", "tensorboard", "rollouts"])
    func aLinkInARunIsRefused(name: String) throws {
        try FileManager.default.copyItem(atPath: whole.path("rl"), toPath: folder.path("run"))
        try FileManager.default.moveItem(atPath: folder.path("run/" + name), toPath: folder.path("elsewhere"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("run/" + name), withDestinationPath: folder.path("elsewhere"))
        let result = try Command.ckpt("train-rl", "--resume", "run", "--data", whole.path("task/rl.jsonl"), in: folder)
        #expect(result.status == 2)
        #expect(
            result.errors
                == "ckpt: error: run/\(name): is a symbolic link; give the path that it points to, or remove the link\n"
        )
    }

    /// A state whose history leaves no room for a further step starts no run; a run ends before it gets there.
    @Test func aFullHistoryIsRefusedBeforeTheRun() throws {
        let file = try CheckpointFile(path: whole.path("tokens.h5"))
        var metadata = file.metadata
        let weights = file.tensors(in: .weights).map {
            TensorToWrite(group: .weights, description: $0.description, content: .copy(file, $0))
        }
        let free = try CheckpointWriter.freeRecordBytes(metadata)
        // Room for the lineage of a run, and not for a step.
        let rows = free / 8 - 4096
        metadata.history["rl"] = MetricHistory(columns: [("step", [Double](repeating: 1, count: rows))])
        _ = try CheckpointWriter.write(metadata, tensors: weights, to: folder.path("full.h5"), overwrite: false)
        let result = try Command.ckpt(
            "train-sft", "full.h5", "--data", whole.path("task/train.jsonl"), "-o", "run", "--steps", "1", in: folder)
        #expect(result.status == 2)
        #expect(
            result.errors.contains("ckpt: error: the history holds as many metrics as a checkpoint may"),
            "\(result.errors)")
        #expect(try folder.names() == ["full.h5"])
        metadata.history["rl"] = MetricHistory(columns: [("step", [Double](repeating: 1, count: free / 8 + 1))])
        #expect(throws: CheckpointError.self) { try CheckpointWriter.check(metadata) }
    }
}

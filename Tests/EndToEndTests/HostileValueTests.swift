import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Checkpoints with valid structure and digests, but with contents that attack the terminal.
@Suite struct HostileValueTests {
    @Test func inspectPrintsNoControlCharacters() throws {
        let folder = try TemporaryFolder()
        let evil = "\u{1B}[2J\u{9B}1m\u{202E}\r\n\u{7}"
        var history = MetricHistory()
        for value in [1.7e308, -1.7e308, .infinity, .nan, 0] {
            history.append([("step", value), ("loss\(value)", value)])
        }
        let metadata = CheckpointMetadata(
            kind: .training, step: .min, createdBy: evil,
            config: "{\"model_type\":\"\\u001b[2J\",\"vocab_size\":\(Int.min),\"hidden_size\":1e999}",
            tokenizer: TokenizerRecord(
                json: Array("{}".utf8), config: nil,
                addedTokens: [
                    AddedTokenRecord(id: .min, content: evil, special: true, trained: false),
                    AddedTokenRecord(id: .max, content: evil, special: true, trained: true),
                ]),
            tiedTensors: [:], optimizer: nil, trainingState: "{\"a\\u001b[2J\":\"\\u001b[2J\",\"b\":1e999}",
            history: ["rl": history],
            probes: [
                ProbeTable(prompts: [evil], levels: [""], steps: [.max], pThink: [[-.infinity]], pShort: [[1e300]])
            ],
            lineage: [
                "no JSON \(evil)",
                #"{"operation":"\u001b[2J","parent":"\u001b[2J","tool":"\u001b","arguments":{"\u001b":"\n\u001b"}}"#,
            ])
        let values: [Float] = [.nan, .infinity, -.greatestFiniteMagnitude, 0]
        let tensor = TensorToWrite(
            description: TensorDescription(name: "model.norm.weight", elementType: .float32, shape: [4]),
            content: .bytes { range, target in
                values.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
        _ = try CheckpointWriter.write(metadata, tensors: [tensor], to: folder.path("evil.h5"), overwrite: false)
        let ways: [[String]] = [
            [], ["--json"], ["--tensors"], ["--tensors", "--json"], ["model.norm.weight"], ["history/rl"], ["probe"],
            ["history/rl", "--json"], ["probe", "--json"],
        ]
        for arguments in ways {
            let result = try Command.run(Command.ckptPath, ["inspect", "evil.h5"] + arguments, in: folder)
            #expect(result.status == 0, "\(arguments): \(result.errors)")
            let controls = result.output.unicodeScalars.filter {
                ($0.value < 0x20 || (0x7F..<0xA0).contains($0.value) || $0.value == 0x202E) && $0 != "\n" && $0 != "\t"
            }
            #expect(controls.isEmpty || arguments.contains("--json"), "\(arguments): \(controls)")
        }
        for path in ["history/sft", "history/rl/no", "training", "\u{1B}[2J"] {
            let result = try Command.ckpt("inspect", "evil.h5", path, in: folder)
            #expect(result.status == 2 && !result.errors.contains("\u{1B}"), "\(result.errors)")
        }
        #expect(try Command.ckpt("inspect", "evil.h5", "config", "--json", in: folder).status == 2)
    }
}

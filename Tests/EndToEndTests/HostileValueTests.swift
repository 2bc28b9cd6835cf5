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
            kind: .training, step: 1 << 40, createdBy: evil,
            config: "{\"model_type\":\"\\u001b[2J\",\"vocab_size\":\(Int.min),\"hidden_size\":1e999}",
            tokenizer: TokenizerRecord(
                json: Array("{}".utf8), config: nil,
                addedTokens: [
                    AddedTokenRecord(id: 0, content: evil, special: true, trained: false),
                    AddedTokenRecord(id: 1 << 40, content: evil, special: true, trained: true),
                ]),
            tiedTensors: [:], optimizer: nil, trainingState: "{\"a\\u001b[2J\":\"\\u001b[2J\",\"b\":1e999}",
            history: ["rl": history],
            probes: [
                ProbeTable(prompts: [evil], levels: [""], steps: [1 << 40], pThink: [[.nan]], pShort: [[1]])
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

    /// The layer's number in a tensor's name is an index of tables.
    @Test(arguments: ["9223372036854775807", "9223372036854775806", "-1", "1000000000"])
    func diffTakesAnyLayerNumber(layer: String) throws {
        let folder = try TemporaryFolder()
        for (name, value) in [("a.h5", Float(1)), ("b.h5", 2)] {
            let tensors = ["0", layer].map { layer in
                TensorToWrite(
                    description: TensorDescription(
                        name: "model.layers.\(layer).mlp.up_proj.weight", elementType: .float32, shape: [1, 1]),
                    content: .bytes { _, target in target.storeBytes(of: value, as: Float.self) })
            }
            _ = try CheckpointWriter.write(
                CheckpointMetadata(config: "{}"), tensors: tensors, to: folder.path(name), overwrite: false)
        }
        let ways: [[String]] = [[], ["--json"], ["--html", "page.html"]]
        for flags in ways {
            let result = try Command.run(Command.ckptPath, ["diff", "a.h5", "b.h5"] + flags, in: folder)
            #expect((0...2).contains(result.status), "\(flags): \(result.status), \(result.errors)")
        }
    }
}

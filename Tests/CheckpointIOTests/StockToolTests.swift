import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Stock HDF5 tools read our files, and we read h5py's files.
@Suite struct StockToolTests {
    @Test(arguments: ["plain", "zstd", "shuffle-zstd", "odd-chunks"]) func h5pyFilesOpen(name: String) throws {
        let file = try CheckpointFile(path: "\(HostileFileTests.fixtures)/h5py-\(name).h5")
        #expect(file.metadata.config == #"{"model_type": "llama"}"#)
        #expect(try file.verify().isEmpty)
        // The values in Fixtures/make_fixtures.py, which every type represents exactly.
        func expected(_ count: Int) -> [Float] { (0..<count).map { Float($0 % 251 - 125) / 64 } }
        func read(_ name: String) throws -> [Float] {
            let count = try #require(file.tensor(name)).description.elementCount
            var values = [Float](repeating: 0, count: count)
            try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, into: $0) }
            return values
        }
        #expect(try read("model.embed.weight") == expected(12_000))
        #expect(try read("model.half.weight") == expected(900))
        #expect(try read("model.brain.weight") == expected(4480))
        #expect(try read("model.ids") == (0..<5000).map(Float.init))
        #expect(try read("model.mask") == (0..<10).map { $0 % 2 == 0 ? 1 : 0 })
        #expect(file.tensor("model.brain.weight")?.description.elementType == .bfloat16)
    }

    @Test func h5dumpNeedsNoPluginForRecords() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let config = try Command.run(
                "h5dump", ["-d", "/config", "-d", "/history/sft/loss", "-d", "/probe/p_think", path])
            #expect(config.status == 0)
            #expect(config.output.contains(#"(0): "{"model_type": "llama"}""#))
            #expect(config.output.contains("(0): 2.5, 2.25"))
            #expect(config.output.contains("(1,0): 0.125, 0.75"))
            let text = folder + "/template.txt"
            #expect(try Command.run("h5dump", ["-d", "/chat_template", "-b", "-o", text, path]).status == 0)
            #expect(try String(contentsOfFile: text, encoding: .utf8) == Samples.metadata().chatTemplate)
        }
    }

    @Test func pluginShowsTheWeights() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            let file = try CheckpointFile(path: path)
            var values = [Float](repeating: 0, count: 3001 * 576)
            try values.withUnsafeMutableBufferPointer { try file.readFloat32("model.embed_tokens.weight", into: $0) }
            // The last chunk, which has padding.
            let dump = try Command.run(
                "h5dump",
                [
                    "-d", "/weights/model/embed_tokens/weight", "-s", "3000,572", "-c", "1,4", "-m", "%.9g", "-w",
                    "200", path,
                ],
                environment: environment)
            #expect(dump.status == 0)
            let shown = values.suffix(4).map { String(format: "%.9g", $0) }.joined(separator: ", ")
            #expect(dump.output.contains("(3000,572): \(shown)"), "\(dump.output)")
            #expect(try Command.run("h5diff", [path, path], environment: environment).status == 0)
        }
    }

    @Test func h5diffFindsAChangedNumber() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            var (tensor, bytes) = Samples.tensors()[0]
            bytes[3000 * 576 * 2 + 1] ^= 1
            tensor = Samples.tensor("model.embed_tokens.weight", .bfloat16, [3001, 576], bytes)
            let tensors = [tensor] + Samples.tensors().dropFirst().map(\.0)
            let other = try Samples.write(to: folder, "other.h5", tensors: tensors)
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            let weights = "/weights/model/embed_tokens/weight"
            let diff = try Command.run("h5diff", [path, other, weights, weights], environment: environment)
            #expect(diff.status == 1)
            #expect(diff.output.contains("1 differences found"), "\(diff.output)")
        }
    }

    @Test func pluginReportsDamage() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let file = try CheckpointFile(path: path)
            let place = try #require(file.tensor("model.embed_tokens.weight")?.chunkRange(1))
            let handle = try #require(FileHandle(forUpdatingAtPath: path))
            try handle.seek(toOffset: UInt64(place.lowerBound + 500))
            try handle.write(contentsOf: Data([0x55, 0xaa]))
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            let dump = try Command.run(
                "h5dump", ["-d", "/weights/model/embed_tokens/weight", path], environment: environment)
            #expect(dump.status == 1)
        }
    }

    @Test func pluginLinksOnlyZstd() throws {
        try withTemporaryPath { folder in
            let plugin = try Tool.plugin(in: folder) + "/libh5zstd.so"
            let libraries = try Command.run("ldd", [plugin]).output
            #expect(libraries.contains("libzstd"))
            #expect(!libraries.contains("hdf5"))
            #expect(!libraries.contains("swift"))
        }
    }
}

/// The HDF5 filter plugin.
enum Tool {
    /// Builds the filter plugin by the script that users run, and returns the folder it is in.
    static func plugin(in folder: String) throws -> String {
        let script = repositoryRoot.appending(path: "scripts/install-filter").path
        let result = try Command.run("sh", [script, folder + "/plugins"])
        try #require(result.status == 0, "\(result.errors)")
        return folder + "/plugins"
    }
}

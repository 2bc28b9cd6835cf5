import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Where models lie: the Hugging Face cache, Git LFS pointers, adapters.
@Suite struct ModelLocationTests {
    private func message(_ path: String) -> String? { ModelFixtures.message { try ModelImport.open(path: path) } }

    /// A folder of the cache with a snapshot of links to blobs.
    private func makeCache(in folder: URL, revisions: [String], main: String?) throws -> String {
        let root = folder.appendingPathComponent("models--acme--tiny")
        let files = FileManager.default
        try files.createDirectory(at: root.appendingPathComponent("blobs"), withIntermediateDirectories: true)
        try files.createDirectory(at: root.appendingPathComponent("refs"), withIntermediateDirectories: true)
        if let main { try Data(main.utf8).write(to: root.appendingPathComponent("refs/main")) }
        for revision in revisions {
            let snapshot = root.appendingPathComponent("snapshots/\(revision)")
            try files.createDirectory(at: snapshot, withIntermediateDirectories: true)
            for name in try files.contentsOfDirectory(atPath: ModelFixtures.path("llama-tied-bf16")) {
                let blob = root.appendingPathComponent("blobs/\(name)").path
                if !files.fileExists(atPath: blob) {
                    try files.copyItem(atPath: ModelFixtures.path("llama-tied-bf16/\(name)"), toPath: blob)
                }
                try files.createSymbolicLink(
                    atPath: snapshot.appendingPathComponent(name).path, withDestinationPath: "../../blobs/\(name)")
            }
        }
        return root.path
    }

    @Test func cacheFolders() throws {
        try withTemporaryFolder { folder in
            let root = try makeCache(in: folder, revisions: ["aaa", "bbb"], main: "bbb\n")
            let model = try ModelImport.open(path: root)
            #expect(model.notes.first == "read from \(root)/snapshots/bbb")
            #expect(try ModelImport.open(path: root + "/snapshots/aaa").source.tensors == model.source.tensors)
            try Data("../../elsewhere".utf8).write(to: URL(fileURLWithPath: root + "/refs/main"))
            #expect(
                message(root)
                    == "\(root): no snapshot that refs/main names; give one of \(root)/snapshots/aaa, "
                    + "\(root)/snapshots/bbb")
            try FileManager.default.removeItem(atPath: root + "/snapshots/aaa")
            #expect(try ModelImport.open(path: root).notes.first == "read from \(root)/snapshots/bbb")
            try FileManager.default.removeItem(atPath: root + "/blobs/model.safetensors")
            #expect(
                message(root)
                    == "\(root)/snapshots/bbb/model.safetensors: cannot read: it links to a file that does not exist; "
                    + "download the model again")
        }
    }

    /// Links that a file system without links, or a copy, turned into texts.
    @Test func linksAsTexts() throws {
        try withTemporaryFolder { folder in
            let root = try makeCache(in: folder, revisions: ["aaa"], main: "aaa")
            let tensors = try ModelImport.open(path: root).source.tensors
            for name in try FileManager.default.contentsOfDirectory(atPath: root + "/snapshots/aaa") {
                let link = root + "/snapshots/aaa/" + name
                try FileManager.default.removeItem(atPath: link)
                try Data("../../blobs/\(name)".utf8).write(to: URL(fileURLWithPath: link))
            }
            #expect(try ModelImport.open(path: root).source.tensors == tensors)
            // A text that leads to itself, or elsewhere, is read as it is.
            for text in ["../../blobs/..", "../../blobs/a/b", "../../../etc/passwd"] {
                try Data(text.utf8).write(to: URL(fileURLWithPath: root + "/blobs/config.json"))
                #expect(message(root)?.contains("config.json: JSON: ") == true)
            }
        }
    }

    @Test(arguments: ["model.safetensors", "tokenizer.json", "config.json"])
    func pointersOfGitLFS(_ name: String) throws {
        let pointer =
            "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "0", count: 64))\nsize 9\n"
        try withTemporaryFolder { folder in
            let model = folder.appendingPathComponent("model")
            try FileManager.default.copyItem(atPath: ModelFixtures.path("llama-tied-bf16"), toPath: model.path)
            let file = model.appendingPathComponent(name)
            try Data(pointer.utf8).write(to: file)
            let wanted =
                "\(file.path): a Git LFS pointer, which stands for a file that was not downloaded, is not supported; "
                + "get the file with git lfs pull, or download it"
            #expect(message(model.path) == wanted)
            let gguf = folder.appendingPathComponent("lfs.gguf")
            try Data(pointer.utf8).write(to: gguf)
            #expect(message(gguf.path) == wanted.replacing(file.path, with: gguf.path))
        }
    }

    @Test func adaptersAndPipes() throws {
        #expect(message("-")?.contains("a model from standard input is not supported; give a file or folder") == true)
        try withTemporaryFolder { folder in
            var header = GGUFHeaderText()
            header.add("general.architecture", "llama")
            header.add("general.type", "adapter")
            let path = folder.appendingPathComponent("lora.gguf")
            try header.content.write(to: path)
            #expect(
                message(path.path)
                    == "\(path.path): a LoRA adapter in GGUF is not supported; give the adapter's PEFT folder to --adapter"
            )
        }
    }
}

/// The bytes of a GGUF file without tensors.
private struct GGUFHeaderText {
    private var values = Data()
    private var count = 0

    private static func bytes(_ value: some FixedWidthInteger) -> Data {
        withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }
    private static func text(_ text: String) -> Data { bytes(UInt64(text.utf8.count)) + Data(text.utf8) }

    mutating func add(_ key: String, _ value: String) {
        values += Self.text(key) + Self.bytes(UInt32(8)) + Self.text(value)
        count += 1
    }

    var content: Data {
        Data("GGUF".utf8) + Self.bytes(UInt32(3)) + Self.bytes(UInt64(0)) + Self.bytes(UInt64(count)) + values
    }
}

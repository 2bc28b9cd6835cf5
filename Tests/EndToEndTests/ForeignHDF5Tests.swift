import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// HDF5 files of other programs, read by libhdf5 in a process of ckpt's own.
@Suite struct ForeignHDF5Tests {
    private static let fixtures = fixturesFolder().appending(path: "hdf5")

    private static func fixture(_ name: String) -> String { fixtures.appending(path: name).path }

    private func prepared() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write("{\"model_type\": \"llama\"}\n", to: "config.json")
        return folder
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Every value of every dataset is that of h5py.
    @Test(arguments: [
        ("types.h5", [String]()), ("filters.h5", []), ("latest.h5", []), ("keras.weights.h5", ["--as-stored"]),
        ("keras.keras", ["--as-stored"]),
    ]) func valuesAreThoseOfH5py(_ name: String, _ options: [String]) throws {
        let folder = try prepared()
        let result = try Command.run(
            Command.ckptPath,
            ["import", Self.fixture(name), "--config", "config.json", "-o", "out.h5"] + options, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let file = try CheckpointFile(path: folder.path("out.h5"))
        let all = try JSON.parse([UInt8](Data(contentsOf: Self.fixtures.appending(path: "expected.json"))))
        let expected = try #require(all[name]?.object)
        #expect(file.tensors().count == expected.count)
        for (path, value) in expected {
            let tensor = try #require(file.tensor(path.replacing("/", with: ".")), "\(path)")
            #expect(tensor.description.elementType.rawValue == value["dtype"]?.string, "\(path)")
            #expect(tensor.description.shape == value["shape"]?.array?.compactMap(\.int), "\(path)")
            var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
            try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
            #expect(hexadecimal(bytes) == value["bytes"]?.string, "\(path)")
        }
    }

    /// The weights are copied out of an archive for libhdf5; the copy goes, and so does one that a killed process left.
    @Test func copyOfAnArchiveIsRemoved() throws {
        let folder = try prepared()
        let copies = try TemporaryFolder()
        let ended = try Command.run("/bin/sh", ["-c", "printf $$"]).output
        try copies.write("", to: ".ckpt-\(ended)-5f.partial")
        let arguments = [
            "import", Self.fixture("keras.keras"), "--config", "config.json", "--as-stored", "-o", "out.h5",
        ]
        let result = try Command.run(
            Command.ckptPath, arguments, in: folder, environment: ["TMPDIR": copies.path])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: copies.path).isEmpty)
        let missing = try Command.run(
            Command.ckptPath, arguments + ["--force"], in: folder, environment: ["TMPDIR": copies.path("missing")])
        #expect(missing.status == 2)
        #expect(missing.errors.contains("no temporary file for its weights: no such file or directory; set TMPDIR"))
    }

    /// Rules rename and leave out; only named matrices are transposed.
    @Test func namesAreMapped() throws {
        let folder = try prepared()
        let result = try Command.run(
            Command.ckptPath,
            [
                "import", Self.fixture("keras.weights.h5"), "--config", "config.json", "-o", "out.h5", "--rename",
                "optimizer/*=", "--rename", "layers/*/vars/0=model.*.weight", "--rename",
                "layers/*/vars/1=model.*.bias", "--transpose", "model.dense.weight",
            ], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("note: 2 datasets left out as --rename says"))
        let file = try CheckpointFile(path: folder.path("out.h5"))
        #expect(
            file.tensors().map(\.description.name) == [
                "model.dense.bias", "model.dense.weight", "model.dense_1.bias", "model.dense_1.weight",
                "model.layer_normalization.bias", "model.layer_normalization.weight",
            ])
        let all = try JSON.parse([UInt8](Data(contentsOf: Self.fixtures.appending(path: "expected.json"))))
        let stored = try #require(all["keras.weights.h5"]?["layers/dense/vars/0"]?["bytes"]?.string)
        let weight = try #require(file.tensor("model.dense.weight"))
        #expect(weight.description.shape == [4, 3])
        var bytes = [UInt8](repeating: 0, count: 48)
        try bytes.withUnsafeMutableBytes { try file.read(weight, into: $0) }
        let cells = Array(hexadecimal(bytes))
        for row in 0..<4 {
            for column in 0..<3 {
                let (own, other) = ((row * 3 + column) * 8, (column * 4 + row) * 8)
                #expect(String(cells[own..<own + 8]) == String(Array(stored)[other..<other + 8]))
            }
        }
    }

    @Test(arguments: [
        (["keras.weights.h5", "--as-stored"], "an HDF5 file says nothing of the architecture; give"),
        (["keras.weights.h5", "--config", "config.json"], "Keras stores kernels as inputs × outputs; name those"),
        (
            ["types.h5", "--config", "config.json", "--rename", "nothing*=x*"],
            "--rename: nothing*=x* matches no dataset of"
        ),
        (
            ["types.h5", "--config", "config.json", "--rename", "nothing"],
            "--rename: nothing is not a valid rule; give OLD=NEW"
        ),
        (
            ["types.h5", "--config", "config.json", "--transpose", "scalar"], "--transpose: scalar matches no matrix of"
        ),
        (
            ["types.h5", "--config", "config.json", "--rename", "*/f2=x"],
            "big/f2 and little/f2 would both become x; give another --rename"
        ),
        (
            ["links.h5", "--config", "config.json"],
            "dataset compound has elements that ckpt does not import: compounds of 8 bytes; leave it out with --rename"
                + " 'compound='"
        ),
        (
            ["links.h5", "--config", "config.json", "--rename", "compound="],
            "dataset external has its numbers in other files, which are not read; leave it out with"
        ),
        (
            ["links.h5", "--config", "config.json", "--rename", "compound=", "--rename", "external="],
            "dataset nothing has no elements, not even a shape; leave it out with"
        ),
        (
            [
                "links.h5", "--config", "config.json", "--rename", "compound=", "--rename", "external=", "--rename",
                "nothing=", "--rename", "text=",
            ], "dataset virtual is a virtual dataset, whose numbers are in other files; leave it out with"
        ),
    ]) func refusals(_ arguments: [String], _ expected: String) throws {
        let folder = try prepared()
        let result = try Command.run(
            Command.ckptPath, ["import", Self.fixture(arguments[0])] + arguments.dropFirst() + ["-o", "out.h5"],
            in: folder)
        #expect(result.status == 2)
        #expect(result.errors.split(separator: "\n").count == 1 && result.errors.contains(expected), "\(result.errors)")
        #expect(try folder.names() == ["config.json"])
    }

    @Test func inspectShowsEverything() throws {
        let folder = try TemporaryFolder()
        let result = try Command.ckpt("inspect", Self.fixture("links.h5"), in: folder)
        #expect(result.status == 0, "\(result.errors)")
        for line in [
            "HDF5, not a checkpoint; 6 datasets with 16 bytes", "    @numbers = 0, 1, 2, 3, 4",
            "    @long = \(String(repeating: "x", count: 200))…", "/again  float32  2 × 2  contiguous",
            "/group/tensor  (the same object as again)", "/group/cycle  (the same object as group)",
            "/outside  (a link to another file, which is not followed)", "/soft  (a soft link, which is not followed)",
            "/type  (a named datatype)", "/compound  compounds of 8 bytes  2  contiguous",
        ] { #expect(result.output.contains(line), "\(line): \(result.output)") }
        let filters = try Command.ckpt("inspect", Self.fixture("filters.h5"), "gzip-shuffle-fletcher", in: folder)
        #expect(
            filters.output.contains(
                "/gzip-shuffle-fletcher  float32  13 × 7  chunks of 4 × 3, shuffle, gzip 9, fletcher32"))
        #expect(!filters.output.contains("szip"))
        let json = try JSON.parse(try Command.ckpt("inspect", "--json", Self.fixture("types.h5"), in: folder).output)
        let dataset = json["objects"]?.array?.first { $0["path"] == "big/f4" }
        #expect(dataset?["type"] == "float32, big-endian")
    }

    /// A checkpoint is read without libhdf5, and is not imported again.
    @Test func checkpointsAreNotForeign() throws {
        let checkpoint = repositoryRoot.appending(path: "Tests/CheckpointIOTests/Fixtures/version-1-chunked.h5").path
        let folder = try TemporaryFolder()
        let result = try Command.run(
            Command.ckptPath, ["inspect", checkpoint], in: folder, environment: ["CKPT_LIBHDF5": "/nowhere"])
        #expect(result.status == 0 && result.output.contains("parameters"), "\(result.errors)")
        let again = try Command.run(
            Command.ckptPath, ["import", checkpoint, "--config", "config.json", "-o", "out.h5"], in: folder)
        #expect(again.status == 2 && again.errors.contains("is not an HDF5 file of another program"))
    }

    /// A dataset that libhdf5 cannot open is shown, and named by import.
    @Test func datasetsOfNewerFormats() throws {
        let folder = try prepared()
        var bytes = try [UInt8](Data(contentsOf: Self.fixtures.appending(path: "latest.h5")))
        // The layout message of a chunked dataset: type 8, its size and flags, then its version.
        let place = try #require(
            bytes.indices.dropLast(8).first {
                bytes[$0] == 8 && bytes[$0 + 3] == 0 && Array(bytes[$0 + 4..<$0 + 6]) == [4, 2]
            })
        bytes[place + 4] = 99
        try Data(bytes).write(to: folder.url.appending(path: "newer.h5"))
        let shown = try Command.ckpt("inspect", "newer.h5", in: folder)
        #expect(shown.status == 0 && shown.output.contains("cannot be opened by libhdf5 "), "\(shown.errors)")
        let result = try Command.ckpt("import", "newer.h5", "--config", "config.json", "-o", "out.h5", in: folder)
        #expect(result.status == 2 && result.errors.contains(" cannot be opened by libhdf5 "), "\(result.errors)")
        #expect(result.errors.contains("; a newer one, which CKPT_LIBHDF5 can name, may read it; leave it out with"))
    }

    @Test func missingLibrary() throws {
        let folder = try TemporaryFolder()
        let result = try Command.run(
            Command.ckptPath, ["inspect", Self.fixture("types.h5")], in: folder,
            environment: ["CKPT_LIBHDF5": "/nowhere.so"])
        #expect(result.status == 2)
        #expect(result.errors.contains("libhdf5: cannot load /nowhere.so, which CKPT_LIBHDF5 names"))
    }

    /// A file that crashes libhdf5 1.10.8 (a segmentation fault in H5HG_read) costs one line.
    @Test func crashingFile() throws {
        let folder = try prepared()
        for command in [["inspect"], ["import", "--config", "config.json", "--as-stored", "-o", "out.h5"]] {
            let result = try Command.run(Command.ckptPath, command + [Self.fixture("crash.h5")], in: folder)
            // Other versions may read it.
            if result.status != 0 {
                #expect(result.status == 2 && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
                #expect(result.errors.contains("crash.h5: libhdf5: "), "\(result.errors)")
            }
        }
    }

    /// A library that loops is ended by the limit on processor time, or on a busy machine by that on silence.
    @Test func endlessLoop() throws {
        let folder = try TemporaryFolder()
        let library = try Command.preloadLibrary(Self.fixtures.appending(path: "bad_library.c"), in: folder.path)
        let result = try Command.run(
            Command.ckptPath, ["inspect", Self.fixture("types.h5")], in: folder,
            environment: ["CKPT_LIBHDF5": library, "BEHAVIOUR": "loop"])
        #expect(result.status == 2 && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        let reasons = ["took more than 20 s of processor time", "does not answer within 60 s"]
        #expect(reasons.contains { result.errors.contains("types.h5: libhdf5: ") && result.errors.contains($0) })
    }

    /// A library that crashes, takes too much memory or writes what is not an answer costs one line.
    @Test(arguments: [
        ("crash", "libhdf5: crashed: the process was killed by signal 11;"),
        ("memory", "libhdf5: crashed: the process exited with status 3;"),
        ("chatter", "libhdf5: the process that reads the file sends what is not an answer"),
    ]) func badBehaviour(_ kind: String, _ expected: String) throws {
        let folder = try TemporaryFolder()
        let library = try Command.preloadLibrary(Self.fixtures.appending(path: "bad_library.c"), in: folder.path)
        let result = try Command.run(
            Command.ckptPath, ["inspect", Self.fixture("types.h5")], in: folder,
            environment: ["CKPT_LIBHDF5": library, "BEHAVIOUR": kind])
        #expect(result.status == 2)
        #expect(result.errors.split(separator: "\n").count == 1 && result.errors.contains(expected), "\(result.errors)")
    }
}

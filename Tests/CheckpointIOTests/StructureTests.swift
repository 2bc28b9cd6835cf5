import CheckpointIO
import Foundation
import TestSupport
import Testing

/// libhdf5 reads the structure of our files, tested with hdf5-tools.
@Suite struct StructureTests {
    private func write(_ tensors: [TensorToWrite], to folder: String) throws -> String {
        let path = folder + "/tensors.h5"
        _ = try CheckpointWriter.write(CheckpointMetadata(config: "{}"), tensors: tensors, to: path, overwrite: false)
        return path
    }

    /// A file that libhdf5 has rewritten without compression has the same content.
    @Test func h5repackKeepsEverything() throws {
        try withTemporaryPath { folder in
            let path = try Samples.write(to: folder)
            let again = folder + "/again.h5"
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            let result = try Command.run("h5repack", ["-f", "NONE", path, again], environment: environment)
            try #require(result.status == 0, "\(result.errors)")
            let (file, other) = try (CheckpointFile(path: path), CheckpointFile(path: again))
            #expect(other.metadata == file.metadata)
            #expect(other.digest == file.digest)
            #expect(other.tensors().map(\.description) == file.tensors().map(\.description))
            #expect(try other.verify().isEmpty)
        }
    }

    /// Tensors copied from files of other programs keep their chunks and filters.
    @Test(arguments: ["plain", "zstd", "shuffle-zstd", "odd-chunks", "unfiltered"])
    func copiesFromOtherProgramsOpen(kind: String) throws {
        try withTemporaryPath { folder in
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            var source = "\(HostileFileTests.fixtures)/h5py-\(kind).h5"
            if kind == "unfiltered" {
                source = folder + "/source.h5"
                let sample = try Samples.write(to: folder)
                let repacked = try Command.run(
                    "h5repack", ["-f", "NONE", sample, source], environment: environment)
                try #require(repacked.status == 0)
            }
            let file = try CheckpointFile(path: source)
            let copies = TensorGroup.allCases.flatMap { group in
                file.tensors(in: group).map {
                    TensorToWrite(group: group, description: $0.description, content: .copy(file, $0))
                }
            }
            let path = folder + "/copy.h5"
            let written = try CheckpointWriter.write(file.metadata, tensors: copies, to: path, overwrite: false)
            #expect(written.digest == file.digest)
            #expect(try CheckpointFile(path: path).verify().isEmpty)
            let diff = try Command.run("h5diff", [source, path, "/weights", "/weights"], environment: environment)
            #expect(diff.status == 0, "\(diff.output)")
        }
    }

    /// More members than fit in a symbol table node and in a B-tree node, with names of all lengths near eight.
    @Test(arguments: [0, 1, 8, 9, 256, 257, 700]) func groupsOfAnySize(count: Int) throws {
        try withTemporaryPath { folder in
            let names = (0..<count).map { "layers.\($0)" + String(repeating: "x", count: $0 % 17) }
            let tensors = names.map { Samples.tensor($0, .uint8, [2], [7, UInt8($0.utf8.count)]) }
            let path = try write(tensors, to: folder)
            let file = try CheckpointFile(path: path)
            #expect(Set(file.tensors().map(\.description.name)) == Set(names))
            #expect(try file.verify().isEmpty)
            // h5ls traverses the B-tree in order; `h5dump -d` searches it.
            let listed = try Command.run("h5ls", ["-r", path + "/weights"]).output
                .split(separator: "\n").filter { $0.contains("Dataset") }
            let paths = names.map { "/" + $0.replacingOccurrences(of: ".", with: "/") }.sorted()
            #expect(listed.map { $0.prefix { $0 != " " } } == paths.map { $0[...] })
            for name in names.shuffled().prefix(5) {
                let place = "/weights/" + name.replacingOccurrences(of: ".", with: "/")
                let dump = try Command.run("h5dump", ["-d", place, path])
                #expect(dump.status == 0)
                #expect(dump.output.contains("(0): 7, \(name.utf8.count)"), "\(dump.output)")
            }
        }
    }

    /// An index of three levels: nodes have 64 children, and each row is a chunk of half a megabyte.
    @Test func manyChunks() throws {
        try withTemporaryPath { folder in
            let (rows, columns) = (64 * 64 + 3, (1 << 19) + 8)
            let tensor = TensorToWrite(
                description: TensorDescription(name: "rows", elementType: .uint8, shape: [rows, columns]),
                content: .bytes { range, target in
                    target.initializeMemory(as: UInt8.self, repeating: UInt8(range.lowerBound / columns % 251))
                })
            let path = try write([tensor], to: folder)
            let stored = try #require(try CheckpointFile(path: path).tensor("rows"))
            #expect(stored.chunkCount == rows)
            let environment = ["HDF5_PLUGIN_PATH": try Tool.plugin(in: folder)]
            for row in [0, 63, 64, 4095, 4096, rows - 1] {
                let dump = try Command.run(
                    "h5dump", ["-d", "/weights/rows", "-s", "\(row),\(columns - 2)", "-c", "1,2", path],
                    environment: environment)
                #expect(dump.status == 0)
                #expect(dump.output.contains("(\(row),\(columns - 2)): \(row % 251), \(row % 251)"), "\(dump.output)")
            }
        }
    }

    /// h5dump's names of all types; float16 and bfloat16 are described by their fields.
    @Test func typesHaveTheirNames() throws {
        let types: [(ElementType, String)] = [
            (.float32, "H5T_IEEE_F32LE"), (.float64, "H5T_IEEE_F64LE"), (.int8, "H5T_STD_I8LE"),
            (.int16, "H5T_STD_I16LE"), (.int32, "H5T_STD_I32LE"), (.int64, "H5T_STD_I64LE"), (.uint8, "H5T_STD_U8LE"),
            (.uint16, "H5T_STD_U16LE"), (.uint32, "H5T_STD_U32LE"), (.uint64, "H5T_STD_U64LE"),
            (.float16, "16-bit little-endian floating-point 16-bit precision"),
            (.bfloat16, "16-bit little-endian floating-point 16-bit precision"),
            (.bool, "H5T_ENUM {\n      H5T_STD_I8LE;\n      \"FALSE\"            0;\n      \"TRUE\"             1;"),
        ]
        #expect(types.count == ElementType.allCases.count)
        try withTemporaryPath { folder in
            let tensors = types.map { type, _ in
                Samples.tensor(type.rawValue, type, [3], [UInt8](repeating: 0, count: 3 * type.byteCount))
            }
            let path = try write(tensors, to: folder)
            for (type, name) in types {
                let header = try Command.run("h5dump", ["-H", "-d", "/weights/\(type.rawValue)", path])
                #expect(header.output.contains("DATATYPE  \(name)"), "\(header.output)")
            }
        }
    }
}

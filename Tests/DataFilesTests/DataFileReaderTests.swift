import DataFiles
import Foundation
import OrderedJSON
import TestSupport
import Testing

private func rows(_ path: String) throws -> [FileRow] {
    let reader = try DataFileReader(path: path)
    var rows: [FileRow] = []
    while let row = try reader.next() { rows.append(row) }
    return rows
}

/// Files of every format, made by Fixtures/make_data_files.py with pyarrow, polars, DuckDB, gzip and zstandard.
@Suite struct DataFileReaderTests {
    static let folder = fixturesFolder().path
    static let expected: JSONObject = {
        let text = try? String(contentsOfFile: folder + "/expected.json", encoding: .utf8)
        return (try? text.map { try JSON.parse($0) })??.object ?? JSONObject()
    }()

    /// Equal, numbers by their value.
    static func areEqual(_ left: JSON?, _ right: JSON?) -> Bool {
        switch (left, right) {
        case (.number(let one)?, .number(let other)?):
            one == other || (one.contains { ".e".contains($0) } && Double(one) == Double(other))
        case (.array(let one)?, .array(let other)?):
            one.count == other.count && zip(one, other).allSatisfy { areEqual($0, $1) }
        case (.object(let one)?, .object(let other)?):
            one.keys == other.keys && one.keys.allSatisfy { areEqual(one[$0], other[$0]) }
        default: left == right
        }
    }

    @Test func everyFormatGivesTheRowsOfItsWriter() throws {
        #expect(Self.expected.count == 19)
        for (name, expected) in Self.expected {
            let found = try rows(Self.folder + "/" + name).map { JSON.object($0.members) }
            #expect(Self.areEqual(.array(found), expected), "\(name)")
        }
    }

    @Test func formatsAreRecognisedByContent() throws {
        let folder = try TemporaryFolder()
        let formats: [(String, DataFormat, String?)] = [
            ("lines.jsonl.gz", .jsonLines, "gzip"), ("array.json", .jsonArray, nil), ("types.parquet", .parquet, nil),
            ("bom.csv.zst", .csv(separator: UInt8(ascii: ",")), "zstd"), ("zipped.parquet.gz", .parquet, "gzip"),
        ]
        for (name, format, compression) in formats {
            let path = folder.path("data")
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.copyItem(atPath: Self.folder + "/" + name, toPath: path)
            let reader = try DataFileReader(path: path)
            #expect(reader.format == format && reader.compression == compression, "\(name)")
        }
    }

    @Test func rowsKnowWhereTheyStand() throws {
        let folder = try TemporaryFolder()
        #expect(try rows(Self.folder + "/table.csv").map(\.position) == [.line(2), .line(3), .line(6)])
        #expect(try rows(Self.folder + "/array.json").last?.position.description == "element 3")
        let groups = try rows(Self.folder + "/snappy.parquet").map(\.position)
        #expect(groups[3] == .row(4, group: 1) && groups[4].description == "row 5 (row group 2)")
        #expect(try rows(Self.folder + "/gzip.parquet")[5].position.description == "row 6")
        #expect(try rows(folder.write("\n{}\n\n{}", to: "a.jsonl")).map(\.position) == [.line(2), .line(4)])
    }

    @Test func pipesCanBeReadAgain() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("pipe")
        #expect(mkfifo(path, 0o600) == 0)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "cat '\(Self.folder)/snappy.parquet' > '\(path)'"]
        try process.run()
        #expect(try rows(path).count == 6 && rows(path).count == 6)
        process.waitUntilExit()
    }

    @Test(arguments: [
        ("[{\"a\":1} {\"a\":2}]", ", line 1: expected ',' or ']' in an array, column 10"),
        ("[{\"a\":1},\n{\"a\" 2}]", ", line 2: expected ':' after a key, column 6"),
        ("[{\"a\":1}", ", line 1: unexpected end of the JSON text, column 9"),
        ("[{\"a\":[1}", ", line 1: expected ',' or ']' in an array, column 9"),
        ("[{}] x", ", line 1: unexpected text after the JSON array, column 6"),
        ("[{},]", ", line 1: expected a JSON object, column 5"),
        ("a,b\n1\n", ", line 2: 1 field under 2 names; check quotation marks and separators"),
        ("a,a\n1,2\n", ", line 1: two columns have the name \"a\""),
        ("a,\n1,2\n", ", line 1: column 2 has no name"),
        ("a,b\n1,\"x\n\n", ", line 2: a quotation mark is not closed"),
        ("a,b\n1,\"x\"y\n", ", line 2: text after the quotation mark that ends a field; write \"\" for a mark inside"),
        ("PAR1", ": Parquet: the file ends early; get it again"),
        ("PAR1____________", ": Parquet: the file has no footer; it is cut off, get it again"),
        ("PAR1____\u{FF}\u{FF}\u{FF}\u{FF}PAR1", ": Parquet: the size of the footer is invalid"),
        ("PAR1____________PARE", ": Parquet: the file is encrypted; decrypt it"),
        ("PARE____", ": encrypted Parquet files are not read; decrypt it"),
        ("ARROW1____", ": Arrow files are not read; write it as Parquet"),
        ("BZh9____", ": bzip2 is not read; decompress it, or use gzip or zstd"),
        ("\u{1F}\u{8B}____", ": damaged gzip stream (unknown compression method)"),
    ])
    func mistakesAreNamed(text: String, message: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("data")
        // One byte per character.
        try Data(text.unicodeScalars.map { UInt8($0.value) }).write(to: URL(fileURLWithPath: path))
        #expect(failure { _ = try rows(path) } == path + message)
    }

    @Test(arguments: ["lines.jsonl.gz", "lines.jsonl.zst", "snappy.parquet", "lz4.parquet"])
    func cutFilesAreRefused(name: String) throws {
        let folder = try TemporaryFolder()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: Self.folder + "/" + name))
        let path = folder.path("cut")
        for count in stride(from: 8, to: bytes.count, by: 31) {
            try bytes.prefix(count).write(to: URL(fileURLWithPath: path))
            // A stream cut between two members or frames is a whole one.
            let isWhole = (try? rows(path)) != nil
            #expect(!isWhole || !name.hasSuffix("parquet"), "\(name), \(count) bytes")
        }
    }

    @Test func contentOutOfProportionIsRefused() throws {
        let folder = try TemporaryFolder()
        let script = "(printf PAR1; head -c 300000000 /dev/zero) | gzip -9 > bomb"
        #expect(try Command.run("/bin/sh", ["-c", script], in: folder).status == 0)
        let path = folder.path("bomb")
        #expect(
            failure { _ = try rows(path) }
                == path + ": the content is over 500 times as large as the file; it was made to fill memory")
    }

    /// A changed byte gives other rows or an error of one line, never a crash.
    @Test(arguments: ["duckdb-v2.parquet", "lz4.parquet"]) func changedBytesAreSafe(name: String) throws {
        let folder = try TemporaryFolder()
        let original = try [UInt8](Data(contentsOf: URL(fileURLWithPath: Self.folder + "/" + name)))
        let path = folder.path("changed")
        var refused = 0
        for index in stride(from: 0, to: original.count, by: 5) {
            var bytes = original
            bytes[index] ^= index % 2 == 0 ? 0xFF : 0x01
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            do { _ = try rows(path) } catch let error as DataFileError {
                refused += 1
                #expect(!error.description.contains("\n") && error.description.hasPrefix(path), "byte \(index)")
            }
        }
        #expect(refused > original.count / 20)
    }
}

@Suite struct FieldTableTests {
    @Test func fieldsAreCountedByRow() throws {
        var table = FieldTable()
        for text in [#"{"a":1,"b":{"c":[{"d":"x"},{"d":null}]}}"#, #"{"a":"1","b":null,"e":[1.5]}"#] {
            table.add(try #require(try JSON.parse(text).object))
        }
        #expect(table.rowCount == 2)
        #expect(
            table.fields.map { "\($0.path) \($0.types.joined(separator: "|")) \($0.rows)" } == [
                "a integer|text 2", "b object 1", "b.c list 1", "b.c[] object 1", "b.c[].d text 1", "e list 1",
                "e[] number 1",
            ])
    }
}

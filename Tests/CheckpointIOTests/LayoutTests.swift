import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

@Suite struct LayoutTests {
    /// h5dump lists exactly the objects in schemas/checkpoint-layout.json.
    @Test func schemaListsEveryObject() throws {
        let text = try String(
            contentsOf: repositoryRoot.appending(path: "schemas/checkpoint-layout.json"), encoding: .utf8)
        let objects = try #require(try JSON.parse(text)["objects"]?.array)
        let patterns = try objects.map { object in
            (path: try #require(object["path"]?.string), kind: try #require(object["kind"]?.string))
        }
        try withTemporaryPath { folder in
            let adapter = folder + "/adapter.h5"
            var metadata = AdapterRecordTests.metadata()
            metadata.optimizer?.moments = "8bit"
            _ = try CheckpointWriter.write(
                metadata, tensors: AdapterRecordTests.tensors(), to: adapter, overwrite: false)
            let alone = folder + "/alone.h5"
            let record = AdapterRecordTests.record()
            metadata.adaptedWeights = [AdapterRecord.weightName(ofModule: AdapterRecordTests.module): record.baseDigest]
            _ = try CheckpointWriter.write(
                metadata, tensors: AdapterRecordTests.tensors().filter { ![.weights, .base].contains($0.group) },
                to: alone, overwrite: false)
            let sample = try Samples.write(to: folder)
            let delta = folder + "/delta.h5"
            let state = DeltaTests.state()
            _ = try DeltaWriter.write(
                state.metadata, tensors: state.tensors.map(\.0), since: try CheckpointFile(path: sample), to: delta,
                overwrite: false)
            let listings = try [sample, adapter, alone, delta].map {
                try Command.run("h5dump", ["-n", "1", $0]).output
            }
            var seen: Set<String> = []
            for line in listings.joined().split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                guard words.count == 2, ["group", "dataset", "attribute"].contains(words[0]), words[1] != "/" else {
                    continue
                }
                let matches = patterns.filter { fits($0.path, kind: $0.kind, words[0], words[1]) }
                #expect(!matches.isEmpty, "\(line)")
                seen.formUnion(matches.map(\.path))
            }
            #expect(Set(patterns.map(\.path)).subtracting(seen) == [])
        }
    }

    /// Matches a pattern of the schema with a line of `h5dump -n 1`, which lists attributes below their objects.
    private func fits(_ pattern: String, kind: String, _ listedKind: String, _ path: String) -> Bool {
        // A group on the path of a tensor matches too.
        let isGroupOfTensor = listedKind == "group" && kind == "dataset" && pattern.hasSuffix("{tensor}")
        guard kind == listedKind || isGroupOfTensor else { return false }
        var expression = pattern.replacing("/@", with: "/").replacing("@", with: "/")
        for (placeholder, part) in [
            ("{tensor}", ".+"), ("{phase}", "[^/]+"), ("{metric}", "[^/]+"), ("{number}", "[0-9]{4,}"),
        ] {
            expression = expression.replacing(placeholder, with: part)
        }
        return path.range(of: "^\(expression)$", options: .regularExpression) != nil
    }
}

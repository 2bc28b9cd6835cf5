import Foundation
import TestSupport
import Testing

/// The script that holds the order of folders is itself seen to fail.
@Suite("scripts/check/floors")
struct FloorsTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../scripts/check/floors").standardizedFileURL.path

    /// Writes a module `Shop` with folders `Base` and `Top` and runs the script on it.
    private func check(_ files: [String: String], floors: String = "Shop\n    Base\n    Top\n") throws -> CommandResult
    {
        let folder = try TemporaryFolder()
        let sources = folder.url.appendingPathComponent("Sources")
        for (path, text) in files.merging(["floors.txt": floors], uniquingKeysWith: { $1 }) {
            let url = sources.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        return try Command.run("/usr/bin/env", ["python3", Self.script, "Sources"], in: folder)
    }

    private let base = "struct Price { var cents: Int }\n"
    private let top = "struct Basket { var prices: [Price] = [] }\n"

    @Test("arrows that point down are accepted")
    func down() throws {
        let result = try check(["Shop/Base/Price.swift": base, "Shop/Top/Basket.swift": top])
        #expect(result.output == "floors: 1 module, 1 arrow between folders, all down\n")
        #expect(result.status == 0)
    }

    @Test("a circle between folders and the arrow that runs up are named")
    func circle() throws {
        let result = try check([
            "Shop/Base/Price.swift": base + "func total(_ basket: Basket) -> Int { 0 }\n",
            "Shop/Top/Basket.swift": top,
        ])
        #expect(
            result.output == """
                Shop: a circle between Base, Top
                Shop: an arrow up, Base → Top: Base/Price.swift names Basket of Top/Basket.swift

                """)
        #expect(result.status == 1)
    }

    @Test("a member that only an extension on a higher floor adds is an arrow up")
    func extensionMember() throws {
        let result = try check([
            "Shop/Base/Price.swift": base + "let shown = Price(cents: 1).asText\n",
            "Shop/Top/Basket.swift": top + "extension Price { \n    var asText: String { \"\" }\n}\n",
        ])
        #expect(result.output.contains("Base/Price.swift names asText of Top/Basket.swift"))
        #expect(result.status == 1)
    }

    @Test("names in comments and strings are no arrows, names in an interpolation are")
    func text() throws {
        let harmless = base + "// a Basket\n/* Basket /* Basket */ */\nlet a = \"Basket\"\nlet b = #\"\\(Basket)\"#\n"
        let result = try check(["Shop/Base/Price.swift": harmless, "Shop/Top/Basket.swift": top])
        #expect(result.status == 0)
        let interpolated = base + "let a = \"\\(Basket.self)\"\n"
        let found = try check(["Shop/Base/Price.swift": interpolated, "Shop/Top/Basket.swift": top])
        #expect(found.status == 1)
    }

    @Test("a folder that floors.txt does not list, and a listed one that is missing, are named")
    func unlisted() throws {
        let result = try check(["Shop/Base/Price.swift": base, "Shop/New/Basket.swift": top])
        #expect(result.output.contains("Shop/New: not listed in floors.txt"))
        #expect(result.output.contains("Shop/Top: listed in floors.txt, but it has no Swift file"))
        #expect(result.status == 1)
    }
}

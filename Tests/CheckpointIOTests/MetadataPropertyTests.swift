import CheckpointIO
import Foundation
import Parallel
import TestSupport
import Testing

/// Metadata of random texts, names and numbers: the writer refuses it, or the reader reads it back equal.
@Suite struct MetadataPropertyTests {
    private struct Maker {
        var random: SplitMix64

        /// Texts that look harmless and are not, in one place or another.
        private static let pieces = [
            "", "a", "level 3", "/", "a/b", ".", "..", "\0", "x\0y", "\n", "\r\n", "\u{1b}[2J", "\u{7f}", "\u{85}",
            "é", "e\u{301}", "\u{301}", "世界", "\u{202e}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{e000}", "👩‍👩‍👧", "🇩🇪",
            "\u{10ffff}", " ", "  ", "@order", "order", "step", "0001", "-1", "nan", "\"", "\\", "{}", "<think>",
        ]

        mutating func number(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

        mutating func text() -> String {
            switch number(30) {
            case 0: String(repeating: Self.pieces[number(Self.pieces.count)], count: number(40_000))
            case 1:
                String(
                    decoding: (0..<number(20)).map { _ in UInt8.random(in: 0...255, using: &random) }, as: UTF8.self)
            default: (0..<number(4)).map { _ in Self.pieces[number(Self.pieces.count)] }.joined()
            }
        }

        /// A text that can usually be stored.
        mutating func name() -> String { number(8) == 0 ? text() : "metric_\(number(50))" }

        mutating func counter() -> Int {
            let lies: [Int] = [.min, -1, (1 << 40) + 1, .max]
            return number(20) == 0 ? lies[number(4)] : number(1 << 40)
        }

        mutating func probability() -> Double {
            let lies: [Double] = [-1, 1.5, 1e19, .infinity]
            return number(200) == 0 ? lies[number(4)] : Double.random(in: 0...1, using: &random)
        }

        mutating func metadata() -> CheckpointMetadata {
            var metadata = CheckpointMetadata(
                kind: number(2) == 0 ? .model : .training, step: counter(), createdBy: name(), config: name())
            if number(3) == 0 { metadata.generationConfig = text() }
            if number(3) == 0 { metadata.chatTemplate = text() }
            if number(3) == 0 { metadata.trainingState = text() }
            if number(2) == 0 {
                metadata.tokenizer = TokenizerRecord(
                    json: Array(text().utf8), config: number(2) == 0 ? name() : nil,
                    addedTokens: (0..<number(4)).map { _ in
                        AddedTokenRecord(
                            id: number(1000), content: name(), special: number(2) == 0, trained: number(2) == 0)
                    }, thinkID: number(2) == 0 ? counter() : nil)
            }
            if number(3) == 0 {
                metadata.optimizer = OptimizerRecord(
                    step: counter(), beta1: probability(), beta2: 0.95, epsilon: number(9) == 0 ? -1 : 1e-8)
            }
            for _ in 0..<number(3) {
                let names = Set((0..<(1 + number(12))).map { _ in name() })
                var history = MetricHistory()
                for _ in 0..<number(4) { history.append(names.map { ($0, Double(number(100))) }) }
                metadata.history[number(3) == 0 ? name() : "rl"] = history
            }
            for _ in 0..<number(3) {
                let prompts = (0..<number(4)).map { _ in name() }
                let steps = (0..<number(3)).map { _ in number(1000) }
                func rows() -> [[Double]] { steps.map { _ in prompts.map { _ in probability() } } }
                let (think, short) = (rows(), rows())
                metadata.probes.append(
                    ProbeTable(
                        prompts: prompts, levels: prompts.map { _ in name() }, steps: steps, pThink: think,
                        pShort: short))
            }
            metadata.lineage = (0..<number(4)).map { _ in
                number(2) == 0
                    ? name() : LineageEntry(operation: text(), parent: text(), tool: text()).text
            }
            return metadata
        }
    }

    @Test func theReaderAcceptsWhatTheWriterAccepts() throws {
        try withTemporaryPath { folder in
            var maker = Maker(random: SplitMix64(seed: 25))
            var (written, refused) = (0, 0)
            for number in 0..<800 {
                let metadata = maker.metadata()
                let path = folder + "/random.h5"
                do {
                    _ = try CheckpointWriter.write(metadata, tensors: [], to: path, overwrite: true)
                } catch let error as CheckpointError {
                    guard case .invalid = error else {
                        Issue.record("\(number): \(error)")
                        continue
                    }
                    refused += 1
                    continue
                }
                written += 1
                let read = try CheckpointFile(path: path).metadata
                #expect(read == metadata, "\(number)")
            }
            #expect(written > 100 && refused > 100, "\(written) written, \(refused) refused")
        }
    }
}

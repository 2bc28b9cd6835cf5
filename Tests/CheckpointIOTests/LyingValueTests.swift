import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Values that a file with valid structure can hold and no writer stores: each is refused where it is decoded.
@Suite struct LyingValueTests {
    private static let step = 0x12_3456_7801
    private static let optimizerStep = 0x12_3456_7802
    private static let probeStep = 0x12_3456_7803
    private static let tokenID = 0x12_3456_7804
    private static let thinkID = 0x12_3456_7805
    private static let beta = 0.712_345_678_9
    private static let epsilon = 1.234_567_89e-7
    private static let pThink = 0.212_345_678_9
    private static let pShort = 0.312_345_678_9

    private static func metadata() -> CheckpointMetadata {
        CheckpointMetadata(
            kind: .training, step: step, config: "{}",
            tokenizer: TokenizerRecord(
                json: Array("{}".utf8),
                addedTokens: [AddedTokenRecord(id: tokenID, content: "<think>", special: true, trained: true)],
                thinkID: thinkID),
            optimizer: OptimizerRecord(step: optimizerStep, beta1: beta, beta2: 0.95, epsilon: epsilon),
            probes: [
                ProbeTable(
                    prompts: ["a"], levels: [""], steps: [probeStep], pThink: [[pThink]], pShort: [[pShort]])
            ])
    }

    private struct Lies {
        let place: String
        let truth: UInt64
        let lies: [UInt64]

        init(_ place: String, counter: Int) {
            self.place = place
            truth = UInt64(counter)
            let counters: [Int64] = [-1, .min, .max, (1 << 40) + 1]
            lies = counters.map { UInt64(bitPattern: $0) }
        }

        init(_ place: String, _ number: Double, _ lies: [Double]) {
            self.place = place
            truth = number.bitPattern
            self.lies = lies.map(\.bitPattern)
        }
    }

    private static let outsideOfOne: [Double] = [-1e-9, 1 + 1e-9, 1e18, 1e19, -.infinity, .infinity]

    private static let all = [
        Lies("/@step", counter: step), Lies("/optimizer@step", counter: optimizerStep),
        Lies("/probe/step", counter: probeStep), Lies("/tokenizer/added_tokens/id", counter: tokenID),
        Lies("/tokenizer@think_id", counter: thinkID), Lies("/probe/p_think", pThink, outsideOfOne),
        Lies("/probe/p_short", pShort, outsideOfOne), Lies("/optimizer", beta, [-0.1, 1, .nan, .infinity]),
        Lies("/optimizer", epsilon, [-1e-8, .nan, .infinity]),
    ]

    @Test func eachIsRefusedAtItsPlace() throws {
        try withTemporaryPath { folder in
            let path = folder + "/sample.h5"
            _ = try CheckpointWriter.write(Self.metadata(), tensors: [], to: path, overwrite: false)
            #expect(try CheckpointFile(path: path).metadata == Self.metadata())
            let bytes = try Data(contentsOf: URL(filePath: path))
            for lies in Self.all {
                let place = lies.place
                let range = try #require(bytes.range(of: Self.littleEndian(lies.truth)), "\(place)")
                for lie in lies.lies {
                    var changed = bytes
                    changed.replaceSubrange(range, with: Self.littleEndian(lie))
                    try changed.write(to: URL(filePath: path))
                    let error = #expect(throws: CheckpointError.self, "\(place): \(lie)") {
                        try CheckpointFile(path: path, checkingDigests: false)
                    }
                    guard case .damaged(_, let found, _) = error else {
                        Issue.record("\(place): \(lie): \(String(describing: error))")
                        continue
                    }
                    #expect(found == place)
                }
            }
        }
    }

    /// Logits that are not numbers make probabilities that are not.
    @Test func aProbabilityMayBeUnknown() throws {
        try withTemporaryPath { folder in
            var metadata = Self.metadata()
            metadata.probes[0].pThink = [[.nan]]
            _ = try CheckpointWriter.write(metadata, tensors: [], to: folder + "/nan.h5", overwrite: false)
            #expect(try CheckpointFile(path: folder + "/nan.h5").metadata.probes[0].pThink[0][0].isNaN)
        }
    }

    private static func littleEndian(_ bits: UInt64) -> Data {
        withUnsafeBytes(of: bits.littleEndian) { Data($0) }
    }
}

import Foundation
import FuzzTargets
import TestSupport
import Testing

/// Replays the seeds of the fuzz targets and the cases that fuzzing found (scripts/check/fuzz).
@Suite struct CorpusTests {
    static let fixtures = fixturesFolder().path

    static func inputs(of target: FuzzTarget) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(fixtures)/corpus/\(target.rawValue)").sorted()
    }

    @Test(arguments: FuzzTarget.allCases) func nothingIsFound(target: FuzzTarget) throws {
        let work = try TemporaryFolder()
        let folder = FuzzFolder(
            path: work.path, companions: try FuzzFolder.companions(in: Self.fixtures + "/companions"), exports: true)
        for name in try Self.inputs(of: target) {
            let bytes = try [UInt8](
                Data(contentsOf: URL(fileURLWithPath: "\(Self.fixtures)/corpus/\(target.rawValue)/\(name)")))
            let start = ContinuousClock.now
            let isAccepted = try target.run(bytes, in: folder)
            #expect(ContinuousClock.now - start < .seconds(2), "\(name) takes long")
            // A seed that is refused would fuzz nothing but the refusal.
            if name.hasPrefix("seed-") { #expect(isAccepted, "\(name)") }
        }
        withExtendedLifetime(work) {}
    }
}

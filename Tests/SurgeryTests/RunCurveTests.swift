import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing

@Suite struct RunCurveTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func history(_ think: [Double]) -> MetricHistory {
        var history = MetricHistory()
        for (index, share) in think.enumerated() {
            history.append([("step", Double(index + 1)), ("num_think", share * 100), ("num_short", 100 - share * 100)])
        }
        return history
    }

    @Test func readsTheFolderOfARun() throws {
        for step in [2, 4] {
            var model = TinyModel(step: step)
            model.history = ["rl": history((1...step).map { Double($0) / 10 })]
            model.probes = [
                ProbeTable(
                    prompts: ["a", "b"], levels: ["1", "2"], steps: Array(stride(from: 0, through: step, by: 2)),
                    pThink: (0...step / 2).map { [Double($0) / 10, 0.5] },
                    pShort: (0...step / 2).map { _ in [0.5, 0.5] })
            ]
            _ = try model.write(to: folder.path("step-00000\(step).h5"))
        }
        let curve = try RunCurve(files: RunCurve.files(in: folder.path), path: folder.path)
        #expect(curve.run == "rl")
        #expect(curve.states.map(\.step) == [2, 4])
        #expect(curve.steps == [1, 2, 3, 4])
        #expect(curve["num_think"] == [10, 20, 30, 40])
        #expect(curve.thinkShare == [0.1, 0.2, 0.3, 0.4])
        let preference = try #require(curve.preference)
        #expect(preference.steps == [0, 2, 4])
        #expect(preference.meanThink(level: "1") == [0, 0.1, 0.2])
        #expect(preference.levels == ["1", "2"])
        let json = try JSON.parse(curve.json.serialized())
        #expect(json["steps"]?.array?.count == 4)
        #expect(json["preference"]?["levels"]?.array?.count == 2)
    }

    @Test func findsTheTurnAndTheCollapse() throws {
        func curve(_ think: [Double]) throws -> RunCurve {
            var model = TinyModel(step: think.count)
            model.history = ["rl": history(think)]
            let path = folder.path("run.h5")
            return try RunCurve(files: [model.write(to: path)], path: path)
        }
        let rise = stride(from: 0.5, through: 0.9, by: 0.05).map { $0 }
        let fall = stride(from: 0.9, through: 0.3, by: -0.05).map { $0 }
        let turned = try curve(rise + fall)
        #expect(try #require(turned.turn).step >= 8)
        #expect(try #require(turned.turn).step <= 11)
        #expect(turned.collapse == nil)
        let collapsed = try curve(rise + [Double](repeating: 1, count: 20))
        #expect(collapsed.turn == nil)
        #expect(collapsed.collapse?.mode == "think")
        #expect(try #require(collapsed.collapse).step >= 10)
        #expect(try curve([0.5, 0.5]).collapse == nil)
    }

    @Test func errorsNameWhatIsMissing() throws {
        #expect(
            throws: SurgeryError.notComparable(
                path: folder.path,
                reason: "has no states of a run; give a folder with .h5 files or another trainer's checkpoints")
        ) { try RunCurve.files(in: folder.path) }
        _ = try TinyModel().write(to: folder.path("a.h5"))
        let files = try RunCurve.files(in: folder.path)
        #expect(throws: SurgeryError.self) { try RunCurve(files: files, path: folder.path) }
        #expect(throws: SurgeryError.self) { try RunCurve.files(in: folder.path("nothing")) }
    }
}

import Foundation
import TestSupport
import Testing

/// However ckpt ends, the reward program and its children end with it.
@Suite struct RewardProcessTests {
    /// Whether a process has this text in its command line; ckpt itself, which has it too, is not counted.
    private func isRunning(_ text: String, besides ckpt: Int32) -> Bool {
        let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        return numbers.contains { number in
            guard number != ckpt, let line = try? Data(contentsOf: URL(filePath: "/proc/\(number)/cmdline")) else {
                return false
            }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }

    /// Waits up to 20 seconds until the text is, or is not, in a command line.
    private func waitUntil(running: Bool, _ text: String, besides ckpt: Int32) -> Bool {
        for _ in 0..<400 {
            if isRunning(text, besides: ckpt) == running { return true }
            usleep(50_000)
        }
        return false
    }

    /// The shell has a child, as with `python3 reward.py; true`, and another one in the background.
    private func command(_ mark: String) -> String { "command:sleep \(mark) & sleep \(mark); true" }

    @Test func aTimeOutLeavesNoProcess() throws {
        let folder = try TinyRun.made.get().folder
        let mark = "778.\(ProcessInfo.processInfo.processIdentifier)"
        let result = try Command.ckpt(
            "grade", "rl/rollouts/step-000004.jsonl", "--reward", command(mark), "--reward-timeout", "0.5", in: folder)
        #expect(result.status == 2)
        #expect(result.errors.contains("gave no answer within 0.5 s (--reward-timeout)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(!isRunning(mark, besides: 0))
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGKILL]) func aSignalLeavesNoProcess(signal: Int32) throws {
        let folder = try TinyRun.made.get().folder
        let mark = "779.\(signal)\(ProcessInfo.processInfo.processIdentifier)"
        let process = Command.process(
            Command.ckptPath,
            ["grade", "rl/rollouts/step-000004.jsonl", "--reward", command(mark), "--reward-timeout", "60"], in: folder)
        process.standardError = FileHandle.nullDevice
        try process.run()
        let ckpt = process.processIdentifier
        #expect(waitUntil(running: true, mark, besides: ckpt))
        kill(ckpt, signal)
        process.waitUntilExit()
        #expect(waitUntil(running: false, mark, besides: ckpt))
    }
}

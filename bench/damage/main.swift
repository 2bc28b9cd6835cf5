// Damages a copy of a checkpoint, one bit or one cut at a time, and sees that it is found.
//
//     damage-bench FILE FLIPS CUTS [SEED]
//
// Half of the flips fall into structure and metadata, half into stored tensors. Each is found when the file is opened,
// when the tensor that it falls into is verified, or it changes nothing that is read: then the file opens to the same
// metadata, digest, names, types, shapes and recorded sha256, and the bytes of the tensor still have theirs. A crash or a
// hang ends the program. Prints a table; exit status 1 where a flip or cut is missed.

import CheckpointIO
import Foundation
import Synchronization

enum Outcome: String, CaseIterable {
    case damaged = "damage, found on opening (exit 1)"
    case unlike = "found on opening, by its marks still a checkpoint (exit 1)"
    case foreign = "found on opening, no longer a checkpoint (exit 2)"
    case newer = "found on opening, of a newer format_version (exit 2)"
    case located = "damage, found by verifying, with tensor and offset (exit 1)"
    case unread = "changes nothing that is read"
    case missed = "MISSED"
}

/// A copy of the file that one thread changes, and what the unchanged file holds.
final class Trial {
    let path: String
    private let handle: FileHandle
    private let original: CheckpointFile

    init(_ original: CheckpointFile, folder: String, number: Int) throws {
        self.original = original
        path = "\(folder)/damaged-\(number).h5"
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: original.path, toPath: path)
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw CheckpointError.invalid(name: path, problem: "cannot be opened")
        }
        self.handle = handle
    }

    func flip(_ bit: UInt8, at offset: Int) throws -> Outcome {
        let byte = try read(at: offset)
        try write(byte ^ (1 << bit), at: offset)
        defer { try? write(byte, at: offset) }
        return outcome { file in
            // Only the tensor that holds the byte can have changed, or one that is now said to lie elsewhere; structure
            // and metadata were read as a whole.
            for group in TensorGroup.allCases {
                let before = original.tensors(in: group).map(\.storedRanges)
                for (index, tensor) in file.tensors(in: group).enumerated() {
                    let hasMoved = index >= before.count || tensor.storedRanges != before[index]
                    guard hasMoved || Self.holds(tensor, offset) else { continue }
                    let damages = try file.damages(of: tensor)
                    guard let damage = damages.first else { continue }
                    return damage.tensor != nil && damage.fileOffset != nil ? .located : .missed
                }
            }
            return .unread
        }
    }

    func cut(to count: Int) throws -> Outcome {
        let tail = try Data(contentsOf: URL(fileURLWithPath: original.path), options: .alwaysMapped)[count...]
        try handle.truncate(atOffset: UInt64(count))
        defer {
            try? handle.seek(toOffset: UInt64(count))
            try? handle.write(contentsOf: tail)
        }
        return outcome { _ in .missed }
    }

    private func outcome(_ opened: (CheckpointFile) throws -> Outcome) -> Outcome {
        do {
            let file = try CheckpointFile(path: path)
            let result = try opened(file)
            if result == .unread {
                let isSame =
                    file.metadata == original.metadata && file.digest == original.digest
                    && TensorGroup.allCases.allSatisfy { group in
                        file.tensors(in: group).map(\.description) == original.tensors(in: group).map(\.description)
                            && file.tensors(in: group).map(\.sha256) == original.tensors(in: group).map(\.sha256)
                            && file.tensors(in: group).map(\.storedRanges)
                                == original.tensors(in: group).map(\.storedRanges)
                    }
                return isSame ? .unread : .missed
            }
            return result
        } catch CheckpointError.damaged {
            return .damaged
        } catch CheckpointError.unsupported {
            return CheckpointSignature.isFound(in: path) ? .unlike : .foreign
        } catch CheckpointError.newerVersion {
            return .newer
        } catch {
            return .missed
        }
    }

    private static func holds(_ tensor: StoredTensor, _ offset: Int) -> Bool {
        tensor.storedRanges.contains { $0.contains(offset) }
    }

    private func read(at offset: Int) throws -> UInt8 {
        try handle.seek(toOffset: UInt64(offset))
        return try handle.read(upToCount: 1)?.first ?? 0
    }

    private func write(_ byte: UInt8, at offset: Int) throws {
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: [byte])
    }
}

/// What falls where: positions in structure and metadata, and in stored tensors.
struct Strata {
    var data: [Range<Int>] = []
    var rest: [Range<Int>] = []

    init(_ file: CheckpointFile) {
        data = TensorGroup.allCases.flatMap { file.tensors(in: $0).flatMap(\.storedRanges) }
            .filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        var end = 0
        for range in data {
            if range.lowerBound > end { rest.append(end..<range.lowerBound) }
            end = max(end, range.upperBound)
        }
        if end < file.fileByteCount { rest.append(end..<file.fileByteCount) }
    }

    static func pick(_ ranges: [Range<Int>], _ random: inout Generator) -> Int {
        var place = Int.random(in: 0..<ranges.reduce(0) { $0 + $1.count }, using: &random)
        for range in ranges {
            if place < range.count { return range.lowerBound + place }
            place -= range.count
        }
        return 0
    }
}

struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// What the threads add up.
final class Tally: Sendable {
    private let counts = Mutex<[String: [Outcome: Int]]>([:])
    let slowest = Mutex<Double>(0)

    func add(_ kind: String, _ outcome: Outcome, _ duration: Double, _ what: @autoclosure () -> String) {
        counts.withLock { $0[kind, default: [:]][outcome, default: 0] += 1 }
        slowest.withLock { $0 = max($0, duration) }
        if outcome == .missed { print("MISSED: \(what())") }
    }

    func show() -> Bool {
        let counts = counts.withLock { $0 }
        for (kind, outcomes) in counts.sorted(by: { $0.key < $1.key }) {
            print("\(kind): \(outcomes.values.reduce(0, +))")
            for outcome in Outcome.allCases where outcomes[outcome] != nil {
                print("    \(outcomes[outcome]!)  \(outcome.rawValue)")
            }
        }
        print(String(format: "slowest: %.3f s of processor time", slowest.withLock { $0 }))
        return !counts.values.contains { $0[.missed] != nil }
    }
}

/// Processor time of this thread; the time on the clock depends on what else the machine does.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func run() throws -> Bool {
    let arguments = CommandLine.arguments
    guard arguments.count >= 4, let flips = Int(arguments[2]), let cuts = Int(arguments[3]) else {
        throw CheckpointError.invalid(name: "damage-bench", problem: "give a file, a number of flips and one of cuts")
    }
    let seed = arguments.count > 4 ? UInt64(arguments[4]) ?? 1 : 1
    let original = try CheckpointFile(path: arguments[1])
    guard try original.verify().isEmpty else {
        throw CheckpointError.invalid(name: arguments[1], problem: "is damaged already")
    }
    let strata = Strata(original)
    print(
        "\(arguments[1]): \(strata.rest.reduce(0) { $0 + $1.count }) bytes of structure and metadata, "
            + "\(strata.data.reduce(0) { $0 + $1.count }) of tensors")
    let folder = NSTemporaryDirectory() + "/damage-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let tally = Tally()
    let threads = ProcessInfo.processInfo.activeProcessorCount
    let failure = Mutex<(any Error)?>(nil)
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
        do {
            let trial = try Trial(original, folder: folder, number: thread)
            for number in stride(from: thread, to: flips + cuts, by: threads) {
                var random = Generator(state: seed &* 1_000_003 &+ UInt64(number))
                let start = threadSeconds()
                if number < flips {
                    let inData = number % 2 == 1 && !strata.data.isEmpty
                    let offset = Strata.pick(inData ? strata.data : strata.rest, &random)
                    let bit = UInt8.random(in: 0..<8, using: &random)
                    let outcome = try trial.flip(bit, at: offset)
                    tally.add(
                        inData ? "flips in tensors" : "flips in structure and metadata", outcome,
                        threadSeconds() - start, "bit \(bit) of byte \(offset)")
                } else {
                    let count = Int.random(in: 0..<original.fileByteCount, using: &random)
                    // Every fifth cut takes only a few bytes.
                    let kept = number % 5 == 0 ? original.fileByteCount - 1 - count % 64 : count
                    let outcome = try trial.cut(to: kept)
                    tally.add("cuts", outcome, threadSeconds() - start, "cut to \(kept) bytes")
                }
            }
        } catch {
            failure.withLock { $0 = error }
        }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    return tally.show()
}

do {
    exit(try run() ? 0 : 1)
} catch {
    FileHandle.standardError.write(Data("damage-bench: \(error)\n".utf8))
    exit(2)
}

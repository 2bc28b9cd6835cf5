// Damages a copy of a checkpoint, one flipped bit or one truncation at a time, and checks that the damage is detected.
//
//     damage-bench FILE FLIPS CUTS [SEED] [--structure]
//
// Half of the flips are in structure and metadata, half in stored tensors. With `--structure` all are in structure and
// metadata, and each one that is not found is printed for `bench/damage/stock.py`, which asks other readers about it. A
// flip is detected when the file is opened or when the tensor that contains it, or the structure, is verified, or it
// does not affect what is read: then metadata, digest, names, types, shapes and recorded hashes are the same, and the
// tensor's bytes match their hash. A crash or a hang ends the program. Prints a table; the exit status is 1 if a flip
// or truncation is missed.

import CheckpointIO
import Foundation
import Parallel
import Synchronization

enum Outcome: String, CaseIterable {
    case damaged = "damage, found on opening (exit 1)"
    case unsupported = "found on opening, recognised as a checkpoint by its signature (exit 1)"
    case unrecognised = "found on opening, no longer recognised as a checkpoint (exit 2)"
    case newer = "found on opening, of a newer format_version (exit 2)"
    case located = "damage, found by verifying, with tensor and offset (exit 1)"
    case structure = "damage, found by verifying, with the offset in the structure (exit 1)"
    case unread = "does not affect what is read"
    case missed = "MISSED"
}

/// A copy of the file that one thread damages, compared with the original.
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
            // Structure and metadata were checked on opening. Only the tensor that contains the byte can have changed,
            // or one whose recorded position has changed.
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
            if try !file.structureDamages().isEmpty { return .structure }
            // What seems untouched is verified as a whole: the filter mask of a chunk is not among its positions.
            return try file.verify().isEmpty ? .unread : .located
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
            return CheckpointSignature.isFound(in: path) ? .unsupported : .unrecognised
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

/// The ranges of the file with stored tensors, and those with structure and metadata.
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

    static func pick(_ ranges: [Range<Int>], _ random: inout SplitMix64) -> Int {
        var place = Int.random(in: 0..<ranges.reduce(0) { $0 + $1.count }, using: &random)
        for range in ranges {
            if place < range.count { return range.lowerBound + place }
            place -= range.count
        }
        return 0
    }
}

/// The outcomes of all threads.
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
            for outcome in Outcome.allCases {
                if let count = outcomes[outcome] { print("    \(count)  \(outcome.rawValue)") }
            }
        }
        print(String(format: "slowest: %.3f s of processor time", slowest.withLock { $0 }))
        return !counts.values.contains { $0[.missed] != nil }
    }
}

/// Processor time of this thread; elapsed time depends on other load.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func run() throws -> Bool {
    let arguments = CommandLine.arguments.filter { $0 != "--structure" }
    let onlyStructure = arguments.count < CommandLine.arguments.count
    guard arguments.count >= 4, let flips = Int(arguments[2]), let cuts = Int(arguments[3]) else {
        throw CheckpointError.invalid(
            name: "damage-bench", problem: "give a file, a number of flips and a number of truncations")
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
                var random = SplitMix64(seed: seed &* 1_000_003 &+ UInt64(number))
                let start = threadSeconds()
                if number < flips {
                    let inData = number % 2 == 1 && !strata.data.isEmpty && !onlyStructure
                    let offset = Strata.pick(inData ? strata.data : strata.rest, &random)
                    let bit = UInt8.random(in: 0..<8, using: &random)
                    let outcome = try trial.flip(bit, at: offset)
                    if onlyStructure, outcome == .unread { print("passes: byte \(offset) bit \(bit)") }
                    tally.add(
                        inData ? "flips in tensors" : "flips in structure and metadata", outcome,
                        threadSeconds() - start, "bit \(bit) of byte \(offset)")
                } else {
                    let count = Int.random(in: 0..<original.fileByteCount, using: &random)
                    // Every fifth truncation removes only a few bytes.
                    let kept = number % 5 == 0 ? original.fileByteCount - 1 - count % 64 : count
                    let outcome = try trial.cut(to: kept)
                    tally.add("truncations", outcome, threadSeconds() - start, "truncated to \(kept) bytes")
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

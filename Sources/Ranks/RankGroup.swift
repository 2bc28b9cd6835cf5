import Foundation
import Glibc

/// The processes that work on one run, as MPI numbers them; or this process alone.
///
/// Ranks are a power of two. All of them call the same functions in the same order. Every collective is made of
/// exchanges between pairs, in an order that depends on the number of ranks alone.
package final class RankGroup: @unchecked Sendable {
    // Sendable because one thread calls its functions, and nothing else changes after the start.

    /// This process alone.
    package static let alone = RankGroup(library: nil, rank: 0, count: 1)

    /// The number of this process, counted from 0.
    package let rank: Int
    /// The number of processes.
    package let count: Int
    /// Whether a launcher started the process, even as the only one.
    package let isLaunched: Bool
    /// The processes on this machine, and those among them that may run on the same processors as this one.
    package private(set) var onThisMachine = (processes: 1, sharingProcessors: 1)
    private let library: MPILibrary?
    /// The number of exchanges so far with each rank, which both sides must agree on.
    private var exchanges: [UInt64]

    private init(library: MPILibrary?, rank: Int, count: Int, isLaunched: Bool = false) {
        self.library = library
        self.rank = rank
        self.count = count
        self.isLaunched = isLaunched
        exchanges = Array(repeating: 0, count: count)
    }

    /// Whether this is the rank that logs, locks and saves.
    package var isRoot: Bool { rank == 0 }

    /// The ranks of the launcher that started this process, or this process alone; MPI is started.
    ///
    /// - Throws: `RankError`.
    package static func start(_ environment: [String: String]) throws -> RankGroup {
        guard let launcher = try MPILauncher.detect(environment) else { return alone }
        if launcher.count == 1 { return RankGroup(library: nil, rank: 0, count: 1, isLaunched: true) }
        let library = try MPILibrary(of: launcher, environment)
        var (rank, count): (Int32, Int32) = (0, 0)
        guard library.start(&rank, &count) == 0 else { throw RankError.mpi(library.error) }
        if let started = launcher.count, started != Int(count) {
            throw RankError.otherLauncher(
                launcher: launcher.name, started: started, found: Int(count), version: library.version)
        }
        let group = RankGroup(library: library, rank: Int(rank), count: Int(count), isLaunched: true)
        guard count.nonzeroBitCount == 1 else { throw RankError.notPowerOfTwo(Int(count)) }
        let places = try group.gather(Place.own)
        let neighbors = places.filter { $0.machine == Place.own.machine }
        group.onThisMachine = (neighbors.count, neighbors.count { $0.processors == Place.own.processors })
        return group
    }

    /// Where a process runs.
    private struct Place: Codable {
        var machine: String
        /// The processors that it may run on, as the kernel writes them.
        var processors: String

        static let own: Place = {
            var name = [CChar](repeating: 0, count: 256)
            gethostname(&name, name.count - 1)
            let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
            return Place(
                machine: name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" },
                processors: line.map(String.init) ?? "")
        }()
    }

    // MARK: - Exchanges

    /// The start of every message: what is exchanged, and the bytes that follow.
    private struct Header {
        var number: UInt64
        var purpose: UInt64
        var byteCount: UInt64
        var reserved: UInt64 = 0
    }

    private func check(_ result: Int32) throws {
        switch result {
        case 0: return
        case 1: throw receivedFailure() ?? RankError.mpi("a rank failed")
        default: throw RankError.mpi(library?.error ?? "")
        }
    }

    /// Exchanges the sizes of the next messages with another rank; returns the bytes that it will send.
    private func meet(_ other: Int, for purpose: StaticString, sending byteCount: Int) throws -> Int {
        guard let library else { preconditionFailure("a single rank exchanges nothing") }
        exchanges[other] += 1
        let name = purpose.description
        var own = Header(
            number: exchanges[other], purpose: name.utf8.reduce(5381) { $0 &* 33 &+ UInt64($1) },
            byteCount: UInt64(byteCount))
        var received = Header(number: 0, purpose: 0, byteCount: 0)
        try check(library.exchangeHeaders(&own, &received, Int32(other)))
        guard received.number == own.number, received.purpose == own.purpose else {
            throw RankError.outOfStep(rank: rank, does: name, other: other)
        }
        return Int(received.byteCount)
    }

    /// Sends bytes to another rank and receives bytes from it.
    private func exchange(_ bytes: [UInt8], with other: Int, for purpose: StaticString) throws -> [UInt8] {
        let count = try meet(other, for: purpose, sending: bytes.count)
        var received = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeBytes { out in
            try received.withUnsafeMutableBytes { try exchange(out, into: $0, with: other) }
        }
        return received
    }

    private func exchange(
        _ out: UnsafeRawBufferPointer, into received: UnsafeMutableRawBufferPointer, with other: Int
    ) throws {
        guard let library else { return }
        try check(
            library.exchange(
                out.baseAddress, Int64(out.count), received.baseAddress, Int64(received.count), Int32(other)))
    }

    /// 1, 2, 4 … below the number of ranks.
    private var distances: [Int] { (0..<(count.trailingZeroBitCount)).map { 1 << $0 } }

    // MARK: - Values

    /// The values of all ranks, by rank.
    ///
    /// - Throws: `RankError`.
    package func gather<Value: Codable>(_ own: Value) throws -> [Value] {
        guard count > 1 else { return [own] }
        var blocks = [try Frames.encode(own)]
        for distance in distances {
            let other = rank ^ distance
            let received = try Frames.split(try exchange(Frames.join(blocks), with: other, for: "gather"))
            blocks = other < rank ? received + blocks : blocks + received
        }
        return try blocks.map { try Frames.decode($0) }
    }

    /// What rank 0 makes, for all ranks; the others make nothing.
    ///
    /// - Throws: `RankError`, and on rank 0 the error of `make`.
    package func fromRoot<Value: Codable>(_ make: () throws -> Value) throws -> Value {
        guard count > 1 else { return try make() }
        var bytes = isRoot ? try Frames.encode(try make()) : []
        for distance in distances where rank < 2 * distance {
            let received = try exchange(bytes, with: rank ^ distance, for: "broadcast")
            if rank >= distance { bytes = received }
        }
        return try Frames.decode(bytes)
    }

    /// Whether any rank says so.
    ///
    /// - Throws: `RankError`.
    package func any(_ flag: Bool) throws -> Bool { try gather(flag).contains(true) }

    /// Checks that a value is the same on all ranks.
    ///
    /// - Throws: `RankError.differ` with `message` of the first rank whose value is not that of rank 0.
    package func checkEqual<Value: Codable & Equatable>(
        _ own: Value, _ message: (_ rank: Int, _ first: Value, _ other: Value) -> String
    ) throws {
        let all = try gather(own)
        if let other = all.indices.first(where: { all[$0] != all[0] }) {
            throw RankError.differ(message(other, all[0], all[other]))
        }
    }

    // MARK: - Large arrays

    /// Bytes that are exchanged before they are added.
    private static let pieceBytes = 16 << 20

    /// The segment of an array, counted in order, that each rank has the sum of after `reduce`.
    package var segments: [Int] {
        let bits = count.trailingZeroBitCount
        return (0..<count).map { rank in (0..<bits).reduce(0) { $0 << 1 | (rank >> $1 & 1) } }
    }

    /// The segment of this rank.
    package var segment: Int { segments[rank] }

    /// The starts of equal segments of an array, and its end.
    package func equalCuts(_ elements: Int) -> [Int] { (0...count).map { elements * $0 / count } }

    /// The half of some segments that this rank keeps when it shares them with the rank at a distance, and the other
    /// half.
    private func halves(_ segments: Range<Int>, _ distance: Int) -> (own: Range<Int>, other: Range<Int>) {
        let middle = (segments.lowerBound + segments.upperBound) / 2
        let (low, high) = (segments.lowerBound..<middle, middle..<segments.upperBound)
        return rank & distance == 0 ? (low, high) : (high, low)
    }

    /// Adds the arrays of all ranks in the tree ((0 + 1) + (2 + 3)) + …; each rank has the sum of its `segment`.
    ///
    /// - Parameters:
    ///   - bytes: the array of this rank, whose other segments are undefined afterwards.
    ///   - elementBytes: the bytes of an element.
    ///   - cuts: the starts of the segments, and the end of the array.
    ///   - add: adds received elements to a range of the array; `node` is the number of the sum in its level of the
    ///     tree, and sums of two arrays must not depend on their order.
    /// - Throws: `RankError`.
    package func reduce(
        _ bytes: UnsafeMutableRawBufferPointer, elementBytes: Int, cuts: [Int],
        add: (_ level: Int, _ node: Int, _ range: Range<Int>, _ received: UnsafeRawPointer) -> Void
    ) throws {
        var segments = 0..<count
        guard count > 1, cuts[0] < cuts[count] else { return }
        let piece = Self.pieceBytes / elementBytes
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: piece * elementBytes, alignment: 64)
        defer { scratch.deallocate() }
        for (level, distance) in distances.enumerated() {
            let (kept, given) = halves(segments, distance)
            let (own, other) = (elements(kept, cuts), elements(given, cuts))
            _ = try meet(rank ^ distance, for: "reduce", sending: other.count * elementBytes)
            for start in stride(from: 0, to: max(own.count, other.count), by: piece) {
                func part(_ whole: Range<Int>) -> Range<Int> {
                    let low = min(whole.upperBound, whole.lowerBound + start)
                    return low..<min(whole.upperBound, low + piece)
                }
                let (keeping, giving) = (part(own), part(other))
                try exchange(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[giving.lowerBound * elementBytes..<giving.upperBound * elementBytes]),
                    into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<(keeping.count * elementBytes)]),
                    with: rank ^ distance)
                if let received = scratch.baseAddress, !keeping.isEmpty {
                    add(level, rank >> (level + 1), keeping, UnsafeRawPointer(received))
                }
            }
            segments = kept
        }
    }

    private func elements(_ segments: Range<Int>, _ cuts: [Int]) -> Range<Int> {
        cuts[segments.lowerBound]..<cuts[segments.upperBound]
    }

    /// Gives every rank the segments of all others, of which each has its own.
    ///
    /// - Throws: `RankError`.
    package func spread(_ bytes: UnsafeMutableRawBufferPointer, elementBytes: Int, cuts: [Int]) throws {
        var segments = 0..<count
        guard count > 1, cuts[0] < cuts[count] else { return }
        var shared: [(own: Range<Int>, other: Range<Int>, with: Int)] = []
        for distance in distances {
            let (kept, given) = halves(segments, distance)
            shared.append((elements(kept, cuts), elements(given, cuts), rank ^ distance))
            segments = kept
        }
        for (own, other, partner) in shared.reversed() {
            _ = try meet(partner, for: "spread", sending: own.count * elementBytes)
            try exchange(
                UnsafeRawBufferPointer(
                    rebasing: bytes[own.lowerBound * elementBytes..<own.upperBound * elementBytes]),
                into: UnsafeMutableRawBufferPointer(
                    rebasing: bytes[other.lowerBound * elementBytes..<other.upperBound * elementBytes]),
                with: partner)
        }
    }

    /// Sends bytes to rank 0, which receives those of each other rank in turn; `receive` gets the rank and its bytes.
    ///
    /// - Throws: `RankError`, and on rank 0 errors of `receive`.
    package func collect(
        _ bytes: UnsafeRawBufferPointer, receive: (_ rank: Int, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard count > 1 else { return }
        guard isRoot else {
            _ = try meet(0, for: "collect", sending: bytes.count)
            return try exchange(bytes, into: UnsafeMutableRawBufferPointer(start: nil, count: 0), with: 0)
        }
        for other in 1..<count {
            let size = try meet(other, for: "collect", sending: 0)
            let received = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, size), alignment: 64)
            defer { received.deallocate() }
            let part = UnsafeMutableRawBufferPointer(rebasing: received[..<size])
            try exchange(UnsafeRawBufferPointer(start: nil, count: 0), into: part, with: other)
            try receive(other, UnsafeRawBufferPointer(part))
        }
    }

    // MARK: - The end

    /// The failure of another rank, if one was announced.
    private func receivedFailure() -> RankError? {
        guard let library else { return nil }
        var text = [UInt8](repeating: 0, count: 1000)
        var other: Int32 = 0
        let length = text.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { library.receiveFailure($0, Int32(bytes.count), &other) } ?? -1
        }
        guard length >= 0 else { return nil }
        let status = Int32(String(decoding: text.prefix(Int(length)), as: UTF8.self)) ?? 2
        return .ended(byRank: Int(other), status: status)
    }

    /// Tells the other ranks that this one ends with a status, and waits until all have failed too, at most
    /// `seconds`: the launcher ends them at once when this one is gone, maybe in the middle of a save.
    ///
    /// `speak` is called when the failure of rank 0 has not been heard of within `patience` seconds, or at once on rank
    /// 0: a failure that all ranks see is told once.
    package func fail(
        status: Int32, knowing heard: Set<Int> = [], within seconds: Double = 20, patience: Double = 2,
        _ speak: () -> Void
    ) {
        guard let library else { return speak() }
        let text = Array(String(status).utf8)
        text.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { library.announceFailure(start, Int32(bytes.count)) }
        }
        var heard = heard
        var hasSpoken = !heard.isEmpty
        let start = ContinuousClock.now
        while true {
            if case .ended(let other, _) = receivedFailure() { heard.insert(other) }
            let waited = Double((ContinuousClock.now - start) / .seconds(1))
            if !hasSpoken, isRoot || (waited > patience && !heard.contains(0)) {
                speak()
                hasSpoken = true
            }
            if heard.contains(0) { hasSpoken = true }
            if heard.count == count - 1 || waited > seconds { break }
            usleep(2000)
        }
    }

    /// Ends MPI; call it when the work is done on all ranks.
    package func finish() { library?.finish() }
}

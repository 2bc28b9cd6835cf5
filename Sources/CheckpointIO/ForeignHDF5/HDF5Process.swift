import Foundation
import OrderedJSON

/// The running child that reads an HDF5 file; its answers are checked, since the file may have taken it over.
final class HDF5Process: @unchecked Sendable {
    // Sendable because `turn` admits one request at a time.
    private let turn = NSLock()
    private let group: ProcessGroup
    private let path: String
    /// Seconds without a byte from the child, after which it is ended.
    private static let patience = 60.0

    /// Starts a child.
    ///
    /// - Parameters:
    ///   - program: the ckpt that runs as the child.
    ///   - descriptor: the opened file.
    ///   - path: the file's name, for errors.
    /// - Throws: `ModelFormatError`
    init(program: String, reading descriptor: Int32, path: String) throws {
        self.path = path
        do {
            group = try ProcessGroup(program: program, ["ckpt", HDF5Child.verb], passing: descriptor)
        } catch {
            throw ModelFormatError.cannotRead(path: path, reason: "\(program) does not start")
        }
    }

    /// The objects of the file.
    ///
    /// - Throws: `ModelFormatError`
    func entries() throws -> [HDF5Entry] {
        var entries: [HDF5Entry] = []
        var paths: Set<String> = []
        while true {
            let (kind, content) = try frame()
            switch kind {
            case .end: return entries
            case .object:
                do {
                    let entry = try HDF5Entry(content)
                    guard paths.insert(entry.path).inserted else { throw broken("lists an object twice") }
                    entries.append(entry)
                } catch let problem as HDF5Entry.Problem {
                    throw broken("describes an object that \(problem)")
                }
                guard entries.count <= HDF5Frame.maximumObjectCount else { throw broken("lists too many objects") }
            case .data, .failure: throw broken("answers out of turn")
            }
        }
    }

    /// Reads consecutive elements of a dataset.
    ///
    /// - Throws: `ModelFormatError`
    func read(object: Int, first: Int, count: Int, into destination: UnsafeMutableRawBufferPointer) throws {
        var request: [UInt8] = []
        for number in [object, first, count] { withUnsafeBytes(of: Int64(number).littleEndian) { request += $0 } }
        let (kind, content) = try turn.withLock {
            try send(request)
            return try frame()
        }
        guard kind == .data, content.count == destination.count else { throw broken("answers with other data") }
        destination.copyBytes(from: content)
    }

    // MARK: - Frames

    private func frame() throws -> (kind: HDF5Frame, content: [UInt8]) {
        let header = try receive(HDF5Frame.headerByteCount)
        let size = Int(
            UInt32(littleEndian: header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: UInt32.self) }))
        guard let kind = HDF5Frame(rawValue: header[0]), size <= kind.maximumByteCount else {
            throw broken("sends what is not an answer")
        }
        let content = try receive(size)
        guard kind != .failure else {
            throw ModelFormatError.malformed(
                path: path, place: "libhdf5", reason: String(decoding: content, as: UTF8.self).onOneLine(limit: 300))
        }
        return (kind, content)
    }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let received = bytes.withUnsafeMutableBytes { buffer -> Int in
                guard let start = buffer.baseAddress else { return 0 }
                return Foundation.read(group.output, start + done, count - done)
            }
            if received > 0 {
                done += received
            } else if received < 0, errno == EAGAIN {
                try wait(for: group.output, POLLIN)
            } else if received >= 0 || errno != EINTR {
                throw ending()
            }
        }
        return bytes
    }

    private func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes { buffer -> Int in
                guard let start = buffer.baseAddress else { return 0 }
                return Foundation.write(group.input, start + done, bytes.count - done)
            }
            if sent > 0 {
                done += sent
            } else if sent < 0, errno == EAGAIN {
                try wait(for: group.input, POLLOUT)
            } else if sent >= 0 || errno != EINTR {
                throw ending()
            }
        }
    }

    private func wait(for descriptor: Int32, _ event: Int32) throws {
        var poll = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        let count = Foundation.poll(&poll, 1, Int32(Self.patience * 1000))
        guard count != 0 else {
            group.end(patiently: false)
            throw broken(
                "does not answer within \(Int(Self.patience)) s; the machine is busy, or the file made to do this")
        }
    }

    /// Why the child has ended.
    private func ending() -> ModelFormatError {
        let how = group.ending(within: 5) ?? "closed its output"
        let limit = "was killed by signal \(SIGXCPU)"
        let reason =
            how == limit
            ? "took more than \(HDF5Child.secondsPerAnswer) s of processor time" : "crashed: the process \(how)"
        return .malformed(
            path: path, place: "libhdf5",
            reason: reason + "; the file is damaged or made to do this, get it from a source you trust")
    }

    private func broken(_ what: String) -> ModelFormatError {
        .malformed(path: path, place: "libhdf5", reason: "the process that reads the file \(what)")
    }
}

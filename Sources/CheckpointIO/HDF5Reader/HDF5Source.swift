import Glibc
import Synchronization

/// An opened HDF5 file, and a record of which structure each of its bytes belongs to.
///
/// Every structure and every chunk claims its range once. Ranges that overlap, or add up to more than the file, are
/// refused. This excludes cycles and shared parts, and bounds work and memory by the size of the file.
final class HDF5Source: Sendable {
    let path: String
    let descriptor: Int32
    let byteCount: Int
    private let claims = Mutex<Claims>(Claims())

    private struct Claims {
        var ranges: [Range<UInt64>] = []
        var total: UInt64 = 0
    }

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw CheckpointError.system(path: path, operation: "open it", code: errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw CheckpointError.system(path: path, operation: "examine it", code: code)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw CheckpointError.unsupported(path: path, place: "the file", problem: "is not a regular file")
        }
        byteCount = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Claims the range of a structure and reads it.
    func claim(_ address: UInt64, _ count: Int, _ what: String) throws -> [UInt8] {
        try claimRange(address, count, what)
        return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            try read(at: address, into: UnsafeMutableRawBufferPointer(buffer))
            initialized = count
        }
    }

    /// Claims a range without reading it.
    func claimRange(_ address: UInt64, _ count: Int, _ what: String) throws {
        let (end, overflow) = address.addingReportingOverflow(UInt64(max(0, count)))
        guard count >= 0, !overflow, end <= UInt64(byteCount) else {
            throw HDF5Problem.damaged(
                "\(what) at byte \(address) with \(count) bytes reaches past the end of the file (\(byteCount) bytes)")
        }
        try claims.withLock { claims in
            claims.ranges.append(address..<end)
            claims.total += UInt64(count)
            guard claims.total <= UInt64(byteCount) else {
                throw HDF5Problem.damaged("\(what) at byte \(address) overlaps another part of the file")
            }
        }
    }

    /// Checks that no two claimed ranges overlap, then discards them.
    func settleClaims() throws {
        let ranges = claims.withLock { claims in
            defer { claims = Claims() }
            return claims.ranges.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        }
        for (first, second) in zip(ranges, ranges.dropFirst()) where first.upperBound > second.lowerBound {
            throw HDF5Problem.damaged(
                "the parts of the file at bytes \(first.lowerBound) and \(second.lowerBound) overlap")
        }
    }

    /// Fills `destination` with the bytes that start at `address`.
    func read(at address: UInt64, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let start = destination.baseAddress else { return }
        var done = 0
        while done < destination.count {
            let count = pread(descriptor, start + done, destination.count - done, off_t(address) + off_t(done))
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw CheckpointError.system(path: path, operation: "read it", code: errno) }
            if count == 0 { throw HDF5Problem.damaged("the file ends before byte \(Int(address) + destination.count)") }
            done += count
        }
    }
}

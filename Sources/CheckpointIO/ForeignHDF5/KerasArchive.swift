import Foundation

/// The weights in a `.keras` file, a zip archive without compression.
///
/// Read strictly from the archive's directory at its end: names, sizes and places must agree with the entry itself.
enum KerasArchive {
    static let weightsName = "model.weights.h5"

    struct Entry {
        var offset: Int
        var byteCount: Int
    }

    /// A temporary copy, which goes away with this object.
    final class Copy {
        let descriptor: Int32
        private let path: String

        /// Creates an empty file; `descriptor` is -1 if it cannot be.
        init() {
            let path = TemporaryPaths.make(beside: NSTemporaryDirectory() + "/weights")
            self.path = path
            descriptor = TemporaryPaths.uninterrupted {
                open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            }
        }

        deinit {
            if descriptor >= 0 { close(descriptor) }
            TemporaryPaths.discard(path)
        }
    }

    /// The place of the weights; nil if the file is not an archive, or has no entry of that name.
    ///
    /// - Throws: `ModelFormatError` if the weights are compressed or the archive is damaged.
    static func weights(in file: RandomAccessFile) throws -> Entry? {
        guard file.byteCount >= 22, try file.bytes(at: 0, count: 4, place: "start") == [0x50, 0x4B, 3, 4] else {
            return nil
        }
        func damaged(_ reason: String) -> ModelFormatError {
            .malformed(path: file.path, place: "zip archive", reason: reason)
        }
        // The end record, after which there may be a comment.
        let tailCount = min(file.byteCount, 22 + 65535)
        let tail = try file.bytes(at: file.byteCount - tailCount, count: tailCount, place: "zip archive")
        guard
            let end = stride(from: tailCount - 22, through: 0, by: -1).first(where: {
                tail[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 5, 6])
            })
        else { throw damaged("has no directory; the file is cut off") }
        let (count, size, start) = (tail.number(end + 10, 2), tail.number(end + 12, 4), tail.number(end + 16, 4))
        guard start + size <= file.byteCount, size <= 16 << 20, count < 0xFFFF else {
            throw damaged("has a directory that is not in the file, or a zip64 one, which is not read")
        }
        let directory = try file.bytes(at: start, count: size, place: "zip directory")
        var place = 0
        for _ in 0..<count {
            guard place + 46 <= size, directory.number(place, 4) == 0x0201_4B50 else {
                throw damaged("has a damaged directory")
            }
            let lengths = [28, 30, 32].map { directory.number(place + $0, 2) }
            let next = place + 46 + lengths.reduce(0, +)
            guard next <= size else { throw damaged("has a damaged directory") }
            let name = directory[place + 46..<place + 46 + lengths[0]]
            if name.elementsEqual(weightsName.utf8) {
                return try entry(directory, at: place, nameCount: lengths[0], file, damaged)
            }
            place = next
        }
        return nil
    }

    private static func entry(
        _ directory: [UInt8], at place: Int, nameCount: Int, _ file: RandomAccessFile,
        _ damaged: (String) -> ModelFormatError
    ) throws -> Entry {
        let (packed, size) = (directory.number(place + 20, 4), directory.number(place + 24, 4))
        guard directory.number(place + 10, 2) == 0, packed == size, directory.number(place + 8, 2) & 1 == 0 else {
            throw ModelFormatError.unsupported(
                path: file.path, what: "a compressed or encrypted \(weightsName)",
                remedy: "unpack the archive and import \(weightsName)")
        }
        guard size != 0xFFFF_FFFF else {
            throw ModelFormatError.unsupported(
                path: file.path, what: "an archive with \(weightsName) of more than 4 GB",
                remedy: "unpack the archive and import \(weightsName)")
        }
        let header = directory.number(place + 42, 4)
        let local = try file.bytes(at: header, count: 30, place: "zip archive")
        guard local.number(0, 4) == 0x0403_4B50, local.number(26, 2) == nameCount else {
            throw damaged("contradicts its directory")
        }
        let offset = header + 30 + nameCount + local.number(28, 2)
        guard offset + size <= file.byteCount else { throw damaged("is cut off") }
        return Entry(offset: offset, byteCount: size)
    }

    /// Copies the weights to a temporary file, because libhdf5 reads whole files, and only files with a name.
    ///
    /// - Throws: `ModelFormatError`
    static func extract(_ entry: Entry, from file: RandomAccessFile) throws -> Copy {
        let copy = Copy()
        guard copy.descriptor >= 0 else {
            throw ModelFormatError.cannotRead(
                path: file.path, reason: "no temporary file for its weights: \(systemError()); set TMPDIR")
        }
        var done = 0
        while done < entry.byteCount {
            let bytes = try file.bytes(
                at: entry.offset + done, count: min(8 << 20, entry.byteCount - done), place: weightsName)
            var written = 0
            while written < bytes.count {
                let count = bytes.withUnsafeBytes { buffer -> Int in
                    guard let start = buffer.baseAddress else { return 0 }
                    return write(copy.descriptor, start + written, bytes.count - written)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    throw ModelFormatError.cannotRead(
                        path: file.path, reason: "its weights cannot be copied: \(systemError()); set TMPDIR")
                }
                written += count
            }
            done += bytes.count
        }
        return copy
    }
}

extension [UInt8] {
    /// A little-endian number of `count` bytes.
    fileprivate func number(_ place: Int, _ count: Int) -> Int {
        (0..<count).reduce(0) { $0 | Int(self[place + $1]) << (8 * $1) }
    }
}

import Foundation

/// Digests of files that are not checkpoints, such as training data.
package enum FileDigest {
    /// The SHA-256 of a file's bytes as 64 lower-case hexadecimal digits.
    ///
    /// - Throws: `CheckpointError.system` if the file cannot be read.
    package static func sha256(path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CheckpointError.system(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var hash = SHA256()
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { piece.deallocate() }
        while true {
            let count = read(descriptor, piece.baseAddress, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CheckpointError.system(path: path, operation: "read", code: errno) }
            if count == 0 { return hash.finalize() }
            hash.update(UnsafeRawBufferPointer(rebasing: piece[..<count]))
        }
    }
}

import Glibc

/// The state that an adapter or a delta is based on.
struct BaseCheckpoint {
    /// The file that needs the base.
    let path: String
    /// Where the base was.
    let basePath: String
    let digest: String
    /// Whether the digest is that of all tensors, not of the weights alone.
    let isWhole: Bool
    /// The error for a base that is not found, with a reason.
    let missing: (String) -> CheckpointError

    func isRight(_ file: CheckpointFile) -> Bool { digest == found(in: file) }

    private func found(in file: CheckpointFile) -> String { isWhole ? file.digest : file.weightsDigest }

    /// Refuses a given file that is not the base.
    ///
    /// - Throws: what `missing` returns.
    func check(_ file: CheckpointFile?) throws {
        guard let file, !isRight(file) else { return }
        throw missing("but \(file.path) is another (\(found(in: file).prefix(12))…)")
    }

    /// Opens the base: where it was, or beside the file.
    ///
    /// `depth` files were opened to find their bases already.
    ///
    /// - Throws: what `missing` returns, or the error of a base that lacks a base itself.
    func open(depth: Int) throws -> CheckpointFile {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let name = basePath.split(separator: "/").last.map(String.init) ?? basePath
        let beside = (path.contains("/") ? folder + "/" : "") + name
        var reason = "which is not there"
        for candidate in [basePath, beside] where candidate != path {
            var status = stat()
            guard stat(candidate, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            do {
                let file =
                    try OpenedCheckpoints.file(at: candidate)
                    ?? CheckpointFile(path: candidate, checkingDigests: true, depth: depth + 1)
                if isRight(file) { return file }
                reason = "but \(candidate) has other weights (\(found(in: file).prefix(12))…)"
            } catch let error as CheckpointError {
                switch error {
                case .missingBase, .missingDeltaBase: throw error
                default: reason = "which cannot be read: \(error)"
                }
            }
        }
        throw missing(reason)
    }
}

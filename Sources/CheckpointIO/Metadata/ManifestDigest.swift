/// A SHA-256 over entries that have a path, a type, a shape and the SHA-256 of their content.
///
/// The hashed text has a line for each entry, `path TAB type TAB dimensions joined by "," TAB sha256 LF`, sorted by the
/// bytes of the path. `digest` (of tensors) and `record_digest` (of everything else) are computed in this way.
struct ManifestDigest {
    private var entries: [(path: String, line: String)] = []

    mutating func add(path: String, type: String, shape: [Int], sha256: String) {
        let dimensions = shape.map(String.init).joined(separator: ",")
        entries.append((path, "\(path)\t\(type)\t\(dimensions)\t\(sha256)\n"))
    }

    /// Adds a dataset or attribute.
    mutating func add(path: String, _ value: HDF5Value) {
        var hash = SHA256()
        if let texts = value.texts {
            // The digest does not depend on the width and padding of the stored strings.
            for text in texts {
                hash.update(text)
                hash.update("\0")
            }
        } else {
            value.bytes.withUnsafeBytes { hash.update($0) }
        }
        add(path: path, type: value.type.digestName, shape: value.shape ?? [], sha256: hash.finalize())
    }

    /// The digest in hexadecimal.
    func value() -> String {
        var hash = SHA256()
        for entry in entries.sorted(by: { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }) {
            hash.update(entry.line)
        }
        return hash.finalize()
    }
}

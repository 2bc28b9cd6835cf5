import CSystem

/// Distinguishes a damaged checkpoint from a file that never was one, if the structure cannot be read.
package enum CheckpointSignature {
    /// Bytes searched at the start and at the end of the file, where the attributes of the root are.
    private static let searchedBytes = 8 << 20

    /// Whether the file contains the name of a root attribute and a creator of the form `ckpt N.`.
    package static func isFound(in path: String) -> Bool {
        let found = search(path)
        return found.names > 0 && found.isCreated
    }

    /// Whether the file has the names of root attributes that only checkpoints have, whatever program wrote them.
    static func isClaimed(in path: String) -> Bool { search(path).names == names.count }

    private static let names = ["record_digest\0", "format_version\0"]

    /// How many of the names there are, and whether there is a creator.
    private static func search(_ path: String) -> (names: Int, isCreated: Bool) {
        guard let source = try? HDF5Source(path: path) else { return (0, false) }
        var ends = [0..<min(source.byteCount, searchedBytes)]
        if source.byteCount > searchedBytes {
            ends.append(max(searchedBytes, source.byteCount - searchedBytes)..<source.byteCount)
        }
        var found = Set<String>()
        var isCreated = false
        for range in ends {
            var bytes = [UInt8](repeating: 0, count: range.count)
            guard
                (try? bytes.withUnsafeMutableBytes({ try source.read(at: UInt64(range.lowerBound), into: $0) })) != nil
            else { return (0, false) }
            found.formUnion(names.filter { contains(bytes, $0) })
            isCreated = isCreated || (0...9).contains { contains(bytes, "ckpt \($0).") }
        }
        return (found.count, isCreated)
    }

    private static func contains(_ bytes: [UInt8], _ text: String) -> Bool {
        let pattern = Array(text.utf8)
        return bytes.withUnsafeBytes { buffer in
            memmem(buffer.baseAddress, buffer.count, pattern, pattern.count) != nil
        }
    }
}

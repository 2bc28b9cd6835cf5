extension CheckpointFile {
    /// Compares the file's structure with the bytes that ckpt writes for the same content.
    ///
    /// The structure follows from the content and the places of the data, so in a file of ckpt every byte of it is
    /// known. A file that another program has written or changed is not compared: its `created_by` does not name ckpt,
    /// an object header has messages that ckpt does not write, or the root's object header is not where ckpt puts it,
    /// at the end of the file. Opening the file has checked every field that other readers use.
    ///
    /// - Returns: The range of bytes that differ, as one damage; empty if there are none.
    /// - Throws: `CheckpointError` if the file cannot be read.
    package func structureDamages() throws -> [Damage] {
        guard origin == nil, metadata.createdBy.hasPrefix("ckpt") else { return [] }
        var tree = HDF5TreeReader(try source)
        let root = try tree.root()
        guard !tree.isByAnotherProgram, Self.hasStorableAttributes(.group(root)) else { return [] }
        // The size of the structure does not depend on its place.
        let start = fileByteCount - HDF5Structure(root, at: 0).bytes.count
        guard start >= HDF5Format.superblockSize else { return [] }
        let expected = HDF5Structure(root, at: UInt64(start))
        guard expected.rootAddress == tree.rootAddress else { return [] }
        let offsets =
            try differences(from: expected.superblock, at: 0) + differences(from: expected.bytes, at: start)
        guard let first = offsets.first else { return [] }
        let count = offsets.count == 1 ? "1 byte is" : "\(offsets.count) bytes are"
        return [
            Damage(
                place: "the structure", fileOffset: first,
                problem: "\(count) not what ckpt writes for this content; the tensors may still be intact")
        ]
    }

    /// Whether ckpt could store all attributes: each has to fit in a message of an object header.
    private static func hasStorableAttributes(_ node: HDF5Node) -> Bool {
        func fit(_ attributes: [(name: String, value: HDF5Value)]) -> Bool {
            attributes.allSatisfy { $0.value.bytes.count <= CheckpointLayout.maximumAttributeBytes }
        }
        switch node {
        case .dataset(let dataset): return fit(dataset.attributes)
        case .group(let group):
            return fit(group.attributes) && group.members.allSatisfy { hasStorableAttributes($0.node) }
        }
    }

    /// The offsets of the bytes that differ from `expected`, except character sets.
    private func differences(from expected: [UInt8], at address: Int) throws -> [Int] {
        var stored = [UInt8](repeating: 0, count: expected.count)
        do {
            try stored.withUnsafeMutableBytes { try source.read(at: UInt64(address), into: $0) }
        } catch let problem as HDF5Problem {
            throw problem.located(path: path, place: "the structure")
        }
        guard expected != stored else { return [] }
        return expected.indices.filter { index in
            expected[index] != stored[index] && !Self.isCharacterSet(at: index, stored, expected)
        }.map { address + $0 }
    }

    /// Whether a text that ckpt labels as UTF-8 is labelled as ASCII: h5py does this if it replaces a text in place.
    private static func isCharacterSet(at index: Int, _ stored: [UInt8], _ expected: [UInt8]) -> Bool {
        index > 0 && expected[index - 1] == 0x13 && expected[index] == 0x11 && stored[index] == 0x01
    }
}

extension HDF5Group {
    /// The root group of a tree of objects given by their paths; intermediate groups need not be listed.
    ///
    /// `groups` are groups that exist even without members; `attributes` are those of groups.
    ///
    /// - Throws: `CheckpointError.invalid` if two datasets have the same path, or one is below the other.
    init(
        datasets: [(path: String, dataset: HDF5Dataset)], groups: [String],
        attributes: [(path: String, name: String, value: HDF5Value)]
    ) throws {
        var entries: [PathEntry] = datasets.map { PathEntry(path: $0, dataset: $1, attribute: nil) }
        entries += groups.map { PathEntry(path: $0, dataset: nil, attribute: nil) }
        entries += attributes.map { PathEntry(path: $0, dataset: nil, attribute: ($1, $2)) }
        self = try Self.group(entries, depth: 0)
    }

    /// A dataset, a group (neither dataset nor attribute), or an attribute of a group.
    private struct PathEntry {
        let path: String
        /// The path's components as bytes, since `String` equates texts that differ in Unicode normalisation.
        let names: [[UInt8]]
        let dataset: HDF5Dataset?
        let attribute: (name: String, value: HDF5Value)?

        init(path: String, dataset: HDF5Dataset?, attribute: (name: String, value: HDF5Value)?) {
            self.path = path
            names = path.utf8.split(separator: UInt8(ascii: "/")).map(Array.init)
            self.dataset = dataset
            self.attribute = attribute
        }
    }

    /// Makes a group from the entries whose first `depth` names are the group's path.
    private static func group(_ entries: [PathEntry], depth: Int) throws -> HDF5Group {
        let attributes = entries.filter { $0.names.count == depth }.compactMap(\.attribute)
        let below = Dictionary(grouping: entries.filter { $0.names.count > depth }) { $0.names[depth] }
        let members = try below.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { name, entries in
            let name = String(decoding: name, as: UTF8.self)
            guard let found = entries.first(where: { $0.names.count == depth + 1 && $0.dataset != nil }) else {
                return (name, HDF5Node.group(try group(entries, depth: depth + 1)))
            }
            guard let dataset = found.dataset, entries.count == 1 else {
                throw CheckpointError.invalid(name: found.path, problem: "occurs twice, or as a dataset and as a group")
            }
            return (name, HDF5Node.dataset(dataset))
        }
        return HDF5Group(attributes: attributes, members: members)
    }
}

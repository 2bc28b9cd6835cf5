extension HDF5Group {
    /// The root group of objects that are given by their paths; groups on the way to them need not be listed.
    ///
    /// - Parameters:
    ///   - groups: those that are there even without members.
    ///   - attributes: of groups; those of datasets come with them.
    /// - Throws: `CheckpointError.invalid` where two datasets have one path, or one lies in the other.
    init(
        datasets: [(path: String, dataset: HDF5Dataset)], groups: [String],
        attributes: [(path: String, name: String, value: HDF5Value)]
    ) throws {
        var listed: [Listed] = datasets.map { Listed(path: $0, dataset: $1, attribute: nil) }
        listed += groups.map { Listed(path: $0, dataset: nil, attribute: nil) }
        listed += attributes.map { Listed(path: $0, dataset: nil, attribute: ($1, $2)) }
        self = try Self.group(listed, depth: 0)
    }

    /// A dataset, an attribute of a group, or the mere mention of one.
    private struct Listed {
        let path: String
        /// The names on the path, as bytes: texts that Unicode takes for equal are names of their own.
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

    /// - Parameter listed: what has the same first `depth` names: those of the group.
    private static func group(_ listed: [Listed], depth: Int) throws -> HDF5Group {
        let attributes = listed.filter { $0.names.count == depth }.compactMap(\.attribute)
        let below = Dictionary(grouping: listed.filter { $0.names.count > depth }) { $0.names[depth] }
        let members = try below.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { name, listed in
            let name = String(decoding: name, as: UTF8.self)
            guard let found = listed.first(where: { $0.names.count == depth + 1 && $0.dataset != nil }) else {
                return (name, HDF5Node.group(try group(listed, depth: depth + 1)))
            }
            guard let dataset = found.dataset, listed.count == 1 else {
                throw CheckpointError.invalid(name: found.path, problem: "occurs twice, or as dataset and as group")
            }
            return (name, HDF5Node.dataset(dataset))
        }
        return HDF5Group(attributes: attributes, members: members)
    }
}

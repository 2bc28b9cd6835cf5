/// Reads the structure of a file: the superblock, then every object reachable from the root.
///
/// Supported are the structures that `HDF5Structure` writes, that libhdf5 writes with its earliest format bound, and
/// that h5py writes by default: superblock 0, object headers of version 1, symbol tables, version 1 B-trees and
/// layout 3. Anything else is refused with its name. The file is not trusted; see `HDF5Source`.
struct HDF5TreeReader {
    let source: HDF5Source
    /// The address of the root's object header, once it has been read.
    private(set) var rootAddress: UInt64 = 0
    /// Whether an object header has a form that ckpt does not write.
    private(set) var isByAnotherProgram = false
    private var objectCount = 0

    init(_ source: HDF5Source) { self.source = source }

    /// Reads the root group with everything below it.
    ///
    /// - Throws: `CheckpointError`.
    mutating func root() throws -> HDF5Group {
        let root: HDF5Node
        do {
            let entry = try superblock()
            rootAddress = entry.header
            root = try node(entry, path: "", depth: 0)
            try source.settleClaims()
        } catch let problem as HDF5Problem {
            throw problem.located(path: source.path, place: "the file")
        }
        guard case .group(let group) = root else {
            throw CheckpointError.damaged(path: source.path, place: "/", problem: "the root is not a group")
        }
        return group
    }

    /// Reads the superblock, and returns its reference to the root group.
    private func superblock() throws -> HDF5SymbolEntry {
        let size = HDF5Format.superblockSize
        guard source.byteCount >= size else { throw HDF5Problem.unsupported("is too short for an HDF5 file") }
        var cursor = HDF5Cursor(try source.claim(0, size, "the superblock"))
        guard try cursor.bytes(8).elementsEqual(HDF5Format.signature) else {
            throw HDF5Problem.unsupported("is not an HDF5 file (it lacks the signature)")
        }
        try cursor.version(0, of: "the superblock")
        try cursor.zeros(4)
        guard try cursor.uint8() == 8, try cursor.uint8() == 8 else {
            throw HDF5Problem.unsupported("has offsets or lengths that are not 8 bytes long")
        }
        try cursor.zeros(1)
        guard try cursor.uint16() == HDF5Format.symbolNodeK, try cursor.uint16() == HDF5Format.groupTreeK else {
            throw HDF5Problem.unsupported("has group nodes of unusual size")
        }
        guard try cursor.uint32() == 0 else {
            throw HDF5Problem.damaged("is marked as open for writing: its writer did not finish")
        }
        guard try cursor.integer(UInt64.self) == 0 else { throw HDF5Problem.unsupported("has a user block") }
        let freeSpace = try cursor.address()
        let end = try cursor.integer(UInt64.self)
        let driver = try cursor.address()
        guard freeSpace == nil, driver == nil else {
            throw HDF5Problem.unsupported("has a free-space or driver block")
        }
        guard end == UInt64(source.byteCount) else {
            throw HDF5Problem.damaged("should have \(end) bytes and has \(source.byteCount)")
        }
        try cursor.zeros(8)
        return try HDF5SymbolEntry(&cursor)
    }

    /// Reads an object with everything below it; errors contain its path.
    private mutating func node(_ entry: HDF5SymbolEntry, path: String, depth: Int) throws -> HDF5Node {
        do {
            objectCount += 1
            guard objectCount <= CheckpointLayout.maximumObjects else {
                throw HDF5Problem.unsupported("more than \(CheckpointLayout.maximumObjects) groups and datasets")
            }
            guard depth <= CheckpointLayout.maximumDepth else {
                throw HDF5Problem.unsupported("groups nested deeper than \(CheckpointLayout.maximumDepth)")
            }
            let header = try HDF5ObjectHeader(source, at: entry.header)
            isByAnotherProgram = isByAnotherProgram || header.isByAnotherProgram
            var attributes: [(name: String, value: HDF5Value)] = []
            for message in header.messages where message.type == .attribute {
                let attribute = try HDF5Attributes.parse(message.body, source)
                guard !attributes.contains(where: { $0.name == attribute.name }) else {
                    throw HDF5Problem.damaged("two attributes are named \(attribute.name)")
                }
                attributes.append(attribute)
            }
            let table = try HDF5Groups.table(header)
            guard entry.table == nil || entry.table == table else {
                throw HDF5Problem.damaged("its parent names another symbol table")
            }
            guard let table else {
                return .dataset(try HDF5Datasets.read(header, attributes, source))
            }
            var members: [(name: String, node: HDF5Node)] = []
            let entries = try HDF5Groups.entries(table, source, limit: CheckpointLayout.maximumObjects - objectCount)
            for (name, object) in entries {
                members.append((name, try node(object, path: "\(path)/\(name)", depth: depth + 1)))
            }
            return .group(HDF5Group(attributes: attributes, members: members))
        } catch let problem as HDF5Problem {
            throw problem.located(path: source.path, place: path.isEmpty ? "/" : path)
        }
    }
}

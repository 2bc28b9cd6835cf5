/// The structure of an HDF5 file whose data is written: the superblock, object headers, groups and chunk indices.
///
/// It uses the subset that `HDF5TreeReader` reads, which every libhdf5 since 1.8 opens: "HDF5 File Format Specification
/// Version 3.0", sections II.A (superblock 0), III.A.1 (version 1 B-trees), III.B and III.C (symbol tables), III.D
/// (local heaps) and IV.A.1.a (object headers of version 1).
struct HDF5Structure {
    /// The first bytes of the file.
    private(set) var superblock: [UInt8] = []
    /// The address of the root's object header, the last part of the file.
    private(set) var rootAddress: UInt64 = 0
    /// Everything else, which follows the data at the end of the file.
    var bytes: [UInt8] { output.bytes }

    private let start: UInt64
    private var output = HDF5Bytes()

    /// Makes the structure below `root`; `bytes` goes to address `start`, a multiple of eight.
    init(_ root: HDF5Group, at start: UInt64) {
        self.start = start
        let addresses = append(root)
        superblock = makeSuperblock(addresses)
        rootAddress = addresses.header
    }

    /// The addresses of an object; its parent's symbol table repeats those of a group's tree and heap.
    private struct ObjectAddresses {
        var header: UInt64
        var group: (tree: UInt64, heap: UInt64)?
    }

    /// The address of the next structure.
    private var position: UInt64 { start + UInt64(output.count) }

    // MARK: - Objects

    private mutating func append(_ node: HDF5Node) -> ObjectAddresses {
        switch node {
        case .group(let group): return append(group)
        case .dataset(let dataset):
            let index: UInt64? =
                if case .chunked(let grid, _, let chunks) = dataset.storage { appendIndex(of: chunks, grid) } else {
                    nil
                }
            return ObjectAddresses(header: appendHeader(HDF5Messages.dataset(dataset, chunkIndex: index)))
        }
    }

    /// Appends a group after its members, whose addresses it contains.
    private mutating func append(_ group: HDF5Group) -> ObjectAddresses {
        let addresses = group.members.map { append($0.node) }
        // The heap starts with the empty name, which precedes all others.
        var names = HDF5Bytes()
        names.append(UInt64(0))
        let offsets = group.members.map { member in
            let offset = UInt64(names.count)
            names.append(padded: member.name)
            return offset
        }
        let heap = appendHeap(names)
        var keys: [UInt64] = [0]
        var nodes: [UInt64] = []
        for first in stride(from: 0, to: addresses.count, by: 2 * HDF5Format.symbolNodeK) {
            let members = first..<min(first + 2 * HDF5Format.symbolNodeK, addresses.count)
            nodes.append(appendSymbolNode(members.map { (offsets[$0], addresses[$0]) }))
            keys.append(offsets[members.upperBound - 1])
        }
        let tree = appendTree(
            type: 0, nodes, keys: keys.map(Self.littleEndian), k: HDF5Format.groupTreeK)
        let messages = HDF5Messages.group(tree: tree, heap: heap, attributes: group.attributes)
        return ObjectAddresses(header: appendHeader(messages), group: (tree, heap))
    }

    private mutating func appendHeader(_ messages: [HDF5Messages.Message]) -> UInt64 {
        let address = position
        var body = HDF5Bytes()
        for message in messages {
            var content = message.body
            content.pad()
            body.append(UInt16(message.type.rawValue))
            body.append(UInt16(content.count))
            body.append([message.isConstant ? 1 : 0, 0, 0, 0])
            body.append(content.bytes)
        }
        output.append([1, 0])
        output.append(UInt16(messages.count))
        // The reference count.
        output.append(UInt32(1))
        output.append(UInt32(body.count))
        output.append(zeros: 4)
        output.append(body.bytes)
        return address
    }

    // MARK: - Groups

    private mutating func appendHeap(_ names: HDF5Bytes) -> UInt64 {
        let address = position
        output.append("HEAP".utf8)
        output.append(UInt32(0))
        output.append(UInt64(names.count))
        // The heap has no free space.
        output.append(UInt64(1))
        output.append(address + 32)
        output.append(names.bytes)
        return address
    }

    private mutating func appendSymbolNode(_ members: [(name: UInt64, addresses: ObjectAddresses)]) -> UInt64 {
        let address = position
        output.append("SNOD".utf8)
        output.append([1, 0])
        output.append(UInt16(members.count))
        for (name, addresses) in members { output.append(Self.entry(name: name, addresses).bytes) }
        output.append(zeros: (2 * HDF5Format.symbolNodeK - members.count) * HDF5Format.symbolEntrySize)
        return address
    }

    private static func entry(name: UInt64, _ addresses: ObjectAddresses) -> HDF5Bytes {
        var entry = HDF5Bytes()
        entry.append(name)
        entry.append(addresses.header)
        // Whether the addresses of a group's B-tree and heap follow.
        entry.append(UInt64(addresses.group == nil ? 0 : 1))
        entry.append(addresses.group?.tree ?? 0)
        entry.append(addresses.group?.heap ?? 0)
        return entry
    }

    // MARK: - Indices

    private mutating func appendIndex(of chunks: [StoredChunk], _ grid: ChunkGrid) -> UInt64 {
        var keys = chunks.enumerated().map { number, chunk in
            Self.chunkKey(chunk.byteCount, chunk.filterMask, grid.offset(ofChunk: number) + [0])
        }
        // The last key is greater than all others: one chunk further in every dimension.
        let last = grid.offset(ofChunk: chunks.count - 1)
        keys.append(Self.chunkKey(0, 0, zip(last, grid.chunkShape).map { $0 + $1 } + [grid.elementSize]))
        return appendTree(type: 1, chunks.map(\.address), keys: keys, k: HDF5Format.chunkTreeK)
    }

    private static func chunkKey(_ byteCount: Int, _ filterMask: UInt32, _ offset: [Int]) -> [UInt8] {
        var key = HDF5Bytes()
        key.append(UInt32(byteCount))
        key.append(filterMask)
        for position in offset { key.append(UInt64(position)) }
        return key.bytes
    }

    private static func littleEndian(_ key: UInt64) -> [UInt8] {
        withUnsafeBytes(of: key.littleEndian) { Array($0) }
    }

    /// Appends the nodes of a B-tree level by level up to the root, and returns the root's address.
    ///
    /// `keys` has one more element than `children`; `k` is half the maximum number of children of a node.
    private mutating func appendTree(type: UInt8, _ children: [UInt64], keys: [[UInt8]], k: Int) -> UInt64 {
        let nodeSize = HDF5Format.treeNodeSize(k: k, keySize: keys[0].count)
        let childCount = 2 * k
        var (children, keys) = (children, keys)
        var level: UInt8 = 0
        while true {
            let first = position
            // An empty group has a node without children.
            let starts = children.isEmpty ? [0] : Array(stride(from: 0, to: children.count, by: childCount))
            let nodes = starts.indices.map { first + UInt64($0 * nodeSize) }
            for (number, start) in starts.enumerated() {
                let members = start..<min(start + childCount, children.count)
                output.append("TREE".utf8)
                output.append([type, level])
                output.append(UInt16(members.count))
                output.append(address: number > 0 ? nodes[number - 1] : nil)
                output.append(address: number + 1 < nodes.count ? nodes[number + 1] : nil)
                output.append(keys[start])
                for member in members {
                    output.append(children[member])
                    output.append(keys[member + 1])
                }
                output.append(zeros: (childCount - members.count) * (keys[0].count + 8))
            }
            if nodes.count == 1 { return first }
            keys = starts.map { keys[$0] } + [keys[children.count]]
            children = nodes
            level += 1
        }
    }

    // MARK: - The superblock

    private func makeSuperblock(_ root: ObjectAddresses) -> [UInt8] {
        var block = HDF5Bytes()
        block.append(HDF5Format.signature)
        // Versions, then offsets and lengths of eight bytes.
        block.append([0, 0, 0, 0, 0, 8, 8, 0])
        block.append(UInt16(HDF5Format.symbolNodeK))
        block.append(UInt16(HDF5Format.groupTreeK))
        block.append(UInt32(0))
        block.append(UInt64(0))
        // No free-space list; the end of the file; no driver block.
        block.append(address: nil)
        block.append(position)
        block.append(address: nil)
        block.append(Self.entry(name: 0, root).bytes)
        return block.bytes
    }
}

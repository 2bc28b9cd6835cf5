/// Sizes of HDF5's structures: the library's defaults, which checkpoints use.
enum HDF5Format {
    static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]
    /// Bytes of the superblock.
    static let superblockSize = 96
    /// Half the maximum number of members in a symbol table node.
    static let symbolNodeK = 4
    /// Half the maximum number of children of a node in a group's B-tree.
    static let groupTreeK = 16
    /// Half the maximum number of children of a node in a chunk index.
    static let chunkTreeK = 32
    /// Bytes of a member's entry in a symbol table node; the entries follow a header of eight bytes.
    static let symbolEntrySize = 40

    /// Bytes of a B-tree node; every node has room for the maximum number of children.
    static func treeNodeSize(k: Int, keySize: Int) -> Int { 24 + (2 * k + 1) * keySize + 2 * k * 8 }
}

/// Sizes in the part of HDF5 that checkpoints use: HDF5's defaults.
enum HDF5Format {
    static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]
    /// Bytes of the superblock.
    static let superblockSize = 96
    /// Half the members of a symbol table node.
    static let symbolNodeK = 4
    /// Half the children of a node of a group's B-tree.
    static let groupTreeK = 16
    /// Half the children of a node of a chunk index.
    static let chunkTreeK = 32
    /// Bytes of a member's entry in a symbol table node, which begins with eight others.
    static let symbolEntrySize = 40

    /// Bytes of a B-tree node, which all have room for the most children.
    static func treeNodeSize(k: Int, keySize: Int) -> Int { 24 + (2 * k + 1) * keySize + 2 * k * 8 }
}

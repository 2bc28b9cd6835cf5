/// The nodes of a version 1 B-tree that have been read, level by level in the order of their keys.
///
/// Other readers follow the siblings' addresses from node to node, so these must link the nodes of a level in order.
struct HDF5TreeLevels {
    /// The node read last on each level, and the address of its right sibling.
    private var last: [Int: (address: UInt64, right: UInt64?)] = [:]

    /// Reads the header of the node at `address`; `expected` is its level, or nil for the root.
    mutating func node(
        _ cursor: inout HDF5Cursor, at address: UInt64, type: Int, k: Int, level expected: Int?, of what: String
    ) throws -> (level: Int, count: Int) {
        try cursor.signature("TREE", of: what)
        guard try cursor.uint8() == type else { throw HDF5Problem.damaged("\(what) has a wrong type") }
        let level = try cursor.uint8()
        guard level < 8, expected == nil || level == expected else {
            throw HDF5Problem.damaged("\(what) has level \(level)")
        }
        let count = try cursor.uint16()
        // Only the root of an empty tree has no children.
        guard count <= 2 * k, count > 0 || expected == nil && level == 0 else {
            throw HDF5Problem.damaged("\(what) has \(count) children")
        }
        let left = try cursor.address()
        let right = try cursor.address()
        let previous = last[level]
        guard left == previous?.address, previous == nil || previous?.right == address else {
            throw HDF5Problem.damaged("\(what) is not linked to its siblings")
        }
        last[level] = (address, right)
        return (level, count)
    }

    /// Checks that the last node of each level has no right sibling.
    func finish(_ what: String) throws {
        guard last.values.allSatisfy({ $0.right == nil }) else {
            throw HDF5Problem.damaged("\(what) has a sibling that is not in the tree")
        }
    }
}

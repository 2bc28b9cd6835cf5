/// A trie over the bytes of tokens.
struct ByteTrie: Sendable {
    static let root: UInt32 = 0

    /// Edges from (node, byte) to a node.
    private var children: PairTable
    /// For each node, the value of the token that ends there, or -1.
    private var values: [Int32] = [-1]
    /// The root's children by byte; 0 where there is none.
    private var first = [UInt32](repeating: 0, count: 256)

    /// - Parameter capacity: the maximum number of bytes of all tokens together.
    init(capacity: Int) { children = PairTable(capacity: capacity) }

    /// Inserts a token; a later one with the same text replaces its value.
    mutating func insert(_ text: some Collection<UInt8>, value: Int32) {
        var node = Self.root
        for byte in text {
            if let child = child(of: node, byte) {
                node = child
                continue
            }
            let child = UInt32(values.count)
            if node == Self.root {
                first[Int(byte)] = child
            } else {
                children.insert(node, UInt32(byte), rank: child)
            }
            values.append(-1)
            node = child
        }
        values[Int(node)] = value
    }

    @inline(__always)
    func child(of node: UInt32, _ byte: UInt8) -> UInt32? {
        guard node == Self.root else { return children.rank(node, UInt32(byte)) }
        let child = first[Int(byte)]
        return child == 0 ? nil : child
    }

    /// The value of the token that ends at a node, or -1.
    @inline(__always)
    func value(at node: UInt32) -> Int32 { values[Int(node)] }
}

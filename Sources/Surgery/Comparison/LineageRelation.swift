import CheckpointIO

/// How two checkpoints are related, by the digests in their lineages.
package enum LineageRelation: Sendable, Equatable {
    /// Both have the same digest.
    case sameState
    /// B was made from A by these operations.
    case ancestor(operations: [String])
    /// A was made from B by these operations.
    case descendant(operations: [String])
    /// Both were saved by one run, which started from the digest `start`.
    case sameRun(operation: String, start: String)
    /// Both descend from this digest.
    case commonAncestor(digest: String)
    case unrelated

    init(_ a: CheckpointFile, _ b: CheckpointFile) {
        let left = a.metadata.lineage.compactMap(LineageEntry.init(text:))
        let right = b.metadata.lineage.compactMap(LineageEntry.init(text:))
        if !a.digest.isEmpty, a.digest == b.digest {
            self = .sameState
        } else if let index = right.lastIndex(where: { $0.parent == a.digest }) {
            self = .ancestor(operations: right[index...].map(\.operation))
        } else if let index = left.lastIndex(where: { $0.parent == b.digest }) {
            self = .descendant(operations: left[index...].map(\.operation))
        } else if let last = left.last, let start = last.parent,
            last.operation == right.last?.operation, start == right.last?.parent,
            last.arguments == right.last?.arguments
        {
            self = .sameRun(operation: last.operation, start: start)
        } else if let shared = Self.lastShared(left, right) {
            self = .commonAncestor(digest: shared)
        } else {
            self = .unrelated
        }
    }

    /// The newest parent that occurs in both lineages.
    private static func lastShared(_ a: [LineageEntry], _ b: [LineageEntry]) -> String? {
        let parents = Set(b.compactMap(\.parent))
        return a.compactMap(\.parent).last { parents.contains($0) }
    }
}

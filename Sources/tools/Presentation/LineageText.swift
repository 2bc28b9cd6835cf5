import CheckpointIO

/// Where a state comes from, by its lineage.
enum LineageText {
    /// For example "train-rl (degrpo) from 3f2a…, which init → add-tokens → train-sft made"; nil if nothing was
    /// trained.
    static func origin(_ entries: [LineageEntry]) -> String? {
        guard let index = entries.lastIndex(where: { $0.operation.hasPrefix("train-") }) else { return nil }
        // A resumed run that was extended has several entries.
        let start = entries[...index].lastIndex { $0.operation != entries[index].operation }.map { $0 + 1 } ?? 0
        let entry = entries[start]
        let loss = entry.operation == "train-rl" ? entry.arguments["loss"]?.string.map { " (\($0))" } ?? "" : ""
        let parent = entry.parent.map { " from " + Format.shortDigest($0) } ?? ""
        let before = entries[..<start].map(\.operation).joined(separator: " → ")
        return "trained by \(entry.operation)\(loss)\(parent)" + (before.isEmpty ? "" : ", which \(before) made")
    }
}

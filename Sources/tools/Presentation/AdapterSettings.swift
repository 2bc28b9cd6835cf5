import CheckpointIO

extension AdapterRecord {
    /// Rank, scaling and trained rows on one line.
    var settingsText: String {
        let scaling = usesRankStabilizedScaling ? "α/√r" : "α/r"
        let trained = rows.isEmpty ? "" : ", \(Format.counted(rows.count, "trained row"))"
        return "r \(rank), α \(Format.number(alpha)), s = \(scaling) = \(Format.number(self.scaling))" + trained
    }
}

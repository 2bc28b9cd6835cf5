/// The problems of a file whose truth cannot be read.
package struct GroundTruthReport: Sendable {
    /// "2 of 20 answers cannot be read: 7 (it is empty), 9".
    package let text: String
    /// Whether no truth can be read.
    package let isOfAll: Bool

    /// More problems are only counted.
    private static let namedCount = 5

    /// Looks at the problems that have a truth; nil if every truth can be read.
    package init?(_ problems: [Problem]) {
        let truths = problems.compactMap { problem in problem.answer.map { (id: problem.id, truth: GroundTruth($0)) } }
        let unread = truths.compactMap { item in item.truth.defect.map { (id: item.id, defect: $0) } }
        guard let first = unread.first else { return nil }
        isOfAll = unread.count == truths.count
        let others = unread.dropFirst().prefix(Self.namedCount - 1).map(\.id)
        let rest = unread.count - 1 - others.count
        text =
            "\(unread.count) of \(counted(truths.count, "answer")) cannot be read: "
            + (["\(first.id) (\(first.defect.rawValue))"] + others).joined(separator: ", ")
            + (rest > 0 ? " and \(rest) more" : "")
    }
}

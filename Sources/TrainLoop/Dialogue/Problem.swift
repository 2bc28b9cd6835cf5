import Tokenization

/// A problem and, if known, its right answer.
public struct Problem: Sendable, Equatable {
    /// The row's id, or its number in the file.
    public var id: String
    /// The user's message.
    public var problem: String
    /// The ground truth; nil if the data has none.
    public var answer: String?
    /// The level of difficulty, by which results are broken down.
    public var level: String?
    /// The data set that the problem comes from.
    public var source: String?
    /// A worked solution, if the data has one.
    public var solution: String?
    /// The turns before the user's message, such as a system message.
    public var context: [ChatMessage] = []
    /// Where the problem comes from, for messages.
    package var origin = RowOrigin()

    public init(
        id: String, problem: String, answer: String? = nil, level: String? = nil, source: String? = nil,
        solution: String? = nil
    ) {
        self.id = id
        self.problem = problem
        self.answer = answer
        self.level = level
        self.source = source
        self.solution = solution
    }
}

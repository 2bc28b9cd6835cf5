import OrderedJSON

/// A damaged part of a checkpoint, found by `CheckpointFile.verify`.
public struct Damage: Sendable, Equatable, CustomStringConvertible {
    /// The path of the dataset, or the name of another part of the file.
    public var place: String
    /// The name of the tensor, if the part belongs to one.
    public var tensor: String?
    /// The number of the chunk, in row-major order.
    public var chunk: Int?
    /// The file offset of the damaged chunk or range.
    public var fileOffset: Int?
    public var problem: String

    package init(
        place: String, tensor: String? = nil, chunk: Int? = nil, fileOffset: Int? = nil, problem: String
    ) {
        self.place = place
        self.tensor = tensor
        self.chunk = chunk
        self.fileOffset = fileOffset
        self.problem = problem
    }

    /// The damage in one line.
    public var description: String {
        var text = place.onOneLine()
        if let chunk { text += ", chunk \(chunk)" }
        if let fileOffset { text += " at byte \(fileOffset)" }
        return "\(text): \(problem.onOneLine())"
    }
}

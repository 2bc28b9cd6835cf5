import CheckpointIO

/// A vocabulary tensor with replaced rows and rows appended at the end.
struct EditedRows: Sendable {
    let old: TensorRows
    /// Bytes by row index; appended rows without an entry are zero.
    let replacements: [Int: [UInt8]]
    let rowCount: Int

    var description: TensorDescription {
        var description = old.description
        description.shape[0] = rowCount
        return description
    }

    /// Copies logical bytes `range` of the edited tensor.
    func copy(_ range: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws {
        let oldByteCount = old.description.byteCount
        let kept = range.clamped(to: 0..<oldByteCount)
        if !kept.isEmpty {
            try old.readBytes(kept, into: UnsafeMutableRawBufferPointer(rebasing: target[..<kept.count]))
        }
        for index in kept.count..<max(range.count, kept.count) { target[index] = 0 }
        let width = old.rowByteCount
        for (row, bytes) in replacements {
            let place = (row * width..<(row + 1) * width).clamped(to: range)
            guard !place.isEmpty else { continue }
            for index in place { target[index - range.lowerBound] = bytes[index - row * width] }
        }
    }

    /// The tensor for the writer, which copies chunks without changed rows.
    func tensorToWrite(in group: TensorGroup) -> TensorToWrite {
        let width = old.rowByteCount
        let edit = TensorEdit(
            of: old.tensor, in: old.file, changed: replacements.keys.map { $0 * width..<($0 + 1) * width },
            fill: { try copy($0, into: $1) })
        return TensorToWrite(group: group, description: description, content: .edited(edit))
    }
}

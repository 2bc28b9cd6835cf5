extension CheckpointFile {
    /// Reads bytes `range` of a tensor's logical bytes, decoding only the chunks that hold them. Meant for work that
    /// goes through a tensor piece by piece; several threads may read at once.
    ///
    /// - Parameter destination: exactly `range.count` bytes.
    /// - Throws: `CheckpointError.damaged` that names the chunk, `.invalid` for a range or buffer that does not fit.
    public func read(
        _ tensor: StoredTensor, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let byteCount = tensor.description.byteCount
        guard range.lowerBound >= 0, range.upperBound <= byteCount, destination.count == range.count else {
            throw CheckpointError.invalid(
                name: tensor.description.name,
                problem: "has \(byteCount) bytes; bytes \(range) were asked for, for a buffer of \(destination.count)")
        }
        guard !range.isEmpty else { return }
        guard case .chunked(let grid, let filters) = tensor.storage, grid.isContiguous else {
            // Stored as it is, hence small, or cut across rows, which this program never writes.
            return try readPart(of: tensor, range, into: destination)
        }
        var number = firstChunk(holding: range.lowerBound, grid)
        while number < grid.count {
            let covered = grid.byteRange(ofChunk: number)
            let part = covered.clamped(to: range)
            guard !part.isEmpty else { return }
            let target = UnsafeMutableRawBufferPointer(
                rebasing: destination[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
            if part == covered {
                _ = try decodeChunk(number, of: tensor, grid, filters, into: target, isWhole: false)
            } else {
                let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: covered.count, alignment: 64)
                defer { whole.deallocate() }
                _ = try decodeChunk(number, of: tensor, grid, filters, into: whole, isWhole: false)
                let start = part.lowerBound - covered.lowerBound
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[start..<start + part.count]))
            }
            number += 1
        }
    }

    private func readPart(
        of tensor: StoredTensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.description.byteCount, alignment: 64)
        defer { whole.deallocate() }
        try read(tensor, into: whole)
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[range]))
    }

    /// Chunks of a contiguous grid follow one another in the order of their bytes.
    private func firstChunk(holding byte: Int, _ grid: ChunkGrid) -> Int {
        var low = 0
        var high = grid.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if grid.byteRange(ofChunk: middle).lowerBound <= byte { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

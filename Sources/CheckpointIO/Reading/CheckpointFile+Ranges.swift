extension CheckpointFile {
    /// Reads the bytes `range` of a tensor's little-endian content, decoding only the chunks that contain them.
    ///
    /// Several threads may read at once.
    ///
    /// - Parameters:
    ///   - tensor: A tensor of this file.
    ///   - range: A range of the tensor's `byteCount` bytes.
    ///   - destination: A buffer of exactly `range.count` bytes.
    /// - Throws: `CheckpointError.damaged` with the number of the chunk, or `.invalid` if range or buffer do not fit.
    public func read(
        _ tensor: StoredTensor, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let byteCount = tensor.description.byteCount
        guard range.lowerBound >= 0, range.upperBound <= byteCount, destination.count == range.count else {
            throw CheckpointError.invalid(
                name: tensor.description.name,
                problem: "has \(byteCount) bytes; bytes \(range) were requested into a buffer of \(destination.count)")
        }
        guard !range.isEmpty, try readChunks(of: tensor, range, into: destination) == nil else { return }
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { whole.deallocate() }
        try read(tensor, into: whole)
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[range]))
    }

    /// Reads a non-empty range of a tensor, and returns whether all chunks read have a checksum.
    ///
    /// The result is nil, and nothing is read, if the tensor is stored contiguously (then it is small) or in chunks
    /// that are not contiguous ranges (which ckpt never writes).
    func readChunks(
        of tensor: StoredTensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws -> Bool? {
        if tensor.externalRanges != nil {
            try readExternal(tensor, range, into: destination)
            return true
        }
        guard case .chunked(let grid, let filters) = tensor.storage, grid.isContiguous else { return nil }
        var haveChecksums = true
        for number in firstChunk(containing: range.lowerBound, grid)..<grid.count {
            let covered = grid.byteRange(ofChunk: number)
            let part = covered.clamped(to: range)
            guard !part.isEmpty else { break }
            let target = UnsafeMutableRawBufferPointer(
                rebasing: destination[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
            let hasChecksum: Bool
            if part == covered {
                hasChecksum = try decodeChunk(number, of: tensor, grid, filters, into: target, isWhole: false)
            } else {
                let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: covered.count, alignment: 64)
                defer { whole.deallocate() }
                hasChecksum = try decodeChunk(number, of: tensor, grid, filters, into: whole, isWhole: false)
                let start = part.lowerBound - covered.lowerBound
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[start..<start + part.count]))
            }
            haveChecksums = haveChecksums && hasChecksum
        }
        return haveChecksums
    }

    /// Reads a range of a tensor that is not in the HDF5 file.
    func readExternal(
        _ tensor: StoredTensor, _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        switch tensor.storage {
        case .computed(let computed): try computed.read(range, of: self, into: destination)
        case .external(let source): try source.read(tensor.description.name, range: range, into: destination)
        case .contiguous, .chunked: break
        }
    }

    /// The chunk that contains a byte, found by binary search: the ranges of a contiguous grid ascend.
    private func firstChunk(containing byte: Int, _ grid: ChunkGrid) -> Int {
        var low = 0
        var high = grid.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if grid.byteRange(ofChunk: middle).lowerBound <= byte { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

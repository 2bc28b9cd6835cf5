import Synchronization

extension CheckpointFile {
    /// Reads a tensor's logical little-endian bytes, decoding on all cores, and checks every chunk (a tensor whose
    /// chunks carry no checksum is checked by its sha256).
    /// - Parameter destination: exactly `tensor.description.byteCount` bytes.
    /// - Throws: `CheckpointError.damaged` that names the chunk, `.invalid` for a buffer of another size.
    public func read(_ tensor: StoredTensor, into destination: UnsafeMutableRawBufferPointer) throws {
        guard destination.count == tensor.description.byteCount else {
            throw CheckpointError.invalid(
                name: tensor.description.name,
                problem: "has \(tensor.description.byteCount) bytes, the buffer \(destination.count)")
        }
        switch tensor.storage {
        case .contiguous:
            try readContiguous(tensor, range: 0..<destination.count, into: destination)
            try checkHash(of: UnsafeRawBufferPointer(destination), tensor)
        case .chunked(let grid, let filters):
            // Starting a thread costs more than decoding a small tensor.
            let threads = destination.count < 2 << 20 ? 1 : ParallelWork.coreCount
            let target = SharedTarget(buffer: destination)
            let state = ReadState()
            try ParallelWork.forEach(grid.count, threadCount: threads) { number in
                let hasChecksum = try self.decodeChunk(
                    number, of: tensor, grid, filters, into: target.buffer, isWhole: true)
                if !hasChecksum { state.lacksChecksum.store(true, ordering: .relaxed) }
            }
            if state.lacksChecksum.load(ordering: .relaxed) {
                try checkHash(of: UnsafeRawBufferPointer(destination), tensor)
            }
        }
    }

    /// Reads a tensor as float32, following a tie.
    /// - Parameter destination: as many elements as the tensor has.
    /// - Throws: `CheckpointError`; `.noTensor` where there is none of that name.
    public func readFloat32(
        _ name: String, in group: TensorGroup = .weights, into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        let target = group == .weights ? metadata.tiedTensors[name] : nil
        guard let tensor = tensor(name, in: group) ?? target.flatMap({ self.tensor($0, in: group) }) else {
            throw CheckpointError.noTensor(path: path, name: name)
        }
        guard destination.count == tensor.description.elementCount else {
            throw CheckpointError.invalid(
                name: name, problem: "has \(tensor.description.elementCount) elements, the buffer \(destination.count)")
        }
        if tensor.description.elementType == .float32 {
            return try read(tensor, into: UnsafeMutableRawBufferPointer(destination))
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.description.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        try read(tensor, into: bytes)
        try ElementConversion.toFloat32(
            UnsafeRawBufferPointer(bytes), tensor.description.elementType, into: destination)
    }

    /// Decodes one chunk of a tensor; an error names it.
    func decodeChunk(
        _ number: Int, of tensor: StoredTensor, _ grid: ChunkGrid, _ filters: [HDF5Filter],
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        let chunk = tensor.chunks[number]
        do {
            return try reader.decode(number, grid, filters, chunk, into: destination, isWhole: isWhole)
        } catch let problem as ZstdProblem {
            throw CheckpointError.damaged(
                path: path, place: "\(tensor.path), chunk \(number) at byte \(chunk.address)",
                problem: problem.description)
        } catch let problem as HDF5Problem {
            throw problem.located(path: path, place: "\(tensor.path), chunk \(number)")
        }
    }

    /// Reads a range of a tensor that is stored as it is, unchecked.
    func readContiguous(
        _ tensor: StoredTensor, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        guard case .contiguous(let address?) = tensor.storage, range.count > 0 else { return }
        do {
            try source.read(at: address + UInt64(range.lowerBound), into: destination)
        } catch let problem as HDF5Problem {
            throw problem.located(path: path, place: tensor.path)
        }
    }

    /// Reads a chunk's stored bytes as they are.
    func readStored(
        _ chunk: StoredChunk, of tensor: StoredTensor, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        do {
            try source.read(at: chunk.address, into: destination)
        } catch let problem as HDF5Problem {
            throw problem.located(path: path, place: tensor.path)
        }
    }

    /// The error for a tensor whose bytes are wrong as a whole.
    func damage(to tensor: StoredTensor, _ problem: String) -> CheckpointError {
        .damaged(path: path, place: tensor.path, problem: problem)
    }

    private func checkHash(of bytes: UnsafeRawBufferPointer, _ tensor: StoredTensor) throws {
        var hash = SHA256()
        hash.update(bytes)
        guard hash.finalize() == tensor.sha256 else {
            throw damage(to: tensor, "its bytes do not have the recorded sha256")
        }
    }
}

/// A buffer whose disjoint parts several threads fill.
private struct SharedTarget: @unchecked Sendable {
    // Sendable because each chunk has bytes of its own and the owner waits for all threads.
    let buffer: UnsafeMutableRawBufferPointer
}

private final class ReadState: Sendable {
    let lacksChecksum = Atomic<Bool>(false)
}

import Parallel
import Synchronization

extension CheckpointFile {
    /// Reads a tensor's logical little-endian bytes, decoding on all cores, and checks every chunk (a tensor whose
    /// chunks carry no checksum is checked by its sha256).
    /// - Parameter destination: exactly `tensor.description.byteCount` bytes.
    /// - Throws: `CheckpointError.damaged` that names the chunk, `.invalid` for a buffer of another size.
    public func read(_ tensor: StoredTensor, into destination: UnsafeMutableRawBufferPointer) throws {
        try read([(tensor, destination)])
    }

    /// Reads many tensors as `read(_:into:)` does one: the chunks of all of them are decoded on all cores, so that small
    /// tensors keep no core waiting.
    /// - Parameter requests: each with a buffer of exactly the tensor's bytes.
    public func read(_ requests: [(tensor: StoredTensor, destination: UnsafeMutableRawBufferPointer)]) throws {
        for (tensor, destination) in requests where destination.count != tensor.description.byteCount {
            throw wrongSize(tensor, destination.count)
        }
        let targets = requests.map { SharedTarget(tensor: $0.tensor, buffer: $0.destination) }
        try decode(targets.map(\.tensor)) { index, part in
            let target = targets[index]
            guard case .chunked(let chunk, let grid, let filters) = part else {
                return try self.readContiguous(target.tensor, range: 0..<target.buffer.count, into: target.buffer)
            }
            let hasChecksum = try self.decodeChunk(
                chunk, of: target.tensor, grid, filters, into: target.buffer, isWhole: true)
            if !hasChecksum { target.lacksChecksum.store(true, ordering: .relaxed) }
        }
        for target in targets {
            let isStoredAsItIs = if case .contiguous = target.tensor.storage { true } else { false }
            guard isStoredAsItIs || target.lacksChecksum.load(ordering: .relaxed) else { continue }
            try checkHash(of: UnsafeRawBufferPointer(target.buffer), target.tensor)
        }
    }

    /// A piece of work while tensors are read: a chunk, or a whole tensor that is stored as it is.
    private enum Part {
        case contiguous
        case chunked(Int, ChunkGrid, [HDF5Filter])
    }

    /// Calls `body` for every part of every tensor, on all cores where there is enough to do.
    private func decode(_ tensors: [StoredTensor], _ body: @escaping @Sendable (Int, Part) throws -> Void) throws {
        var parts: [(tensor: Int, chunk: Int)] = []
        for (index, tensor) in tensors.enumerated() {
            let count = if case .chunked(let grid, _) = tensor.storage { grid.count } else { 1 }
            parts += (0..<count).map { (index, $0) }
        }
        let work = parts
        let byteCount = tensors.reduce(0) { $0 + $1.description.byteCount }
        // Starting a thread costs more than decoding a small tensor.
        try ParallelWork.forEach(work.count, threadCount: byteCount < 2 << 20 ? 1 : ParallelWork.coreCount) { number in
            let (index, chunk) = work[number]
            guard case .chunked(let grid, let filters) = tensors[index].storage else {
                return try body(index, .contiguous)
            }
            try body(index, .chunked(chunk, grid, filters))
        }
    }

    private func wrongSize(_ tensor: StoredTensor, _ count: Int) -> CheckpointError {
        .invalid(
            name: tensor.description.name,
            problem: "has \(tensor.description.byteCount) bytes, the buffer \(count)")
    }

    /// Reads a tensor as float32, following a tie.
    /// - Parameter destination: as many elements as the tensor has.
    /// - Throws: `CheckpointError`; `.noTensor` where there is none of that name.
    public func readFloat32(
        _ name: String, in group: TensorGroup = .weights, into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try readFloat32([(name, destination)], in: group)
    }

    /// Reads many tensors as float32, on all cores, following ties.
    /// - Parameter requests: names, each with room for as many elements as the tensor has.
    /// - Throws: `CheckpointError`; `.noTensor` where there is none of a name.
    public func readFloat32(
        _ requests: [(name: String, destination: UnsafeMutableBufferPointer<Float>)], in group: TensorGroup = .weights
    ) throws {
        var plain: [(tensor: StoredTensor, destination: UnsafeMutableRawBufferPointer)] = []
        var converted: [SharedTarget] = []
        for (name, destination) in requests {
            let target = group == .weights ? metadata.tiedTensors[name] : nil
            guard let tensor = tensor(name, in: group) ?? target.flatMap({ self.tensor($0, in: group) }) else {
                throw CheckpointError.noTensor(path: path, name: name)
            }
            guard destination.count == tensor.description.elementCount else {
                throw CheckpointError.invalid(
                    name: name,
                    problem: "has \(tensor.description.elementCount) elements, the buffer \(destination.count)")
            }
            if tensor.description.elementType == .float32 {
                plain.append((tensor, UnsafeMutableRawBufferPointer(destination)))
            } else {
                converted.append(SharedTarget(tensor: tensor, buffer: UnsafeMutableRawBufferPointer(destination)))
            }
        }
        try read(plain)
        try readConverting(converted)
    }

    /// Reads tensors of other types, a chunk at a time where chunks are ranges, so that no core waits for a conversion.
    private func readConverting(_ targets: [SharedTarget]) throws {
        try decode(targets.map(\.tensor)) { index, part in
            let target = targets[index]
            let tensor = target.tensor
            let type = tensor.description.elementType
            let values = target.buffer.bindMemory(to: Float.self)
            guard case .chunked(let chunk, let grid, let filters) = part, grid.isContiguous else {
                // Small, or cut across rows as this program never does: the first part stands for the whole.
                if case .chunked(let chunk, _, _) = part, chunk > 0 { return }
                let bytes = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: tensor.description.byteCount, alignment: 64)
                defer { bytes.deallocate() }
                try self.read(tensor, into: bytes)
                return try ElementConversion.toFloat32(UnsafeRawBufferPointer(bytes), type, into: values)
            }
            let range = grid.byteRange(ofChunk: chunk)
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
            defer { bytes.deallocate() }
            let hasChecksum = try self.decodeChunk(chunk, of: tensor, grid, filters, into: bytes, isWhole: false)
            if !hasChecksum { target.lacksChecksum.store(true, ordering: .relaxed) }
            let elements = range.lowerBound / type.byteCount..<range.upperBound / type.byteCount
            try ElementConversion.toFloat32(
                UnsafeRawBufferPointer(bytes), type, into: UnsafeMutableBufferPointer(rebasing: values[elements]))
        }
        for target in targets where target.lacksChecksum.load(ordering: .relaxed) {
            // Read once more, whole: that checks the sha256.
            let bytes = UnsafeMutableRawBufferPointer.allocate(
                byteCount: target.tensor.description.byteCount, alignment: 64)
            defer { bytes.deallocate() }
            try read(target.tensor, into: bytes)
        }
    }

    /// Decodes one chunk of a tensor; an error names it.
    func decodeChunk(
        _ number: Int, of tensor: StoredTensor, _ grid: ChunkGrid, _ filters: [HDF5Filter],
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        try namingChunk(number, of: tensor) {
            try reader.decode(number, grid, filters, tensor.chunks[number], into: destination, isWhole: isWhole)
        }
    }

    /// Gives what is wrong with a chunk its file and place.
    func namingChunk<Result>(_ number: Int, of tensor: StoredTensor, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let problem as ZstdProblem {
            throw CheckpointError.damaged(
                path: path, place: "\(tensor.path), chunk \(number) at byte \(tensor.chunks[number].address)",
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

/// A tensor on its way into a buffer whose disjoint parts several threads fill.
private final class SharedTarget: @unchecked Sendable {
    // Sendable because each chunk has bytes of its own and the owner waits for all threads.
    let tensor: StoredTensor
    let buffer: UnsafeMutableRawBufferPointer
    let lacksChecksum = Atomic<Bool>(false)

    init(tensor: StoredTensor, buffer: UnsafeMutableRawBufferPointer) {
        self.tensor = tensor
        self.buffer = buffer
    }
}

import Parallel
import Synchronization

extension CheckpointFile {
    /// Reads and checks a tensor's little-endian bytes, using all cores.
    ///
    /// - Parameters:
    ///   - tensor: A tensor of this file.
    ///   - destination: A buffer of exactly `tensor.description.byteCount` bytes.
    /// - Throws: `CheckpointError.damaged` with the number of the chunk, or `.invalid` for a buffer of another size.
    public func read(_ tensor: StoredTensor, into destination: UnsafeMutableRawBufferPointer) throws {
        try read([(tensor, destination)])
    }

    /// Reads and checks many tensors at once, which uses all cores even if the tensors are small.
    ///
    /// - Parameter requests: Tensors of this file, each with a buffer of exactly its `byteCount` bytes.
    /// - Throws: `CheckpointError.damaged` with the number of the chunk, or `.invalid` for a buffer of another size.
    public func read(_ requests: [(tensor: StoredTensor, destination: UnsafeMutableRawBufferPointer)]) throws {
        for (tensor, destination) in requests where destination.count != tensor.description.byteCount {
            throw wrongSize(tensor, destination.count)
        }
        let targets = requests.map { SharedTarget(tensor: $0.tensor, buffer: $0.destination) }
        try decode(targets.map(\.tensor)) { index, part in
            let target = targets[index]
            let chunk: Int
            let (grid, filters): (ChunkGrid, [HDF5Filter])
            switch part {
            case .chunked(let number, let ownGrid, let ownFilters):
                (chunk, grid, filters) = (number, ownGrid, ownFilters)
            case .contiguous:
                return try self.readContiguous(target.tensor, range: 0..<target.buffer.count, into: target.buffer)
            case .external(let range):
                return try self.readExternal(
                    target.tensor, range, into: UnsafeMutableRawBufferPointer(rebasing: target.buffer[range]))
            }
            let hasChecksum = try self.decodeChunk(
                chunk, of: target.tensor, grid, filters, into: target.buffer, isWhole: true)
            if !hasChecksum { target.lacksChecksum.store(true, ordering: .relaxed) }
        }
        for target in targets {
            // A contiguous tensor, or a chunk without checksum, is checked by the sha256.
            let isContiguous = if case .contiguous = target.tensor.storage { true } else { false }
            guard isContiguous || target.lacksChecksum.load(ordering: .relaxed) else { continue }
            try checkHash(of: UnsafeRawBufferPointer(target.buffer), target.tensor)
        }
    }

    /// A unit of work while tensors are read.
    private enum StoredPart {
        /// A whole contiguous tensor.
        case contiguous
        /// A chunk with this number.
        case chunked(Int, ChunkGrid, [HDF5Filter])
        /// A range of bytes that are computed, or in a file of another format.
        case external(Range<Int>)
    }

    /// Calls `body` for every part of every tensor, with the tensor's index; on all cores if there is enough work.
    private func decode(
        _ tensors: [StoredTensor], _ body: @escaping @Sendable (Int, StoredPart) throws -> Void
    ) throws {
        var parts: [(tensor: Int, part: StoredPart)] = []
        for (index, tensor) in tensors.enumerated() {
            switch tensor.storage {
            case .contiguous: parts.append((index, .contiguous))
            case .chunked(let grid, let filters):
                parts += (0..<grid.count).map { (index, .chunked($0, grid, filters)) }
            case .computed, .external: parts += (tensor.externalRanges ?? []).map { (index, .external($0)) }
            }
        }
        let work = parts
        let byteCount = tensors.reduce(0) { $0 + $1.description.byteCount }
        // Starting threads costs more than decoding a small tensor.
        try ParallelWork.forEach(work.count, threadCount: byteCount < 2 << 20 ? 1 : ParallelWork.coreCount) { number in
            try body(work[number].tensor, work[number].part)
        }
    }

    private func wrongSize(_ tensor: StoredTensor, _ count: Int) -> CheckpointError {
        .invalid(
            name: tensor.description.name,
            problem: "has \(tensor.description.byteCount) bytes, but the buffer has \(count)")
    }

    /// Reads a tensor and converts it to float32; a tied name reads the tensor it is tied to.
    ///
    /// - Parameters:
    ///   - name: The name of a tensor, or a tied name.
    ///   - group: The group of the tensor.
    ///   - destination: A buffer of exactly as many elements as the tensor has.
    /// - Throws: `CheckpointError`, for example `.noTensor`.
    public func readFloat32(
        _ name: String, in group: TensorGroup = .weights, into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try readFloat32([(name, destination)], in: group)
    }

    /// Reads many tensors at once as float32; a tied name reads the tensor it is tied to.
    ///
    /// - Parameters:
    ///   - requests: Names, each with a buffer of exactly as many elements as the tensor has.
    ///   - group: The group of all tensors.
    /// - Throws: `CheckpointError`, for example `.noTensor`.
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
                    problem: "has \(tensor.description.elementCount) elements, but the buffer has \(destination.count)")
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

    /// Reads tensors of types other than float32, converting each chunk on the core that decoded it.
    private func readConverting(_ targets: [SharedTarget]) throws {
        try decode(targets.map(\.tensor)) { index, part in
            let target = targets[index]
            let tensor = target.tensor
            let type = tensor.description.elementType
            let values = target.buffer.bindMemory(to: Float.self)
            if case .external(let range) = part {
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
                defer { bytes.deallocate() }
                try self.readExternal(tensor, range, into: bytes)
                let elements = range.lowerBound / type.byteCount..<range.upperBound / type.byteCount
                return try ElementConversion.toFloat32(
                    UnsafeRawBufferPointer(bytes), type, into: UnsafeMutableBufferPointer(rebasing: values[elements]))
            }
            guard case .chunked(let chunk, let grid, let filters) = part, grid.isContiguous else {
                // A small tensor, or chunks that are not contiguous ranges: read it all with the first part.
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
            // Reading the whole tensor again checks the sha256.
            let bytes = UnsafeMutableRawBufferPointer.allocate(
                byteCount: target.tensor.description.byteCount, alignment: 64)
            defer { bytes.deallocate() }
            try read(target.tensor, into: bytes)
        }
    }

    /// Decodes one chunk of a tensor; errors contain its number.
    func decodeChunk(
        _ number: Int, of tensor: StoredTensor, _ grid: ChunkGrid, _ filters: [HDF5Filter],
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        try namingChunk(number, of: tensor) {
            try reader.decode(number, grid, filters, tensor.chunks[number], into: destination, isWhole: isWhole)
        }
    }

    /// Adds file and place to problems with a chunk.
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

    /// Reads a range of a contiguous tensor without checking it.
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

    /// Reads a chunk's stored bytes without decoding them.
    func readStored(
        _ chunk: StoredChunk, of tensor: StoredTensor, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        do {
            try source.read(at: chunk.address, into: destination)
        } catch let problem as HDF5Problem {
            throw problem.located(path: path, place: tensor.path)
        }
    }

    /// The error for a damaged tensor.
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

/// A tensor with a buffer whose disjoint parts are filled by several threads.
private final class SharedTarget: @unchecked Sendable {
    // Sendable because chunks do not share bytes of the buffer, and the owner waits for all threads.
    let tensor: StoredTensor
    let buffer: UnsafeMutableRawBufferPointer
    let lacksChecksum = Atomic<Bool>(false)

    init(tensor: StoredTensor, buffer: UnsafeMutableRawBufferPointer) {
        self.tensor = tensor
        self.buffer = buffer
    }
}

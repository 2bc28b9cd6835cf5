import Parallel
import Synchronization

extension CheckpointFile {
    /// Checks every byte: decodes every chunk, and compares every tensor's SHA-256 and the structure, using all cores.
    ///
    /// Metadata and digests were checked when the file was opened, as was every field of the structure that readers
    /// use.
    ///
    /// - Parameter progress: Called with the uncompressed bytes done so far, from several threads.
    /// - Returns: The damaged parts in the order of the tensors, after those of the structure; empty if there are none.
    /// - Throws: `CheckpointError` if the file cannot be read.
    public func verify(progress: (@Sendable (Int) -> Void)? = nil) throws -> [Damage] {
        try verifyWithValues(progress: progress).damages
    }

    /// Checks every byte as `verify` does, and looks at the values on the way.
    ///
    /// - Returns: The damaged parts, and what was found in the values of the tensors that are not damaged.
    func verifyWithValues(
        progress: (@Sendable (Int) -> Void)?
    ) throws -> (damages: [Damage], values: [(tensor: StoredTensor, values: ValueScan)]) {
        let tensors = TensorGroup.allCases.flatMap { self.tensors(in: $0) }
        let order = tensors.indices.sorted {
            (tensors[$1].description.byteCount, $0) < (tensors[$0].description.byteCount, $1)
        }
        let state = VerifyState()
        try ParallelWork.forEach(order.count) { index in
            let tensor = tensors[order[index]]
            var values = ValueScan()
            let damages = try self.damages(of: tensor, &values)
            let found = (damages, values)
            state.found.withLock { $0[order[index]] = found }
            progress?(state.done.wrappingAdd(tensor.description.byteCount, ordering: .relaxed).newValue)
        }
        let structure = try structureDamages()
        return state.found.withLock { found in
            (
                structure + tensors.indices.flatMap { found[$0]?.damages ?? [] },
                tensors.indices.compactMap { index in
                    found[index].flatMap { $0.damages.isEmpty ? (tensors[index], $0.values) : nil }
                }
            )
        }
    }

    /// Checks every byte of a file of which tensors were read, without reading those again.
    ///
    /// The chunks of a tensor that was read were checked then, so its SHA-256 is compared in memory.
    ///
    /// - Parameter loaded: What was read; tensors that are not stored as float32, or are not named, are read here.
    /// - Returns: The damaged parts in the order of the tensors, after those of the structure; empty if there are none.
    /// - Throws: `CheckpointError` if the file cannot be read.
    package func verify(loaded: [LoadedTensor]) throws -> [Damage] {
        let values = Dictionary(
            loaded.map { ([$0.group.rawValue, $0.name], $0) }, uniquingKeysWith: { first, _ in first })
        let items = TensorGroup.allCases.flatMap { group in
            self.tensors(in: group).map { tensor in
                (tensor, values[[group.rawValue, tensor.description.name]].flatMap { $0.holds(tensor) ? $0 : nil })
            }
        }
        let found = Mutex<[Int: [Damage]]>([:])
        try ParallelWork.forEach(items.count) { index in
            let (tensor, loaded) = items[index]
            let damages =
                try loaded.map { $0.hash == tensor.sha256 ? [] : [self.wrongHash(of: tensor)] }
                ?? self.damages(of: tensor)
            if !damages.isEmpty { found.withLock { $0[index] = damages } }
        }
        let structure = try structureDamages()
        return found.withLock { found in structure + items.indices.flatMap { found[$0] ?? [] } }
    }

    /// Decodes a tensor and compares its SHA-256, on the calling thread.
    package func damages(of tensor: StoredTensor) throws -> [Damage] {
        var values = ValueScan()
        return try damages(of: tensor, &values)
    }

    /// Decodes a tensor, compares its SHA-256 and looks at its values, on the calling thread.
    private func damages(of tensor: StoredTensor, _ values: inout ValueScan) throws -> [Damage] {
        let (grid, filters): (ChunkGrid, [HDF5Filter])
        switch tensor.storage {
        case .contiguous: return try damagesOfContiguous(tensor, &values)
        case .computed(let computed): return try damages(of: tensor, computed, &values)
        // Nothing is on record that the values could be compared with.
        case .external: return []
        case .chunked(let ownGrid, let ownFilters): (grid, filters) = (ownGrid, ownFilters)
        }
        // Chunks that are not contiguous ranges (never written by ckpt) require the whole tensor in memory.
        let isWhole = !grid.isContiguous
        let largest = isWhole ? tensor.description.byteCount : grid.chunkByteCount
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: largest, alignment: 64)
        defer { buffer.deallocate() }
        let type = tensor.description.elementType
        var hash = SHA256()
        var damages: [Damage] = []
        for number in 0..<grid.count {
            let count = isWhole ? largest : grid.byteRange(ofChunk: number).count
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            do {
                _ = try decodeChunk(number, of: tensor, grid, filters, into: target, isWhole: isWhole)
            } catch CheckpointError.damaged(_, _, let problem) {
                damages.append(damage(to: tensor, chunk: number, problem))
                continue
            }
            if !isWhole { values.add(UnsafeRawBufferPointer(target), as: type, &hash) }
        }
        if isWhole { values.add(UnsafeRawBufferPointer(buffer), as: type, &hash) }
        if damages.isEmpty, hash.finalize() != tensor.sha256 { damages.append(wrongHash(of: tensor)) }
        return damages
    }

    /// Compares the SHA-256 of a tensor that is computed from the base, and checks the base's tensor.
    private func damages(
        of tensor: StoredTensor, _ computed: ComputedTensor, _ values: inout ValueScan
    ) throws -> [Damage] {
        // The former values of a weight are in the same tensor of the base.
        guard tensor.group == computed.original.group else { return [] }
        if computed.hasDifferences {
            let damages = try damages(ofComputed: tensor, computed, &values)
            guard !damages.isEmpty else { return [] }
            var others = ValueScan()
            return try damagesOfBase(computed, &others) + damages
        }
        var original = ValueScan()
        let damages = try damagesOfBase(computed, &original)
        guard damages.isEmpty, !computed.isOriginal else {
            values = original
            return damages
        }
        return try self.damages(ofComputed: tensor, computed, &values)
    }

    private func damagesOfBase(_ computed: ComputedTensor, _ values: inout ValueScan) throws -> [Damage] {
        try computed.base.damages(of: computed.original, &values).map { damage in
            var damage = damage
            damage.problem += ", in the base \(computed.base.path)"
            return damage
        }
    }

    private func damages(
        ofComputed tensor: StoredTensor, _ computed: ComputedTensor, _ values: inout ValueScan
    ) throws -> [Damage] {
        var hash = SHA256()
        do {
            for range in computed.ranges(of: tensor.description.byteCount) {
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
                defer { buffer.deallocate() }
                try computed.read(range, of: self, into: buffer)
                values.add(UnsafeRawBufferPointer(buffer), as: tensor.description.elementType, &hash)
            }
        } catch CheckpointError.damaged(_, _, let problem) {
            return [damage(to: tensor, chunk: nil, problem)]
        }
        return hash.finalize() == tensor.sha256 ? [] : [wrongHash(of: tensor)]
    }

    private func damagesOfContiguous(_ tensor: StoredTensor, _ values: inout ValueScan) throws -> [Damage] {
        let step = 1 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(step, tensor.description.byteCount), alignment: 64)
        defer { buffer.deallocate() }
        var hash = SHA256()
        for start in stride(from: 0, to: tensor.description.byteCount, by: step) {
            let range = start..<min(start + step, tensor.description.byteCount)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
            do {
                try readContiguous(tensor, range: range, into: target)
            } catch CheckpointError.damaged(_, _, let problem) {
                return [damage(to: tensor, chunk: nil, problem)]
            }
            values.add(UnsafeRawBufferPointer(target), as: tensor.description.elementType, &hash)
        }
        return hash.finalize() == tensor.sha256 ? [] : [wrongHash(of: tensor)]
    }

    private func wrongHash(of tensor: StoredTensor) -> Damage {
        damage(to: tensor, chunk: nil, "its bytes do not have the recorded sha256")
    }

    func damage(to tensor: StoredTensor, chunk: Int?, _ problem: String) -> Damage {
        var offset = chunk.map { Int(tensor.chunks[$0].address) }
        if chunk == nil, case .contiguous(let address?) = tensor.storage { offset = Int(address) }
        return Damage(
            place: tensor.path, tensor: tensor.description.name, chunk: chunk, fileOffset: offset, problem: problem)
    }
}

/// A tensor that was read as float32.
package struct LoadedTensor: @unchecked Sendable {
    // Sendable because nobody writes to the values while they are verified.
    fileprivate let group: TensorGroup
    fileprivate let name: String
    private let values: UnsafeBufferPointer<Float>

    package init(_ group: TensorGroup, _ name: String, _ values: UnsafeMutableBufferPointer<Float>) {
        self.group = group
        self.name = name
        self.values = UnsafeBufferPointer(values)
    }

    /// Whether the values are the stored bytes of a tensor.
    fileprivate func holds(_ tensor: StoredTensor) -> Bool {
        tensor.description.elementType == .float32 && tensor.description.elementCount == values.count
    }

    fileprivate var hash: String {
        var hash = SHA256()
        hash.update(UnsafeRawBufferPointer(values))
        return hash.finalize()
    }
}

extension ValueScan {
    /// Takes further bytes and hashes them.
    fileprivate mutating func add(_ bytes: UnsafeRawBufferPointer, as type: ElementType, _ hash: inout SHA256) {
        hash.update(bytes)
        add(bytes, as: type)
    }
}

private final class VerifyState: Sendable {
    let found = Mutex<[Int: (damages: [Damage], values: ValueScan)]>([:])
    let done = Atomic<Int>(0)
}

import Parallel
import Synchronization

/// Which tensors of a state a delta takes from the base, stores as differences or stores whole, and where.
struct DeltaPlan: Sendable {
    /// A tensor that is stored as differences.
    struct Entry: Sendable {
        let tensor: TensorToWrite
        let old: StoredTensor
        /// The chunks of both, if they are stored in the same chunks.
        let chunks: ChunkPairs?
        let sha256: String
        /// The first row of the differences, and where in it they begin.
        fileprivate(set) var row = 0
        fileprivate(set) var column = 0
        /// Elements of a row.
        let rowElements: Int

        var elementSize: Int { tensor.description.elementType.byteCount }
        var rowCount: Int { (tensor.description.elementCount + rowElements - 1) / rowElements }
    }

    /// A row of differences: the elements of each entry in it.
    struct Row: Sendable {
        let elementSize: Int
        fileprivate(set) var parts: [(entry: Int, elements: Range<Int>, column: Int)] = []
    }

    private(set) var entries: [Entry] = []
    /// The tensors that are stored whole.
    private(set) var whole: [TensorToWrite] = []
    /// The paths of tensors of the base that the state lacks.
    private(set) var removed: [String] = []
    /// Whether the delta needs more of the base than its weights.
    private(set) var needsWholeBase = false
    /// The digest of the state.
    let digest: String
    /// All rows, by element size and then in their order.
    private(set) var rows: [Row] = []
    /// Elements of a row, by element size.
    private(set) var widths: [Int: Int] = [:]
    let logicalByteCount: Int

    init(_ tensors: [TensorToWrite], since base: CheckpointFile) throws {
        let digests = try TensorToWrite.digests(of: tensors)
        var manifest = ManifestDigest()
        var candidates: [TensorGroup: [Entry]] = [:]
        let groups = DeltaRecord.groups(of: base, isWhole: true)
        for (tensor, sha256) in zip(tensors, digests) {
            manifest.add(tensor, sha256: sha256)
            let description = tensor.description
            guard groups.contains(tensor.group), let old = base.tensor(description.name, in: tensor.group),
                old.description == description, description.elementCount > 0 || old.sha256 == sha256
            else {
                whole.append(tensor)
                continue
            }
            guard old.sha256 != sha256 else {
                needsWholeBase = needsWholeBase || tensor.group != .weights
                continue
            }
            let size = description.elementType.byteCount
            let grid = ChunkGrid(storing: description.shape, elementSize: size)
            var chunks: ChunkPairs?
            if case .copy(let file, let stored) = tensor.content { chunks = ChunkPairs((base, old), (file, stored)) }
            candidates[tensor.group, default: []].append(
                Entry(
                    tensor: tensor, old: old, chunks: chunks, sha256: sha256,
                    rowElements: grid.map { $0.chunkByteCount / size } ?? description.elementCount))
        }
        digest = manifest.value()
        logicalByteCount = tensors.reduce(0) { $0 + $1.description.byteCount }
        for group in TensorGroup.allCases {
            guard let found = candidates[group] else { continue }
            guard try Self.pays(found, base) else {
                whole += found.map(\.tensor)
                continue
            }
            needsWholeBase = needsWholeBase || group != .weights
            entries += found
        }
        let names = Set(tensors.map(\.path))
        removed = DeltaRecord.groups(of: base, isWhole: needsWholeBase).flatMap { base.tensors(in: $0) }
            .map(\.path).filter { !names.contains($0) }
        assignRows()
    }

    /// Whether differences take fewer bytes than values, by a sample of the largest tensor of a group.
    private static func pays(_ entries: [Entry], _ base: CheckpointFile) throws -> Bool {
        guard let largest = entries.max(by: { $0.tensor.description.byteCount < $1.tensor.description.byteCount })
        else { return false }
        let size = largest.elementSize
        let count = min(largest.tensor.description.elementCount, 32 << 10)
        let first = (largest.tensor.description.elementCount - count) / 2
        let range = first * size..<(first + count) * size
        let (old, new, planes, frame) = (ScratchBuffer(), ScratchBuffer(), ScratchBuffer(), ScratchBuffer())
        try base.read(largest.old, range: range, into: old.resized(to: range.count))
        try largest.tensor.read(range, into: new.resized(to: range.count))
        let (before, after) = (UnsafeRawBufferPointer(old.content), UnsafeRawBufferPointer(new.content))
        let plain = EntropyFrame().compress(
            after, elementSize: size, into: frame.resized(to: EntropyFrame.outputBound(range.count, elementSize: size)))
        let target = planes.resized(to: range.count)
        // There is at least one element.
        // swift-format-ignore: NeverForceUnwrap
        _ = BitDifferences.encode(
            from: before, to: after, elementSize: size,
            into: target.assumingMemoryBound(to: UInt8.self).baseAddress!, stride: count)
        let differences = DifferenceFrame().compress(
            UnsafeRawBufferPointer(target), planeCount: size,
            into: frame.resized(to: DifferenceFrame.outputBound(range.count, planeCount: size)))
        return differences < plain
    }

    /// Gives each tensor its rows; small tensors share them.
    private mutating func assignRows() {
        for size in DeltaRecord.elementSizes {
            let own = entries.indices.filter { entries[$0].elementSize == size }
            guard let width = own.map({ entries[$0].rowElements }).max() else { continue }
            widths[size] = width
            let start = rows.count
            for index in own where entries[index].rowCount > 1 {
                let entry = entries[index]
                entries[index].row = rows.count - start
                for row in 0..<entry.rowCount {
                    let first = row * entry.rowElements
                    let last = min(first + entry.rowElements, entry.tensor.description.elementCount)
                    rows.append(Row(elementSize: size, parts: [(index, first..<last, 0)]))
                }
            }
            var column = width
            for index in own where entries[index].rowCount == 1 {
                let count = entries[index].tensor.description.elementCount
                if column + count > width {
                    rows.append(Row(elementSize: size))
                    column = 0
                }
                entries[index].row = rows.count - 1 - start
                entries[index].column = column
                rows[rows.count - 1].parts.append((index, 0..<count, column))
                column += count
            }
        }
    }

    /// The table of the delta; `changed` are the elements of each entry that differ.
    func table(changed: [Int]) -> [DeltaRecord.Tensor] {
        zip(entries, changed).map { entry, changed in
            DeltaRecord.Tensor(
                path: entry.tensor.path, sha256: entry.sha256, changedElements: changed, row: entry.row,
                column: entry.column, rowElements: entry.rowElements)
        }
    }
}

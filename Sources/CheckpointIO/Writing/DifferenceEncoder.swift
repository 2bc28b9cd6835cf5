import Parallel
import Synchronization

/// Encodes the rows of a delta's differences on all cores, and stores them in their order.
final class DifferenceEncoder: Sendable {
    private let output: HDF5Output
    private let plan: DeltaPlan
    private let base: CheckpointFile
    private let progress: (@Sendable (Int) -> Void)?
    private let nextRow = Atomic<Int>(0)
    private let done = Atomic<Int>(0)
    private let state: Monitor<State>

    private struct State {
        /// The rows that are stored, in their order.
        var stored: [StoredChunk] = []
        /// Elements of each entry that differ.
        var changed: [Int]
        var hasFailed = false
    }

    init(
        _ output: HDF5Output, _ plan: DeltaPlan, since base: CheckpointFile, _ progress: (@Sendable (Int) -> Void)?
    ) {
        self.output = output
        self.plan = plan
        self.base = base
        self.progress = progress
        state = Monitor(State(changed: [Int](repeating: 0, count: plan.entries.count)))
    }

    /// Writes all rows, and returns the datasets and the elements of each entry that differ; called once.
    func encode() throws -> (datasets: [(String, HDF5Dataset)], changed: [Int]) {
        try ParallelWork.forEach(ParallelWork.coreCount) { _ in
            do {
                let workspace = Workspace()
                while true {
                    let row = self.nextRow.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard row < self.plan.rows.count else { return }
                    try self.encode(row, workspace)
                }
            } catch {
                // The others would wait for a row that does not come.
                self.state.update { $0.hasFailed = true }
                throw error
            }
        }
        let result = state.update { $0 }
        var datasets: [(String, HDF5Dataset)] = []
        for (size, width) in plan.widths.sorted(by: { $0.key < $1.key }) {
            let chunks = zip(plan.rows, result.stored).filter { $0.0.elementSize == size }.map(\.1)
            let grid = ChunkGrid(shape: [chunks.count, size, width], chunkShape: [1, size, width], elementSize: 1)
            datasets.append(
                (
                    DeltaRecord.differencesPath(elementSize: size),
                    HDF5Dataset(
                        type: .element(.uint8), shape: grid.shape,
                        storage: .chunked(
                            grid,
                            HDF5Filter.shuffleAndZstd(elementSize: 1, level: ZstdEffort.entropyOnly.recordedLevel),
                            chunks),
                        attributes: [])
                ))
        }
        return (datasets, result.changed)
    }

    /// Buffers of one thread.
    private final class Workspace {
        let old = ScratchBuffer()
        let new = ScratchBuffer()
        let planes = ScratchBuffer()
        let frame = ScratchBuffer()
        let encoder = DifferenceFrame()
    }

    private func encode(_ number: Int, _ workspace: Workspace) throws {
        let row = plan.rows[number]
        let (size, width) = (row.elementSize, plan.widths[row.elementSize] ?? 0)
        let planes = workspace.planes.resized(to: size * width)
        if row.parts.count > 1 || row.parts[0].elements.count < width {
            planes.initializeMemory(as: UInt8.self, repeating: 0)
        }
        var changed: [(entry: Int, elements: Int)] = []
        for part in row.parts {
            // The buffer is not empty.
            // swift-format-ignore: NeverForceUnwrap
            let target = planes.assumingMemoryBound(to: UInt8.self).baseAddress! + part.column
            let count = try encode(part.elements, of: plan.entries[part.entry], into: target, stride: width, workspace)
            changed.append((part.entry, count))
        }
        let frame = workspace.frame.resized(to: DifferenceFrame.outputBound(planes.count, planeCount: size))
        let byteCount = workspace.encoder.compress(UnsafeRawBufferPointer(planes), planeCount: size, into: frame)
        let isTurn = state.wait { state in
            state.hasFailed ? false : state.stored.count == number ? true : nil
        }
        guard isTurn else { return }
        let chunk = try output.appendChunk(UnsafeRawBufferPointer(rebasing: frame[..<byteCount]), filterMask: 0)
        state.update { state in
            state.stored.append(chunk)
            for (entry, elements) in changed { state.changed[entry] += elements }
        }
        let bytes = row.parts.reduce(0) { $0 + $1.elements.count * size }
        progress?(done.wrappingAdd(bytes, ordering: .relaxed).newValue)
    }

    /// Writes the planes of the differences of elements, and returns how many differ.
    private func encode(
        _ elements: Range<Int>, of entry: DeltaPlan.Entry, into planes: UnsafeMutablePointer<UInt8>, stride width: Int,
        _ workspace: Workspace
    ) throws -> Int {
        let size = entry.elementSize
        if let chunks = entry.chunks, case let number = elements.lowerBound / entry.rowElements,
            number < chunks.count, chunks.elements(ofChunk: number) == elements
        {
            return try chunks.withChunk(number) { content in
                switch content {
                case .alike:
                    for plane in 0..<size {
                        (planes + plane * width).initialize(repeating: 0, count: elements.count)
                    }
                    return 0
                case .different(let a, let b):
                    return BitDifferences.encode(from: a, to: b, elementSize: size, into: planes, stride: width)
                case .differentPlanes(let a, let b):
                    return BitDifferences.encode(from: a, to: b, into: planes, stride: width)
                }
            }
        }
        let range = elements.lowerBound * size..<elements.upperBound * size
        let old = workspace.old.resized(to: range.count)
        let new = workspace.new.resized(to: range.count)
        try base.read(entry.old, range: range, into: old)
        try entry.tensor.read(range, into: new)
        return BitDifferences.encode(
            from: UnsafeRawBufferPointer(old), to: UnsafeRawBufferPointer(new), elementSize: size, into: planes,
            stride: width)
    }
}

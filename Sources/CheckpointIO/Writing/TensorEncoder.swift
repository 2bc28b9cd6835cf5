import Parallel
import Synchronization

/// Encodes tensors to datasets on all cores, while another thread stores the results in the order of the plan.
///
/// Each chunk is read, hashed, shuffled and compressed in one pass while it is in cache.
final class TensorEncoder: Sendable {
    private let output: HDF5Output
    private let tensors: [TensorToWrite]
    private let plan: EncodingPlan
    private let progress: (@Sendable (Int) -> Void)?
    private let lanes: [HashLane]
    /// Results that are not stored yet; step n uses slot n modulo the number of slots.
    private let slots: [EncodedChunk]
    private let state: Monitor<State>
    private let nextStep = Atomic<Int>(0)
    private let done = Atomic<Int>(0)

    private struct State {
        /// Steps of each lane that have been filled and hashed.
        var lanePositions = [Int](repeating: 0, count: EncodingPlan.laneNumbers.count)
        /// Steps whose result is in its slot.
        var encoded: Set<Int> = []
        var storedCount = 0
        /// Tensors that are completely stored.
        var stored: [Int: EncodedTensor] = [:]
        var failure: (any Error)?

        mutating func fail(_ error: any Error) { failure = failure ?? error }
    }

    init(_ output: HDF5Output, _ tensors: [TensorToWrite], _ progress: (@Sendable (Int) -> Void)?) {
        let tensors = tensors.map(\.withStoredContent)
        self.output = output
        self.tensors = tensors
        self.progress = progress
        plan = EncodingPlan(tensors)
        lanes = EncodingPlan.laneNumbers.map { _ in HashLane() }
        // Some slack, so that no core waits while the storing thread waits for the disk.
        slots = (0..<2 * ParallelWork.coreCount + 6).map { _ in EncodedChunk() }
        state = Monitor(State())
    }

    /// The attributes of a tensor's dataset.
    static func attributes(type: ElementType, sha256: String) -> [(name: String, value: HDF5Value)] {
        [("dtype", .text(type.rawValue)), ("sha256", .text(sha256))]
    }

    /// Writes all tensors and returns the results in the given order; called once.
    func encode() throws -> [EncodedTensor] {
        let storing = try WorkerThread { self.storeAll() }
        // After a failure, which is in the state, all threads end by themselves.
        let encoding = Result { try ParallelWork.forEach(ParallelWork.coreCount) { _ in self.encodeSteps() } }
        if case .failure(let error) = encoding { stop(error) }
        storing.join()
        if let failure = state.wait(until: { .some($0.failure) }) { throw failure }
        return state.update { state in tensors.indices.compactMap { state.stored[$0] } }
    }

    /// Makes `encode` throw `error`; may be called from any thread.
    func stop(_ error: any Error) { state.update { $0.fail(error) } }

    // MARK: - On all cores

    /// Encodes two steps of the plan at a time, which are hashed together unless they are of the same lane.
    private func encodeSteps() {
        let workspace = EncodingWorkspace()
        while true {
            let first = nextStep.wrappingAdd(2, ordering: .relaxed).oldValue
            guard first < plan.steps.count else { return }
            let numbers = Array(first..<min(first + 2, plan.steps.count))
            let lanes = Set(numbers.map { plan.steps[$0].turn?.lane })
            for group in lanes.count == numbers.count ? [numbers] : numbers.map({ [$0] }) {
                guard awaitTurns(of: group) else { return }
                do {
                    try encode(group, workspace)
                } catch {
                    return state.update { $0.fail(error) }
                }
            }
        }
    }

    /// Waits for free slots and for the steps' turns in their lanes; returns false after a failure.
    private func awaitTurns(of numbers: [Int]) -> Bool {
        state.wait { state in
            if state.failure != nil { return false }
            let areReady = numbers.allSatisfy { number in
                let hasSlot = number - state.storedCount < slots.count
                return hasSlot && plan.steps[number].turn.map { state.lanePositions[$0.lane] == $0.position } ?? true
            }
            return areReady ? true : nil
        }
    }

    /// The uncompressed bytes of a chunk, or of a whole contiguous tensor.
    private struct FilledChunk {
        let number: Int
        let step: EncodingPlan.Step
        let laneNumber: Int
        let lane: HashLane
        /// The bytes that belong to the tensor.
        let content: UnsafeRawBufferPointer
        /// The same bytes followed by the chunk's padding.
        let padded: UnsafeRawBufferPointer
    }

    /// Encodes steps whose turn it is; until the lanes' positions advance, no other thread uses these lanes.
    private func encode(_ numbers: [Int], _ workspace: EncodingWorkspace) throws {
        var chunks: [FilledChunk] = []
        for number in numbers {
            let step = plan.steps[number]
            if let turn = step.turn {
                chunks.append(try fill(number, step, laneNumber: turn.lane, workspace.raw[chunks.count]))
            } else {
                try copy(step, of: tensors[step.tensor], into: slots[number % slots.count])
                state.update { _ = $0.encoded.insert(number) }
            }
        }
        if chunks.count == 2 {
            SHA256.update(&chunks[0].lane.hash, chunks[0].content, &chunks[1].lane.hash, chunks[1].content)
        } else {
            for chunk in chunks { chunk.lane.hash.update(chunk.content) }
        }
        for chunk in chunks {
            let slot = slots[chunk.number % slots.count]
            let grid = plan.grids[chunk.step.tensor]
            let isLast = chunk.step.chunk == (grid?.count ?? 1) - 1
            slot.sha256 = isLast ? try finishHash(of: tensors[chunk.step.tensor], chunk.lane) : nil
            if let grid, chunk.step.chunk == 0 {
                chunk.lane.effort = try workspace.chooseEffort(for: chunk.padded, elementSize: grid.elementSize)
            }
            slot.effort = chunk.lane.effort
        }
        state.update { state in
            for chunk in chunks { state.lanePositions[chunk.laneNumber] += 1 }
        }
        for chunk in chunks {
            try encode(chunk, into: slots[chunk.number % slots.count], workspace)
            state.update { _ = $0.encoded.insert(chunk.number) }
            progress?(done.wrappingAdd(chunk.content.count, ordering: .relaxed).newValue)
        }
    }

    private func encode(_ chunk: FilledChunk, into slot: EncodedChunk, _ workspace: EncodingWorkspace) throws {
        let tensor = tensors[chunk.step.tensor]
        slot.filterMask = 0
        guard let grid = plan.grids[chunk.step.tensor] else {
            return slot.bytes.resized(to: chunk.content.count).copyMemory(from: chunk.content)
        }
        if case .edited(let edit) = tensor.content, edit.grid(for: tensor.description) != nil,
            let kept = edit.keptChunk(chunk.step.chunk, covering: grid.byteRange(ofChunk: chunk.step.chunk))
        {
            try edit.source.readStored(kept, of: edit.stored, into: slot.bytes.resized(to: kept.byteCount))
            slot.filterMask = kept.filterMask
        } else {
            try workspace.compress(chunk.padded, elementSize: grid.elementSize, slot.effort, into: slot.bytes)
        }
    }

    /// Copies the stored form of a chunk.
    private func copy(_ step: EncodingPlan.Step, of tensor: TensorToWrite, into slot: EncodedChunk) throws {
        guard case .copy(let source, let stored) = tensor.content else { return }
        let chunk = stored.chunks[step.chunk]
        try source.readStored(chunk, of: stored, into: slot.bytes.resized(to: chunk.byteCount))
        slot.filterMask = chunk.filterMask
        slot.sha256 = stored.sha256
        let byteCount = stored.description.byteCount / stored.chunkCount
        progress?(done.wrappingAdd(byteCount, ordering: .relaxed).newValue)
    }

    /// Reads the bytes of a step into `buffer`, unless they are in memory already and need no padding.
    private func fill(
        _ number: Int, _ step: EncodingPlan.Step, laneNumber: Int, _ buffer: ScratchBuffer
    ) throws -> FilledChunk {
        let tensor = tensors[step.tensor]
        let lane = lanes[laneNumber]
        let grid = plan.grids[step.tensor]
        let range = grid?.byteRange(ofChunk: step.chunk) ?? 0..<tensor.description.byteCount
        let count = grid?.chunkByteCount ?? range.count
        if case .memory(let memory) = tensor.content, range.count == count {
            let content = UnsafeRawBufferPointer(rebasing: memory.bytes[range])
            return FilledChunk(
                number: number, step: step, laneNumber: laneNumber, lane: lane, content: content, padded: content)
        }
        let padded = buffer.resized(to: count)
        let content = UnsafeMutableRawBufferPointer(rebasing: padded[..<range.count])
        if case .copy(let source, let stored) = tensor.content, case .contiguous = stored.storage {
            // The hash is checked when the tensor is complete.
            try source.readContiguous(stored, range: range, into: content)
        } else {
            try tensor.read(range, into: content)
        }
        UnsafeMutableRawBufferPointer(rebasing: padded[range.count...]).initializeMemory(as: UInt8.self, repeating: 0)
        return FilledChunk(
            number: number, step: step, laneNumber: laneNumber, lane: lane, content: UnsafeRawBufferPointer(content),
            padded: UnsafeRawBufferPointer(padded))
    }

    private func finishHash(of tensor: TensorToWrite, _ lane: HashLane) throws -> String {
        let sha256 = lane.takeHash()
        if case .copy(let source, let stored) = tensor.content, sha256 != stored.sha256 {
            throw source.damage(to: stored, "its bytes do not have the recorded sha256")
        }
        return sha256
    }

    // MARK: - On the storing thread

    /// A tensor with some chunks in the file.
    private struct PartialTensor {
        let filters: [HDF5Filter]
        var chunks: [StoredChunk] = []
    }

    /// Stores the results in the order of the plan until all are stored or something fails.
    private func storeAll() {
        var partial: [Int: PartialTensor] = [:]
        for (number, step) in plan.steps.enumerated() {
            let goesOn: Bool = state.wait { state in
                if state.failure != nil { return false }
                return state.encoded.contains(number) ? true : nil
            }
            guard goesOn else { return }
            let slot = slots[number % slots.count]
            do {
                let storage = try store(slot, step, &partial)
                state.update { state in
                    if let storage, let sha256 = slot.sha256 {
                        state.stored[step.tensor] = EncodedTensor(sha256: sha256, storage: storage)
                    }
                    state.encoded.remove(number)
                    state.storedCount += 1
                }
            } catch {
                return stop(error)
            }
        }
    }

    /// Stores the result of a step; returns the tensor's layout after its last step, and nil before.
    private func store(
        _ slot: EncodedChunk, _ step: EncodingPlan.Step, _ partial: inout [Int: PartialTensor]
    ) throws -> StoredLayout? {
        let bytes = UnsafeRawBufferPointer(slot.bytes.content)
        guard let grid = plan.grids[step.tensor] else { return try output.appendContiguous(bytes) }
        var tensor =
            partial.removeValue(forKey: step.tensor)
            ?? PartialTensor(filters: filters(of: tensors[step.tensor], slot.effort))
        tensor.chunks.append(try output.appendChunk(bytes, filterMask: slot.filterMask))
        if step.chunk == grid.count - 1 { return .chunked(grid, tensor.filters, tensor.chunks) }
        partial[step.tensor] = tensor
        return nil
    }

    private func filters(of tensor: TensorToWrite, _ effort: ZstdEffort) -> [HDF5Filter] {
        if case .copy(_, let stored) = tensor.content, case .chunked(_, let filters) = stored.storage { return filters }
        if case .edited(let edit) = tensor.content, edit.grid(for: tensor.description) != nil,
            case .chunked(_, let filters) = edit.stored.storage
        {
            return filters
        }
        return HDF5Filter.shuffleAndZstd(
            elementSize: tensor.description.elementType.byteCount, level: effort.recordedLevel)
    }
}

/// A stored tensor: the hash of its uncompressed bytes, and its layout in the file.
struct EncodedTensor: Sendable {
    var sha256: String
    var storage: StoredLayout
}

/// Hash and compression effort of the current tensor of a lane, whose tensors are hashed one after the other.
private final class HashLane: @unchecked Sendable {
    // Sendable because only the thread whose turn it is uses a lane, and turns pass under the monitor's lock.
    var hash = SHA256()
    var effort = ZstdEffort.entropyOnly

    /// Finishes the hash of the current tensor and starts that of the next.
    func takeHash() -> String {
        var finished = SHA256()
        swap(&finished, &hash)
        return finished.finalize()
    }
}

/// The result of a step, on its way to the storing thread.
private final class EncodedChunk: @unchecked Sendable {
    // Sendable because the monitor passes it from the encoding thread to the storing one.
    let bytes = ScratchBuffer()
    var filterMask: UInt32 = 0
    var effort = ZstdEffort.entropyOnly
    /// The hash of the whole tensor, set by its last step (and by every step of a copy).
    var sha256: String?
}

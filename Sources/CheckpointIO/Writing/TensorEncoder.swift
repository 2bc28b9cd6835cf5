import Parallel
import Synchronization

/// Turns tensors into datasets: fills, hashes, shuffles and compresses on all cores, a chunk at a time while it is in
/// cache; one more thread stores the results in the order of the plan.
final class TensorEncoder: Sendable {
    private let output: HDF5Output
    private let tensors: [TensorToWrite]
    private let plan: EncodingPlan
    private let progress: (@Sendable (Int) -> Void)?
    private let lanes: [Lane]
    /// Results on their way to the file; step n uses place n modulo their number.
    private let places: [EncodedChunk]
    private let state: Monitor<State>
    private let nextStep = Atomic<Int>(0)
    private let done = Atomic<Int>(0)

    private struct State {
        /// Steps of each lane that have been filled and hashed.
        var lanePositions = [Int](repeating: 0, count: EncodingPlan.laneNumbers.count)
        /// Steps whose result waits in its place.
        var encoded: Set<Int> = []
        var storedCount = 0
        /// Tensors of which all is in the file.
        var stored: [Int: EncodedTensor] = [:]
        var failure: (any Error)?

        mutating func fail(_ error: any Error) { failure = failure ?? error }
    }

    init(_ output: HDF5Output, _ tensors: [TensorToWrite], _ progress: (@Sendable (Int) -> Void)?) {
        self.output = output
        self.tensors = tensors
        self.progress = progress
        plan = EncodingPlan(tensors)
        lanes = EncodingPlan.laneNumbers.map { _ in Lane() }
        // Some slack, so that no core waits while the one that stores waits for the disk.
        places = (0..<2 * ParallelWork.coreCount + 6).map { _ in EncodedChunk() }
        state = Monitor(State())
    }

    /// The attributes every tensor has.
    static func attributes(type: ElementType, sha256: String) -> [(name: String, value: HDF5Value)] {
        [("dtype", .text(type.rawValue)), ("sha256", .text(sha256))]
    }

    /// Writes all tensors. Called once.
    /// - Returns: what became of each, in the order given.
    func encode() throws -> [EncodedTensor] {
        let storing = try WorkerThread { self.storeAll() }
        // The threads end by themselves after a failure, which is in the state.
        let encoding = Result { try ParallelWork.forEach(ParallelWork.coreCount) { _ in self.encodeSteps() } }
        if case .failure(let error) = encoding { stop(error) }
        storing.join()
        if let failure = state.wait(until: { .some($0.failure) }) { throw failure }
        return state.update { state in tensors.indices.map { state.stored[$0]! } }
    }

    /// Ends `encode`, which then throws `error`. From any thread.
    func stop(_ error: any Error) { state.update { $0.fail(error) } }

    // MARK: - On all cores

    /// Takes two steps of the plan at a time: of two lanes, as a rule, which are hashed together.
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

    /// Waits for places for the results, and until the steps' tensors are hashed as far as these chunks.
    /// - Returns: whether to go on.
    private func awaitTurns(of numbers: [Int]) -> Bool {
        state.wait { state in
            if state.failure != nil { return false }
            let areReady = numbers.allSatisfy { number in
                let hasPlace = number - state.storedCount < places.count
                return hasPlace && plan.steps[number].turn.map { state.lanePositions[$0.lane] == $0.position } ?? true
            }
            return areReady ? true : nil
        }
    }

    /// A chunk, or a whole tensor that is stored as it is, on its way.
    private struct Part {
        let number: Int
        let step: EncodingPlan.Step
        let laneNumber: Int
        let lane: Lane
        /// What there is of it in the tensor.
        let content: UnsafeRawBufferPointer
        /// The same with padding.
        let chunk: UnsafeRawBufferPointer
    }

    /// Until it passes its turn on, this thread alone has the lane of a step.
    private func encode(_ numbers: [Int], _ workspace: EncodingWorkspace) throws {
        var parts: [Part] = []
        for number in numbers {
            let step = plan.steps[number]
            if let turn = step.turn {
                parts.append(try fill(number, step, laneNumber: turn.lane, workspace.raw[parts.count]))
            } else {
                try copy(step, of: tensors[step.tensor], into: places[number % places.count])
                state.update { _ = $0.encoded.insert(number) }
            }
        }
        if parts.count == 2 {
            SHA256.update(&parts[0].lane.hash, parts[0].content, &parts[1].lane.hash, parts[1].content)
        } else {
            for part in parts { part.lane.hash.update(part.content) }
        }
        for part in parts {
            let place = places[part.number % places.count]
            let grid = plan.grids[part.step.tensor]
            let isLast = part.step.chunk == (grid?.count ?? 1) - 1
            place.sha256 = isLast ? try finishHash(of: tensors[part.step.tensor], part.lane) : nil
            if let grid, part.step.chunk == 0 {
                part.lane.effort = try workspace.chooseEffort(for: part.chunk, elementSize: grid.elementSize)
            }
            place.effort = part.lane.effort
        }
        state.update { state in
            for part in parts { state.lanePositions[part.laneNumber] += 1 }
        }
        for part in parts {
            try encode(part, into: places[part.number % places.count], workspace)
            state.update { _ = $0.encoded.insert(part.number) }
            progress?(done.wrappingAdd(part.content.count, ordering: .relaxed).newValue)
        }
    }

    private func encode(_ part: Part, into place: EncodedChunk, _ workspace: EncodingWorkspace) throws {
        let tensor = tensors[part.step.tensor]
        place.filterMask = 0
        guard let grid = plan.grids[part.step.tensor] else {
            return place.bytes.resized(to: part.content.count).copyMemory(from: part.content)
        }
        if case .edited(let edit) = tensor.content, edit.grid(for: tensor.description) != nil,
            let kept = edit.keptChunk(part.step.chunk, covering: grid.byteRange(ofChunk: part.step.chunk))
        {
            try edit.source.readStored(kept, of: edit.stored, into: place.bytes.resized(to: kept.byteCount))
            place.filterMask = kept.filterMask
        } else {
            try workspace.compress(part.chunk, elementSize: grid.elementSize, place.effort, into: place.bytes)
        }
    }

    /// Takes over the stored form of a chunk.
    private func copy(_ step: EncodingPlan.Step, of tensor: TensorToWrite, into place: EncodedChunk) throws {
        guard case .copy(let source, let stored) = tensor.content else { return }
        let chunk = stored.chunks[step.chunk]
        try source.readStored(chunk, of: stored, into: place.bytes.resized(to: chunk.byteCount))
        place.filterMask = chunk.filterMask
        place.sha256 = stored.sha256
        let byteCount = stored.description.byteCount / stored.chunkCount
        progress?(done.wrappingAdd(byteCount, ordering: .relaxed).newValue)
    }

    /// Has the bytes of a step at hand, in `buffer` where they are not in memory, or are to be padded.
    private func fill(_ number: Int, _ step: EncodingPlan.Step, laneNumber: Int, _ buffer: ScratchBuffer) throws -> Part
    {
        let tensor = tensors[step.tensor]
        let lane = lanes[laneNumber]
        let grid = plan.grids[step.tensor]
        let range = grid?.byteRange(ofChunk: step.chunk) ?? 0..<tensor.description.byteCount
        let count = grid?.chunkByteCount ?? range.count
        if case .memory(let memory) = tensor.content, range.count == count {
            let content = UnsafeRawBufferPointer(rebasing: memory.bytes[range])
            return Part(
                number: number, step: step, laneNumber: laneNumber, lane: lane, content: content, chunk: content)
        }
        let chunk = buffer.resized(to: count)
        let content = UnsafeMutableRawBufferPointer(rebasing: chunk[..<range.count])
        if !range.isEmpty {
            switch tensor.content {
            case .bytes(let fill): try fill(range, content)
            case .edited(let edit): try edit.fill(range, content)
            case .memory(let memory): content.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory.bytes[range]))
            case .copy(let source, let stored): try source.readContiguous(stored, range: range, into: content)
            }
        }
        UnsafeMutableRawBufferPointer(rebasing: chunk[range.count...]).initializeMemory(as: UInt8.self, repeating: 0)
        return Part(
            number: number, step: step, laneNumber: laneNumber, lane: lane, content: UnsafeRawBufferPointer(content),
            chunk: UnsafeRawBufferPointer(chunk))
    }

    private func finishHash(of tensor: TensorToWrite, _ lane: Lane) throws -> String {
        let sha256 = lane.takeHash()
        if case .copy(let source, let stored) = tensor.content, sha256 != stored.sha256 {
            throw source.damage(to: stored, "its bytes do not have the recorded sha256")
        }
        return sha256
    }

    // MARK: - On the thread that stores

    /// Of a tensor of which some chunks are in the file.
    private struct Begun {
        let filters: [HDF5Filter]
        var chunks: [StoredChunk] = []
    }

    /// Stores the results in order until all are stored or something fails.
    private func storeAll() {
        var begun: [Int: Begun] = [:]
        for (number, step) in plan.steps.enumerated() {
            let goesOn: Bool = state.wait { state in
                if state.failure != nil { return false }
                return state.encoded.contains(number) ? true : nil
            }
            guard goesOn else { return }
            let place = places[number % places.count]
            do {
                let storage = try store(place, step, &begun)
                state.update { state in
                    if let storage, let sha256 = place.sha256 {
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

    /// - Returns: where the tensor is, with its last step.
    private func store(
        _ place: EncodedChunk, _ step: EncodingPlan.Step, _ begun: inout [Int: Begun]
    ) throws -> StoredLayout? {
        let bytes = UnsafeRawBufferPointer(place.bytes.content)
        guard let grid = plan.grids[step.tensor] else { return try output.appendContiguous(bytes) }
        var tensor =
            begun.removeValue(forKey: step.tensor) ?? Begun(filters: filters(of: tensors[step.tensor], place.effort))
        tensor.chunks.append(try output.appendChunk(bytes, filterMask: place.filterMask))
        if step.chunk == grid.count - 1 { return .chunked(grid, tensor.filters, tensor.chunks) }
        begun[step.tensor] = tensor
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

/// What became of a tensor: the hash of its logical bytes, and where they are.
struct EncodedTensor: Sendable {
    var sha256: String
    var storage: StoredLayout
}

/// A part of the plan whose tensors are hashed one after the other. Whoever has the turn may use it.
private final class Lane: @unchecked Sendable {
    // Sendable because the turn is passed on under the monitor's lock.
    var hash = SHA256()
    var effort = ZstdEffort.entropyOnly

    /// The hash of the tensor that ends here; the next one starts anew.
    func takeHash() -> String {
        var finished = SHA256()
        swap(&finished, &hash)
        return finished.finalize()
    }
}

/// What one step leaves for the thread that stores.
private final class EncodedChunk: @unchecked Sendable {
    // Sendable because a place belongs to the thread that encodes, then to the one that stores, as the monitor tells.
    let bytes = ScratchBuffer()
    var filterMask: UInt32 = 0
    var effort = ZstdEffort.entropyOnly
    /// Of the whole tensor, with its last step (with every step of a copy).
    var sha256: String?
}

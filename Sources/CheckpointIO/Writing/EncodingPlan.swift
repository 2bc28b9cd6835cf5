/// In which order the chunks of a checkpoint's tensors are encoded and stored.
///
/// Tensors are dealt to a few lanes, the largest first; the order takes a chunk from each lane in turn. So several cores
/// find work in tensors that must each be hashed from front to back, few chunks are in flight, and a file's bytes depend
/// neither on the number of cores nor on their timing. Chunks that are copied as they are cost the disk time but not the
/// cores; they are strewn evenly among the others.
struct EncodingPlan: Sendable {
    /// Enough for hashing to keep up with any disk: a core hashes about 1.5 GB/s.
    static let laneCount = 4

    /// A chunk, or a whole tensor that is stored as it is.
    struct Step: Sendable {
        var tensor: Int
        var chunk: Int
        /// nil for a chunk that is copied: it waits for no other.
        var turn: Turn?
    }

    /// A step's place in the order of its lane.
    struct Turn: Sendable {
        var lane: Int
        /// How many steps of the lane come before.
        var position: Int
    }

    /// How each tensor is stored, in the order given; nil where it is not cut into chunks.
    let grids: [ChunkGrid?]
    let steps: [Step]

    init(_ tensors: [TensorToWrite]) {
        let grids = tensors.map(Self.grid)
        let order = tensors.indices.sorted {
            (tensors[$1].description.byteCount, $0) < (tensors[$0].description.byteCount, $1)
        }
        var copied: [Step] = []
        var lanes = [[Step]](repeating: [], count: Self.laneCount)
        for tensor in order {
            let chunks = 0..<(grids[tensor]?.count ?? 1)
            if case .copy(_, let stored) = tensors[tensor].content, case .chunked = stored.storage {
                copied += chunks.map { Step(tensor: tensor, chunk: $0) }
                continue
            }
            let lane = lanes.indices.min { (lanes[$0].count, $0) < (lanes[$1].count, $1) } ?? 0
            for chunk in chunks {
                let turn = Turn(lane: lane, position: lanes[lane].count)
                lanes[lane].append(Step(tensor: tensor, chunk: chunk, turn: turn))
            }
        }
        var encoded: [Step] = []
        for position in 0..<(lanes.map(\.count).max() ?? 0) {
            for lane in lanes where position < lane.count { encoded.append(lane[position]) }
        }
        self.grids = grids
        steps = Self.mixed(encoded, copied)
    }

    /// Both sequences in one, each at an even rate, two steps at a time: two that are hashed stay together.
    private static func mixed(_ first: [Step], _ second: [Step]) -> [Step] {
        var steps: [Step] = []
        steps.reserveCapacity(first.count + second.count)
        var (taken, other) = (0, 0)
        while taken < first.count || other < second.count {
            if other == second.count || taken < first.count && taken * second.count <= other * first.count {
                let end = min(taken + 2, first.count)
                steps += first[taken..<end]
                taken = end
            } else {
                let end = min(other + 2, second.count)
                steps += second[other..<end]
                other = end
            }
        }
        return steps
    }

    private static func grid(of tensor: TensorToWrite) -> ChunkGrid? {
        if case .copy(_, let stored) = tensor.content, case .chunked(let grid, _) = stored.storage { return grid }
        if case .edited(let edit) = tensor.content, let grid = edit.grid(for: tensor.description) { return grid }
        let type = tensor.description.elementType
        return ChunkGrid(storing: tensor.description.shape, elementSize: type.byteCount)
    }
}

extension ChunkGrid {
    /// How a dataset of this shape is cut, or nil where it is small enough to be stored as it is.
    init?(storing shape: [Int], elementSize: Int) {
        let byteCount = shape.reduce(elementSize, *)
        guard !shape.isEmpty, byteCount > CheckpointLayout.contiguousLimit else { return nil }
        self.init(cutting: shape, elementSize: elementSize)
    }
}

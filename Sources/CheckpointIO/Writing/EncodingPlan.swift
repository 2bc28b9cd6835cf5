/// In which order the chunks of a checkpoint's tensors are encoded and stored.
///
/// Tensors are dealt to a few lanes, the largest first; the order takes a chunk from each lane in turn. So several cores
/// find work in tensors that must each be hashed from front to back, few chunks are in flight, and a file's bytes depend
/// neither on the number of cores nor on their timing. Tensors of one step have lanes of their own and are strewn evenly
/// among the others: they cost the thread that stores them more than the cores, which many in a row would keep waiting.
/// So are chunks that are copied as they are, which cost the disk time but not the cores.
struct EncodingPlan: Sendable {
    /// Of tensors of several steps, and of those of one. Enough for hashing to keep up with any disk: a core hashes about
    /// 1.5 GB/s.
    private static let laneCount = 4
    /// Of both kinds.
    static let laneNumbers = 0..<2 * laneCount

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
        var copied: [[Step]] = []
        var (long, short): ([[Step]], [[Step]]) = ([], [])
        for tensor in order {
            let steps = (0..<(grids[tensor]?.count ?? 1)).map { Step(tensor: tensor, chunk: $0) }
            if case .copy(_, let stored) = tensors[tensor].content, case .chunked = stored.storage {
                copied.append(steps)
            } else if steps.count > 1 {
                long.append(steps)
            } else {
                short.append(steps)
            }
        }
        self.grids = grids
        let lanes = 0..<Self.laneCount
        let encoded = Self.mixed(Self.dealt(long, lanes), Self.dealt(short, lanes.count..<2 * lanes.count))
        steps = Self.mixed(encoded, copied.flatMap { $0 })
    }

    /// Deals tensors to lanes, each to the one that has least, and takes a step of each lane in turn.
    private static func dealt(_ tensors: [[Step]], _ numbers: Range<Int>) -> [Step] {
        var lanes = [[Step]](repeating: [], count: numbers.count)
        for steps in tensors {
            let lane = lanes.indices.min { (lanes[$0].count, $0) < (lanes[$1].count, $1) } ?? 0
            for var step in steps {
                step.turn = Turn(lane: numbers.lowerBound + lane, position: lanes[lane].count)
                lanes[lane].append(step)
            }
        }
        var steps: [Step] = []
        for position in 0..<(lanes.map(\.count).max() ?? 0) {
            for lane in lanes where position < lane.count { steps.append(lane[position]) }
        }
        return steps
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

/// The order in which the chunks of a checkpoint's tensors are encoded and stored.
///
/// Tensors are distributed over a few lanes, the largest first, and the order takes a chunk from each lane in turn.
/// Each tensor must be hashed sequentially, so lanes give work to several cores while few chunks are in flight. The
/// bytes of the file depend neither on the number of cores nor on their timing.
///
/// Tensors of a single step, and chunks that are copied, are spread evenly among the others: they keep the storing
/// thread or the disk busy but not the cores, which would have to wait if many came in a row.
struct EncodingPlan: Sendable {
    /// The number of lanes for tensors of several steps, and again for tensors of one step.
    ///
    /// A core hashes about 1.5 GB/s, so this keeps up with any disk.
    private static let laneCount = 4
    /// The lanes of both kinds.
    static let laneNumbers = 0..<2 * laneCount

    /// The encoding of a chunk, or of a whole contiguous tensor.
    struct Step: Sendable {
        var tensor: Int
        var chunk: Int
        /// The step's turn in its lane; nil for a copied chunk, which does not wait for others.
        var turn: Turn?
    }

    /// A position in a lane.
    struct Turn: Sendable {
        var lane: Int
        /// The number of earlier steps in the lane.
        var position: Int
    }

    /// The chunks of each tensor, in the given order; nil for contiguous tensors.
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

    /// Assigns each tensor to the lane with the fewest steps, and takes a step from each lane in turn.
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

    /// Interleaves two sequences evenly, two steps at a time, so that steps hashed together stay together.
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
    /// The chunks of a dataset of this shape, or nil if it is small enough to be stored contiguously.
    init?(storing shape: [Int], elementSize: Int) {
        let byteCount = shape.reduce(elementSize, *)
        guard !shape.isEmpty, byteCount > CheckpointLayout.contiguousLimit else { return nil }
        self.init(cutting: shape, elementSize: elementSize)
    }
}

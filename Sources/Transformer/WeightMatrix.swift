import Parallel

/// A matrix of weights `[rows, columns]`, in float32 or bfloat16, somewhere in a model's flat memory.
struct WeightMatrix {
    enum Storage {
        case float32(Floats)
        case bfloat16(UnsafePointer<UInt16>)
    }

    let storage: Storage
    let rows: Int
    let columns: Int
    /// What it is multiplied in.
    var precision = ProductPrecision.fp32

    /// Both as one matrix, where `next` begins in memory at this one's end.
    func joined(with next: WeightMatrix) -> WeightMatrix? {
        guard columns == next.columns else { return nil }
        switch (storage, next.storage) {
        case (.float32(let a), .float32(let b)) where a + rows * columns == b: break
        case (.bfloat16(let a), .bfloat16(let b)) where a + rows * columns == b: break
        default: return nil
        }
        return WeightMatrix(storage: storage, rows: rows + next.rows, columns: columns, precision: precision)
    }

    /// y[count, rows] = x[count, columns] Wᵀ (+ y where `adding`).
    func apply(
        _ team: ThreadTeam, _ count: Int, _ x: UnsafePointer<Float>, into y: Floats, stride: Int, adding: Bool = false
    ) {
        switch storage {
        case .float32(let weights):
            MatrixProduct.timesTransposed(
                team, count, rows, columns, x, columns, weights, columns, y, stride, adding: adding,
                precision: precision)
        case .bfloat16(let weights):
            BFloat16Product.timesTransposed(
                team, count, rows, columns, x, columns, weights, y, stride, adding: adding, precision: precision)
        }
    }

    /// dx[count, columns] = dy[count, rows] W (+ dx where `adding`).
    func carryBack(
        _ team: ThreadTeam, _ count: Int, dy: UnsafePointer<Float>, stride: Int, into dx: Floats, adding: Bool = false
    ) {
        MatrixProduct.times(
            team, count, columns, rows, dy, stride, floats, columns, dx, columns, adding: adding, precision: precision)
    }

    /// With `self` the gradient of a matrix: dW += dyᵀ x, for dy[count, rows] and x[count, columns].
    func accumulate(_ team: ThreadTeam, _ count: Int, dy: UnsafePointer<Float>, stride: Int, x: UnsafePointer<Float>) {
        MatrixProduct.transposedTimes(
            team, rows, columns, count, dy, stride, x, columns, floats, columns, adding: true, precision: precision)
    }

    /// Row `row` as float32.
    @inline(__always)
    func copyRow(_ row: Int, to target: Floats) {
        switch storage {
        case .float32(let weights): target.update(from: weights + row * columns, count: columns)
        case .bfloat16(let weights): BFloat16Product.widen(weights + row * columns, into: target, columns)
        }
    }

    /// The numbers for training, which float32 alone supports.
    var floats: Floats {
        guard case .float32(let weights) = storage else {
            preconditionFailure("a model of compact parameters scores and generates, but does not train")
        }
        return weights
    }
}

/// Where a decoder finds its parameters by name.
protocol ParameterStore {
    var configuration: ModelConfiguration { get }
    /// A norm's or bias's numbers; nil where the configuration has no such parameter.
    func vector(_ name: String) -> Floats?
    func matrix(_ name: String) -> WeightMatrix?
}

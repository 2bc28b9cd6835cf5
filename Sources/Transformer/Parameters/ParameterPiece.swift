import Parallel

/// Whole rows of one parameter, with about `elements` elements: the unit of sums over all parameters, and of what
/// processes share.
package struct ParameterPiece: Sendable {
    /// The index of the parameter in the layout.
    package let parameter: Int
    /// The rows of the buffer; norms and biases are one row.
    package let rows: Range<Int>
    /// Whether the elements are in float32, and not in bfloat16.
    package let isWide: Bool
    /// The place of the elements in the buffer of their number format.
    package let place: Range<Int>

    /// Elements of a piece, unless a single row has more.
    static let elements = 1 << 16
}

extension ModelParameters {
    /// All elements in pieces, in the order of the layout.
    package var pieces: [ParameterPiece] {
        var pieces: [ParameterPiece] = []
        // The ends of what is in float32 and in bfloat16.
        var (wide, narrow) = (0, 0)
        for (index, parameter) in layout.enumerated() {
            let isWide = precision == .fp32 || !parameter.isMatrix
            let columns = max(1, parameter.shape.last ?? 1)
            let step = max(1, ParameterPiece.elements / columns)
            let start = isWide ? wide : narrow
            let rows = parameter.elementCount / columns
            for first in stride(from: 0, to: rows, by: step) {
                let own = first..<min(rows, first + step)
                pieces.append(
                    ParameterPiece(
                        parameter: index, rows: own, isWide: isWide,
                        place: start + own.lowerBound * columns..<start + own.upperBound * columns))
            }
            if isWide { wide += parameter.elementCount } else { narrow += parameter.elementCount }
        }
        return pieces
    }

    /// The sum of squares of each piece in double precision, of these elements or of what they have beyond `part`.
    package func squareSums(_ pieces: [ParameterPiece], minus part: ModelParameters? = nil) -> [Double] {
        let most = pieces.reduce(1) { max($0, $1.place.count) }
        var sums = [Double](repeating: 0, count: pieces.count)
        sums.withUnsafeMutableBufferPointer { sums in
            nonisolated(unsafe) let target = sums
            ThreadTeam.everyone.split(pieces.count, grain: 4) { indices, _ in
                let scratch = Floats.allocate(capacity: 2 * most)
                defer { scratch.deallocate() }
                for index in indices {
                    let piece = pieces[index]
                    var values = floats(of: piece, scratch)
                    if let part {
                        let others = part.floats(of: piece, scratch + most)
                        for i in 0..<piece.place.count { scratch[i] = values[i] - others[i] }
                        values = scratch
                    }
                    target[index] = VectorMath.sumOfSquares(values, piece.place.count)
                }
            }
        }
        return sums
    }

    /// The elements of a piece, which `scratch` holds if they are in bfloat16.
    private func floats(of piece: ParameterPiece, _ scratch: Floats) -> Floats {
        if piece.isWide { return start + piece.place.lowerBound }
        if let halves = halves.baseAddress {
            BFloat16.widen(halves + piece.place.lowerBound, into: scratch, piece.place.count)
        }
        return scratch
    }

    /// Copies the weights that pieces of this buffer, which is one of gradients, belong to.
    package func copy(_ pieces: [ParameterPiece], from weights: ModelParameters) {
        forEachRow(pieces, of: weights) { own, weight, count in own.copyMemory(from: weight, byteCount: count) }
    }

    /// Copies pieces of this buffer to the weights that they belong to.
    package func copy(_ pieces: [ParameterPiece], to weights: ModelParameters) {
        forEachRow(pieces, of: weights) { own, weight, count in weight.copyMemory(from: own, byteCount: count) }
    }

    private func forEachRow(
        _ pieces: [ParameterPiece], of weights: ModelParameters,
        _ body: (_ own: UnsafeMutableRawPointer, _ weight: UnsafeMutableRawPointer, _ byteCount: Int) -> Void
    ) {
        withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let body = body
            ThreadTeam.everyone.forEach(pieces.count) { index, _ in
                let piece = pieces[index]
                let parameter = layout[piece.parameter]
                guard let own = firstRow(parameter.name), let weight = weights.firstRow(parameter.name) else { return }
                let columns = max(1, parameter.shape.last ?? 1)
                let chosen = weights.rows[parameter.name] == nil ? rows[parameter.name] : nil
                for row in piece.rows {
                    let place = chosen.map { $0[row] } ?? row
                    let (from, to) = (own.advanced(by: row * columns), weight.advanced(by: place * columns))
                    body(from.address, to.address, columns * from.elementBytes)
                }
            }
        }
    }
}

extension NumberRow {
    fileprivate var address: UnsafeMutableRawPointer {
        switch self {
        case .float32(let floats): UnsafeMutableRawPointer(floats)
        case .bfloat16(let halves): UnsafeMutableRawPointer(halves)
        }
    }

    fileprivate var elementBytes: Int { if case .float32 = self { 4 } else { 2 } }
}

/// The Euclidean norm of all gradients, or of `gradients` − `part`, summed in double precision in a fixed order.
public func gradientNorm(_ gradients: ModelParameters, minus part: ModelParameters? = nil) -> Double {
    gradients.squareSums(gradients.pieces, minus: part).reduce(0, +).squareRoot()
}

/// The part of the trained parameters whose moments this process holds and which it updates, where processes share them
/// (ZeRO stage 1: Rajbhandari et al., 2020, arXiv 1910.02054).
package struct OptimizerShard: Sendable {
    /// The pieces of each shard, in order.
    package let pieces: [[ParameterPiece]]
    /// The number of the shard of this process.
    package let index: Int
    /// The first element of each shard in the buffer of float32 and in that of bfloat16, and their ends.
    package let cuts: (floats: [Int], halves: [Int])
    /// The rows of this shard, by parameter.
    package let rows: [String: Range<Int>]

    /// Cuts what `gradients` hold into `count` shards of about equal size.
    package init(_ gradients: ModelParameters, count: Int, index: Int) {
        let all = gradients.pieces
        let total = max(1, all.reduce(0) { $0 + $1.place.count })
        var pieces = [[ParameterPiece]](repeating: [], count: count)
        var before = 0
        for piece in all {
            let middle = before + piece.place.count / 2
            pieces[min(count - 1, middle * count / total)].append(piece)
            before += piece.place.count
        }
        self.pieces = pieces
        self.index = index
        func cuts(isWide: Bool, _ end: Int) -> [Int] {
            var starts = [end]
            for shard in pieces.reversed() {
                starts.append(shard.first { $0.isWide == isWide }?.place.lowerBound ?? starts[starts.count - 1])
            }
            return starts.reversed()
        }
        self.cuts = (cuts(isWide: true, gradients.values.count), cuts(isWide: false, gradients.halves.count))
        var rows: [String: Range<Int>] = [:]
        for piece in pieces[index] {
            let name = gradients.layout[piece.parameter].name
            rows[name] = (rows[name]?.lowerBound ?? piece.rows.lowerBound)..<piece.rows.upperBound
        }
        self.rows = rows
    }

    /// The pieces of this process.
    package var own: [ParameterPiece] { pieces[index] }
    /// The pieces of all other processes.
    package var others: [ParameterPiece] { pieces.indices.filter { $0 != index }.flatMap { pieces[$0] } }

    /// What this process has of a layout.
    func part(of trained: TrainedLayout) -> TrainedLayout {
        TrainedLayout(
            parameters: trained.parameters.compactMap { parameter in
                guard let rows = rows[parameter.name] else { return nil }
                var part = parameter
                if parameter.shape.count > 1 { part.shape[0] = rows.count }
                return part
            }, rows: [:])
    }
}

import CKernels
import Parallel

/// c[m, n] = a b + (adding ? c : 0) for large matrices, on all threads (docs/engine.md has the rates).
///
/// OpenBLAS, called by each thread for its share, packs one factor once a thread; here the team packs both once, then
/// takes tiles of the result from a list, so that none waits long for another. A sum has its terms in an order that
/// depends on k alone. Blocks in the manner of Goto and van de Geijn, "Anatomy of High-Performance Matrix
/// Multiplication" (2008).
package enum PackedProduct {
    /// A factor as it lies in memory, and whether it is to be transposed.
    struct Factor {
        var elements: UnsafePointer<Float>
        var stride: Int
        var isTransposed: Bool

        init(_ elements: UnsafePointer<Float>, _ stride: Int, isTransposed: Bool = false) {
            self.elements = elements
            self.stride = stride
            self.isTransposed = isTransposed
        }

        /// From element (row, column) of the factor on.
        func from(_ row: Int, _ column: Int) -> UnsafePointer<Float> {
            elements + (isTransposed ? column * stride + row : row * stride + column)
        }
    }

    /// The factor on the right: weights may be in bfloat16.
    enum RightFactor {
        case float32(Factor)
        /// The transpose of a matrix `[columns, terms]`.
        case bfloat16Transposed(UnsafePointer<UInt16>, stride: Int)
    }

    /// Kernels of one precision, with sizes of tiles that suit them.
    struct Kernels: Sendable {
        // Constants of the program.
        private nonisolated(unsafe) let table: UnsafePointer<ckpt_product_kernels>
        /// Rows and columns of a tile in registers, and terms of a sum in a word of 32 bits.
        let rows: Int
        let columns: Int
        let terms: Int

        init?(_ table: UnsafePointer<ckpt_product_kernels>?) {
            guard let table else { return nil }
            self.table = table
            rows = table.pointee.rows
            columns = table.pointee.columns
            terms = table.pointee.terms
        }

        /// Words of so many terms.
        func words(_ count: Int) -> Int { (count + terms - 1) / terms }

        func packLeft(_ rows: Int, _ k: Int, _ a: Factor, _ row: Int, _ term: Int, into packed: Floats) {
            table.pointee.pack_left(rows, k, a.from(row, term), a.stride, a.isTransposed ? 1 : 0, packed)
        }

        func packRight(_ columns: Int, _ k: Int, _ b: RightFactor, _ term: Int, _ column: Int, into packed: Floats) {
            switch b {
            case .float32(let b):
                table.pointee.pack_right(columns, k, b.from(term, column), b.stride, b.isTransposed ? 1 : 0, packed)
            case .bfloat16Transposed(let elements, let stride):
                table.pointee.pack_right_compact(columns, k, elements + (column * stride + term), stride, packed)
            }
        }

        func multiply(
            _ m: Int, _ n: Int, _ k: Int, _ left: Floats, _ right: Floats, _ c: Floats, _ ldc: Int, adding: Bool
        ) {
            table.pointee.multiply(m, n, k, left, right, c, ldc, adding ? 1 : 0)
        }
    }

    /// Words of a sum in one go: the fewer passes over the result, the better, as long as a panel of the right factor
    /// comes from the second cache.
    private static let depth = 576
    /// Rows and columns of a tile, whose left factor stays in the second cache.
    private static let tileRows = 96
    private static let tileColumns = 288
    /// Of the result and the sums, what is packed at once.
    private static let mostRows = 3072
    private static let mostColumns = 4032
    private static let mostWords = 3 * depth
    /// Fewer rows meet the weights as they come (`FewRowsProduct`), or stay with OpenBLAS.
    static let leastRows = 9
    /// Up to so many rows threads pack the columns they multiply for themselves.
    private static let fewRows = 192
    /// Columns that a thread then takes at a time.
    private static let stripeColumns = 96

    private static let float32 = Kernels(ckpt_product_kernels())
    private static let bfloat16 = Kernels(ckpt_bfloat16_product_kernels())
    private static let scratch = SharedScratch()

    /// What multiplies with this precision on this processor, if anything does.
    static func kernels(_ precision: ProductPrecision) -> Kernels? { precision == .bf16 ? bfloat16 : float32 }

    /// Kernels for a layer of so many inputs and outputs, where it is large enough. Smaller ones stay with OpenBLAS.
    package static func suits(
        inputs: Int, outputs: Int, rows: Int, _ precision: ProductPrecision = .fp32
    ) -> Bool {
        isLarge(inputs: inputs, outputs: outputs) && rows >= leastRows && kernels(precision) != nil
    }

    static func isLarge(inputs: Int, outputs: Int) -> Bool { inputs >= 192 && outputs >= 192 }

    static func multiply(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: Factor, _ b: RightFactor, _ c: Floats, _ ldc: Int,
        adding: Bool,
        _ precision: ProductPrecision = .fp32
    ) {
        guard let kernels = kernels(precision) else { preconditionFailure("ask `suits` before") }
        if m <= fewRows { return multiplyStripes(team, kernels, m, n, k, a, b, c, ldc, adding) }
        let chunks = (
            rows: ranges(m, mostRows, kernels.rows), columns: ranges(n, mostColumns, kernels.columns),
            terms: ranges(k, mostWords * kernels.terms, 16)
        )
        let largest =
            (chunks.rows[0].count + chunks.columns[0].count + kernels.rows + kernels.columns)
            * (kernels.words(chunks.terms[0].count) + 1) + 16
        scratch.withFloats(largest) { packed in
            for terms in chunks.terms {
                for columns in chunks.columns {
                    for rows in chunks.rows {
                        multiply(
                            team, kernels, rows, columns, terms, a, b,
                            c + rows.lowerBound * ldc + columns.lowerBound, ldc, adding || terms.lowerBound > 0, packed)
                    }
                }
            }
        }
    }

    /// For a few rows, as when decoding: a thread packs some columns into its second cache and multiplies them with all rows
    /// at once, so the right factor comes from memory once and does not go back there.
    private static func multiplyStripes(
        _ team: ThreadTeam, _ kernels: Kernels, _ m: Int, _ n: Int, _ k: Int, _ a: Factor, _ b: RightFactor, _ c: Floats,
        _ ldc: Int,
        _ adding: Bool
    ) {
        let parts = ranges(k, depth * kernels.terms, 16)
        let stripes = ranges(n, stripeColumns, kernels.columns)
        let leftRows = (m + kernels.rows - 1) / kernels.rows * kernels.rows
        let leftCount = (leftRows * kernels.words(k) + 31) / 16 * 16
        let stripeCount = (stripeColumns + kernels.columns) * kernels.words(parts[0].count)
        scratch.withFloats(leftCount + team.size * stripeCount) { left in
            let panels = ranges(m, kernels.rows, kernels.rows)
            team.forEach(panels.count * parts.count) { item, _ in
                let part = parts[item % parts.count]
                let own = panels[item / parts.count]
                kernels.packLeft(
                    own.count, part.count, a, own.lowerBound, part.lowerBound,
                    into: left + kernels.words(part.lowerBound) * leftRows
                        + own.lowerBound * kernels.words(part.count))
            }
            team.forEach(stripes.count) { item, worker in
                let own = stripes[item]
                let right = left + leftCount + worker * stripeCount
                for part in parts {
                    kernels.packRight(own.count, part.count, b, part.lowerBound, own.lowerBound, into: right)
                    kernels.multiply(
                        m, own.count, part.count, left + kernels.words(part.lowerBound) * leftRows, right,
                        c + own.lowerBound, ldc, adding: adding || part.lowerBound > 0)
                }
            }
        }
    }

    private static func multiply(
        _ team: ThreadTeam, _ kernels: Kernels, _ rows: Range<Int>, _ columns: Range<Int>, _ terms: Range<Int>, _ a: Factor,
        _ b: RightFactor, _ c: Floats, _ ldc: Int, _ adding: Bool, _ packed: Floats
    ) {
        let parts = ranges(terms.count, depth * kernels.terms, 16)
        let leftRows = (rows.count + kernels.rows - 1) / kernels.rows * kernels.rows
        let rightColumns = (columns.count + kernels.columns - 1) / kernels.columns * kernels.columns
        let left = packed
        // Vectors of the right factor lie within lines of the cache.
        let right = left + (leftRows * kernels.words(terms.count) + 15) / 16 * 16

        let rightTiles = ranges(columns.count, tileColumns, kernels.columns)
        // Smaller tiles where there would be few: at the end all wait for the last one.
        let isSmall = rows.count * rightTiles.count < 32 * tileRows * team.size
        let leftTiles = ranges(rows.count, isSmall ? tileRows / 2 : tileRows, kernels.rows)
        team.forEach((leftTiles.count + rightTiles.count) * parts.count) { item, _ in
            let part = parts[item % parts.count]
            let words = (before: kernels.words(part.lowerBound), own: kernels.words(part.count))
            let term = terms.lowerBound + part.lowerBound
            let tile = item / parts.count
            if tile < leftTiles.count {
                let own = leftTiles[tile]
                kernels.packLeft(
                    own.count, part.count, a, rows.lowerBound + own.lowerBound, term,
                    into: left + words.before * leftRows + own.lowerBound * words.own)
            } else {
                let own = rightTiles[tile - leftTiles.count]
                kernels.packRight(
                    own.count, part.count, b, term, columns.lowerBound + own.lowerBound,
                    into: right + words.before * rightColumns + own.lowerBound * words.own)
            }
        }
        team.forEach(leftTiles.count * rightTiles.count) { item, _ in
            let own = leftTiles[item % leftTiles.count]
            let across = rightTiles[item / leftTiles.count]
            for part in parts {
                let words = (before: kernels.words(part.lowerBound), own: kernels.words(part.count))
                kernels.multiply(
                    own.count, across.count, part.count,
                    left + words.before * leftRows + own.lowerBound * words.own,
                    right + words.before * rightColumns + across.lowerBound * words.own,
                    c + own.lowerBound * ldc + across.lowerBound, ldc, adding: adding || part.lowerBound > 0)
            }
        }
    }

    /// Cuts `0..<count` into as few ranges of at most `size` as it takes, alike but for the last, multiples of `step`.
    private static func ranges(_ count: Int, _ size: Int, _ step: Int) -> [Range<Int>] {
        let number = (count + size - 1) / size
        let length = ((count + number - 1) / number + step - 1) / step * step
        return stride(from: 0, to: count, by: length).map { $0..<min(count, $0 + length) }
    }
}

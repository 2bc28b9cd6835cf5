import CKernels
import Parallel

/// Products of large matrices with both factors packed, on all threads (docs/engine-figures.md has the rates).
///
/// OpenBLAS, called by each thread for its share, packs one factor once per thread; here the team packs both once, then
/// takes tiles of the result from a list, so that no thread waits long for another. The order of a sum depends on k
/// alone (`passes`), and is that of `PackedLeftGEMM`. Blocking follows Goto and van de Geijn, "Anatomy of
/// High-Performance Matrix Multiplication" (2008).
package enum PackedGEMM {
    /// The kernels of one precision, with the sizes of their tiles.
    private struct Kernels: Sendable {
        // Constants of the program.
        private nonisolated(unsafe) let table: UnsafePointer<ckpt_packed_gemm_kernels>
        /// Rows and columns of a register tile, and terms of a sum in a 32-bit word.
        let rows: Int
        let columns: Int
        let terms: Int

        init?(_ table: UnsafePointer<ckpt_packed_gemm_kernels>?) {
            guard let table else { return nil }
            self.table = table
            rows = table.pointee.rows
            columns = table.pointee.columns
            terms = table.pointee.terms
        }

        /// Words that hold `count` terms.
        func words(_ count: Int) -> Int { (count + terms - 1) / terms }

        /// Packs `rows` rows and `k` terms of the left factor, from (`row`, `term`) on.
        func packLeft(_ product: GEMM, _ rows: Int, _ k: Int, row: Int, term: Int, into packed: Floats) {
            let a = product.a
            let isTransposed = product.transposition == .tn
            let start = a.floats + (isTransposed ? term * a.stride + row : row * a.stride + term)
            table.pointee.pack_left(rows, k, start, a.stride, isTransposed ? 1 : 0, packed)
        }

        /// Packs `columns` columns and `k` terms of the right factor, from (`term`, `column`) on.
        func packRight(_ product: GEMM, _ columns: Int, _ k: Int, term: Int, column: Int, into packed: Floats) {
            let b = product.b
            let isTransposed = product.transposition == .nt
            let offset = isTransposed ? column * b.stride + term : term * b.stride + column
            switch b.elements {
            case .float32(let floats):
                table.pointee.pack_right(columns, k, floats + offset, b.stride, isTransposed ? 1 : 0, packed)
            case .bfloat16(let halves):
                table.pointee.pack_right_bf16(columns, k, halves + offset, b.stride, isTransposed ? 1 : 0, packed)
            }
        }

        func multiply(
            _ m: Int, _ n: Int, _ k: Int, _ left: Floats, _ right: Floats, into c: Floats, _ ldc: Int, adding: Bool
        ) {
            table.pointee.multiply(m, n, k, left, right, c, ldc, adding ? 1 : 0)
        }
    }

    /// A part of the product that is packed at once.
    private struct Chunk {
        var rows: Range<Int>
        var columns: Range<Int>
        var passes: ArraySlice<Range<Int>>
        var terms: Range<Int> { passes[passes.startIndex].lowerBound..<passes[passes.endIndex - 1].upperBound }
    }

    /// Words of a sum per pass over the result.
    ///
    /// Fewer passes are better, as long as a panel of the right factor stays in the second-level cache.
    private static let depth = 576
    /// Rows and columns of a tile, whose left factor stays in the second-level cache.
    private static let tileRows = 96
    private static let tileColumns = 288
    /// Rows, columns and words of a sum packed at once.
    private static let mostRows = 3072
    private static let mostColumns = 4032
    private static let mostPasses = 3
    /// Bytes of packed factors at most.
    static let largestScratch = 4 * (mostRows + mostColumns) * mostPasses * depth
    /// The fewest rows packing pays for.
    static let leastRows = 9
    /// At most this many rows: each thread packs its own columns.
    private static let fewRows = 192
    /// Columns that a thread packs and multiplies at a time in that case.
    private static let stripeColumns = 96

    private static let float32 = Kernels(ckpt_packed_gemm_kernels())
    private static let bfloat16 = Kernels(ckpt_packed_gemm_bf16_kernels())
    private static let scratch = SharedScratch()

    private static func kernels(_ precision: ProductPrecision) -> Kernels? {
        precision == .bf16 ? bfloat16 : float32
    }

    /// Whether the processor has the instructions and packing pays for a layer of these sizes and `rows` tokens.
    package static func supports(
        inputs: Int, outputs: Int, rows: Int, _ precision: ProductPrecision = .fp32
    ) -> Bool {
        isLarge(inputs: inputs, outputs: outputs) && rows >= leastRows && kernels(precision) != nil
    }

    static func isLarge(inputs: Int, outputs: Int) -> Bool { inputs >= 192 && outputs >= 192 }

    /// Whether the processor has the instructions.
    static func isAvailable(_ precision: ProductPrecision) -> Bool { kernels(precision) != nil }

    /// The ranges of k terms, each of which is summed term by term; the sums of ranges are added in order.
    ///
    /// A word has `termsPerWord` terms.
    static func passes(_ k: Int, termsPerWord: Int) -> [Range<Int>] { ranges(k, depth * termsPerWord, 16) }

    static func multiply(_ team: ThreadTeam, _ product: GEMM) {
        guard let kernels = kernels(product.precision) else { preconditionFailure("check `supports` first") }
        if product.m <= fewRows { return multiplyStripes(team, kernels, product) }
        let rows = ranges(product.m, mostRows, kernels.rows)
        let columns = ranges(product.n, mostColumns, kernels.columns)
        let passes = passes(product.k, termsPerWord: kernels.terms)
        let chunks = ranges(passes.count, mostPasses, 1).map { passes[$0] }
        let mostTerms = chunks.reduce(0) { max($0, $1.reduce(0) { $0 + $1.count }) }
        let largest =
            (rows[0].count + columns[0].count + kernels.rows + kernels.columns)
            * (kernels.words(mostTerms) + 1) + 16
        scratch.withFloats(largest) { packed in
            for passes in chunks {
                for columns in columns {
                    for rows in rows {
                        multiply(team, kernels, product, Chunk(rows: rows, columns: columns, passes: passes), packed)
                    }
                }
            }
        }
    }

    /// For a few rows, as in decoding: each thread packs some columns into its second-level cache and multiplies them
    /// with all rows at once, so that the right factor is read from memory once and not written back.
    private static func multiplyStripes(_ team: ThreadTeam, _ kernels: Kernels, _ product: GEMM) {
        let (m, k, c) = (product.m, product.k, product.c)
        let passes = passes(k, termsPerWord: kernels.terms)
        let stripes = ranges(product.n, stripeColumns, kernels.columns)
        let leftRows = (m + kernels.rows - 1) / kernels.rows * kernels.rows
        let leftCount = (leftRows * kernels.words(k) + 31) / 16 * 16
        let stripeCount = (stripeColumns + kernels.columns) * kernels.words(passes[0].count)
        scratch.withFloats(leftCount + team.size * stripeCount) { left in
            let panels = ranges(m, kernels.rows, kernels.rows)
            team.forEach(panels.count * passes.count) { item, _ in
                let pass = passes[item % passes.count]
                let own = panels[item / passes.count]
                kernels.packLeft(
                    product, own.count, pass.count, row: own.lowerBound, term: pass.lowerBound,
                    into: left + kernels.words(pass.lowerBound) * leftRows
                        + own.lowerBound * kernels.words(pass.count))
            }
            team.forEach(stripes.count) { item, worker in
                let own = stripes[item]
                let right = left + leftCount + worker * stripeCount
                for pass in passes {
                    kernels.packRight(
                        product, own.count, pass.count, term: pass.lowerBound, column: own.lowerBound, into: right)
                    kernels.multiply(
                        m, own.count, pass.count, left + kernels.words(pass.lowerBound) * leftRows, right,
                        into: c.floats + own.lowerBound, c.stride,
                        adding: product.accumulating || pass.lowerBound > 0)
                }
            }
        }
    }

    private static func multiply(
        _ team: ThreadTeam, _ kernels: Kernels, _ product: GEMM, _ chunk: Chunk, _ packed: Floats
    ) {
        let (rows, columns, terms) = (chunk.rows, chunk.columns, chunk.terms)
        let c = product.c.floats + rows.lowerBound * product.c.stride + columns.lowerBound
        let adding = product.accumulating || terms.lowerBound > 0
        let passes = chunk.passes.map { $0.lowerBound - terms.lowerBound..<$0.upperBound - terms.lowerBound }
        let leftRows = (rows.count + kernels.rows - 1) / kernels.rows * kernels.rows
        let rightColumns = (columns.count + kernels.columns - 1) / kernels.columns * kernels.columns
        let left = packed
        // Aligned so that no vector of the right factor crosses a cache line.
        let right = left + (leftRows * kernels.words(terms.count) + 15) / 16 * 16

        let rightTiles = ranges(columns.count, tileColumns, kernels.columns)
        // Smaller tiles if there would be few: at the end all threads wait for the last one.
        let isSmall = rows.count * rightTiles.count < 32 * tileRows * team.size
        let leftTiles = ranges(rows.count, isSmall ? tileRows / 2 : tileRows, kernels.rows)
        team.forEach((leftTiles.count + rightTiles.count) * passes.count) { item, _ in
            let pass = passes[item % passes.count]
            let words = (before: kernels.words(pass.lowerBound), own: kernels.words(pass.count))
            let term = terms.lowerBound + pass.lowerBound
            let tile = item / passes.count
            if tile < leftTiles.count {
                let own = leftTiles[tile]
                kernels.packLeft(
                    product, own.count, pass.count, row: rows.lowerBound + own.lowerBound, term: term,
                    into: left + words.before * leftRows + own.lowerBound * words.own)
            } else {
                let own = rightTiles[tile - leftTiles.count]
                kernels.packRight(
                    product, own.count, pass.count, term: term, column: columns.lowerBound + own.lowerBound,
                    into: right + words.before * rightColumns + own.lowerBound * words.own)
            }
        }
        team.forEach(leftTiles.count * rightTiles.count) { item, _ in
            let own = leftTiles[item % leftTiles.count]
            let across = rightTiles[item / leftTiles.count]
            for pass in passes {
                let words = (before: kernels.words(pass.lowerBound), own: kernels.words(pass.count))
                kernels.multiply(
                    own.count, across.count, pass.count,
                    left + words.before * leftRows + own.lowerBound * words.own,
                    right + words.before * rightColumns + across.lowerBound * words.own,
                    into: c + own.lowerBound * product.c.stride + across.lowerBound, product.c.stride,
                    adding: adding || pass.lowerBound > 0)
            }
        }
    }

    /// Cuts `0..<count` into as few ranges of at most `size` as possible, equal in length but for the last, each length
    /// a multiple of `step`.
    private static func ranges(_ count: Int, _ size: Int, _ step: Int) -> [Range<Int>] {
        let number = (count + size - 1) / size
        let length = ((count + number - 1) / number + step - 1) / step * step
        return stride(from: 0, to: count, by: length).map { $0..<min(count, $0 + length) }
    }
}

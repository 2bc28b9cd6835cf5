import CheckpointIO
import Synchronization
import WideVectors

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

    /// Terms of a sum in one go: the fewer passes over the result, the better, as long as a panel of the right factor
    /// comes from the second cache.
    private static let depth = 576
    /// Rows and columns of a tile, whose left factor stays in the second cache.
    private static let tileRows = 96
    private static let tileColumns = 288
    /// Of the result and the sums, what is packed at once.
    private static let mostRows = 3072
    private static let mostColumns = 4032
    private static let mostTerms = 3 * depth

    private static let isAvailable = ckpt_has_only_wide_vectors() != 0
    private static let scratch = SharedScratch()

    /// Whether a layer of so many inputs and outputs is large enough. Smaller ones stay with OpenBLAS.
    package static func suits(inputs: Int, outputs: Int, rows: Int) -> Bool {
        isAvailable && inputs >= 192 && outputs >= 192 && rows >= 16
    }

    static func multiply(
        _ team: Team, _ m: Int, _ n: Int, _ k: Int, _ a: Factor, _ b: Factor, _ c: Floats, _ ldc: Int, adding: Bool
    ) {
        let chunks = (
            rows: ranges(m, mostRows, 6), columns: ranges(n, mostColumns, 16), terms: ranges(k, mostTerms, 16)
        )
        let largest = (chunks.rows[0].count + chunks.columns[0].count + 22) * chunks.terms[0].count
        scratch.withFloats(largest) { packed in
            for terms in chunks.terms {
                for columns in chunks.columns {
                    for rows in chunks.rows {
                        multiply(
                            team, rows, columns, terms, a, b, c + rows.lowerBound * ldc + columns.lowerBound, ldc,
                            adding || terms.lowerBound > 0, packed)
                    }
                }
            }
        }
    }

    private static func multiply(
        _ team: Team, _ rows: Range<Int>, _ columns: Range<Int>, _ terms: Range<Int>, _ a: Factor, _ b: Factor,
        _ c: Floats, _ ldc: Int, _ adding: Bool, _ packed: Floats
    ) {
        let parts = ranges(terms.count, depth, 16)
        let leftRows = (rows.count + 5) / 6 * 6
        let rightColumns = (columns.count + 15) / 16 * 16
        let left = packed
        let right = left + leftRows * terms.count

        let rightTiles = ranges(columns.count, tileColumns, 16)
        // Smaller tiles where there would be few: at the end all wait for the last one.
        let isSmall = rows.count * rightTiles.count < 32 * tileRows * team.size
        let leftTiles = ranges(rows.count, isSmall ? tileRows / 2 : tileRows, 6)
        team.forEach((leftTiles.count + rightTiles.count) * parts.count) { item, _ in
            let part = parts[item % parts.count]
            let tile = item / parts.count
            if tile < leftTiles.count {
                let own = leftTiles[tile]
                ckpt_pack_left(
                    own.count, part.count, a.from(rows.lowerBound + own.lowerBound, terms.lowerBound + part.lowerBound),
                    a.stride, a.isTransposed ? 1 : 0, left + part.lowerBound * leftRows + own.lowerBound * part.count)
            } else {
                let own = rightTiles[tile - leftTiles.count]
                ckpt_pack_right(
                    own.count, part.count,
                    b.from(terms.lowerBound + part.lowerBound, columns.lowerBound + own.lowerBound), b.stride,
                    b.isTransposed ? 1 : 0, right + part.lowerBound * rightColumns + own.lowerBound * part.count)
            }
        }
        team.forEach(leftTiles.count * rightTiles.count) { item, _ in
            let own = leftTiles[item % leftTiles.count]
            let across = rightTiles[item / leftTiles.count]
            for part in parts {
                ckpt_packed_product(
                    own.count, across.count, part.count,
                    left + part.lowerBound * leftRows + own.lowerBound * part.count,
                    right + part.lowerBound * rightColumns + across.lowerBound * part.count,
                    c + own.lowerBound * ldc + across.lowerBound, ldc, adding || part.lowerBound > 0 ? 1 : 0)
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

/// Memory that is kept from product to product, since fresh pages would cost as much as packing.
private final class SharedScratch: Sendable {
    private struct Block: @unchecked Sendable {
        // Sendable because one caller at a time holds it.
        var bytes: UnsafeMutableRawBufferPointer
    }

    private let free = Mutex<[Block]>([])

    /// Calls `body` with room for `count` floats.
    func withFloats(_ count: Int, _ body: (Floats) -> Void) {
        var block = free.withLock { $0.popLast() } ?? Block(bytes: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        if block.bytes.count < 4 * count {
            block.bytes.deallocate()
            block.bytes = LargeAllocation.allocate(byteCount: 4 * count)
        }
        body(block.bytes.baseAddress!.assumingMemoryBound(to: Float.self))
        free.withLock { $0.append(block) }
    }
}

import CKernels
import Parallel

/// Attention by C kernels on processors with AVX2 or AVX-512 (docs/engine-figures.md has the rates).
///
/// A head's keys and values are packed once; the scores of a few queries then stay in cache from the first product to
/// the last. The order of every sum depends on the segment alone.
extension Attention {
    private static let availableKernels = ckpt_attention_kernels()?.pointee

    /// Whether the kernels are used; for narrow heads the products of `Attention.swift` are as fast.
    var usesKernels: Bool { Self.availableKernels != nil && dimension >= 64 && dimension.isMultiple(of: 16) }

    private var kernels: ckpt_attention_kernels {
        guard let kernels = Self.availableKernels else { preconditionFailure("check `usesKernels` first") }
        return kernels
    }

    /// Floats that a head's packed keys take, or its values.
    private func packedCount(_ keys: Int) -> Int { (keys + 15) / 16 * 16 * dimension }

    func kernelScratchCount(_ team: ThreadTeam, _ layout: BatchLayout, backward: Bool) -> Int {
        let forward = 2 * packedCount(layout.longest) + kernels.attend_scratch(layout.longest)
        guard backward else { return team.size * forward }
        return team.size * max(forward, backwardScratchCount(layout)) + layout.tokenCount * heads * 2 * dimension
    }

    /// Floats of scratch that one thread needs for `kernelBackward`.
    private func backwardScratchCount(_ layout: BatchLayout) -> Int {
        3 * packedCount(layout.longest) + 2 * layout.longest * dimension + kernels.attend_backward_scratch()
    }

    func kernelForward(
        _ team: ThreadTeam, _ layout: BatchLayout, window: Int?, _ qkv: UnsafePointer<Float>, _ output: Floats,
        _ normalizers: Floats?, _ scratch: Floats
    ) {
        let packed = packedCount(layout.longest)
        let scratchCount = 2 * packed + kernels.attend_scratch(layout.longest)
        // Heads that share keys share the packed keys if that leaves enough items for all threads.
        let perItem = layout.segments.count * keyValueHeads >= 4 * team.size ? group : 1
        let itemsOfSegment = heads / perItem
        team.forEach(layout.segments.count * itemsOfSegment) { item, worker in
            let segment = layout.segments[item / itemsOfSegment]
            let first = item % itemsOfSegment * perItem
            let kv = first / group
            let keys = scratch + worker * scratchCount
            let values = keys + packed
            packTransposed(segment, to: keys) { key(qkv, $0, kv) }
            packRows(segment, to: values) { value(qkv, $0, kv) }
            let row = segment.rows.lowerBound
            for head in first..<(first + perItem) {
                kernels.attend(
                    dimension, segment.firstPosition, segment.length, window ?? .max,
                    qkv + row * stride + head * dimension, stride, keys, values, scale,
                    output + row * width + head * dimension, width,
                    normalizers.map { $0 + row * heads + head }, heads, values + packed)
            }
        }
    }

    /// Sums each head's gradients of keys and values separately, then adds those of a group in order.
    func kernelBackward(
        _ team: ThreadTeam, _ layout: BatchLayout, window: Int?, _ qkv: UnsafePointer<Float>,
        _ output: UnsafePointer<Float>, _ normalizers: UnsafePointer<Float>, _ dOutput: UnsafePointer<Float>,
        _ gradient: Floats, _ scratch: Floats
    ) {
        let scratchCount = backwardScratchCount(layout)
        // Gradients of keys and values by head: [heads, tokens, 2 * dimension].
        let headGradients = scratch + team.size * scratchCount
        let pair = 2 * dimension
        team.forEach(layout.trees.count * heads) { item, worker in
            let tree = layout.trees[item / heads]
            let head = item % heads
            let own = headGradients + head * layout.tokenCount * pair
            for index in tree {
                let rows = layout.segments[index].rows
                (own + rows.lowerBound * pair).update(repeating: 0, count: rows.count * pair)
            }
            for index in tree {
                kernelBackward(
                    layout.segments[index], head, window: window, qkv, output, normalizers, dOutput, gradient, own,
                    scratch + worker * scratchCount)
            }
        }
        team.split(layout.tokenCount, grain: 32) { rows, _ in
            for row in rows {
                for kv in 0..<keyValueHeads {
                    let dKey = key(gradient, row, kv)
                    let dValue = value(gradient, row, kv)
                    for member in 0..<group {
                        let own = headGradients + ((kv * group + member) * layout.tokenCount + row) * pair
                        if member == 0 {
                            dKey.update(from: own, count: dimension)
                            dValue.update(from: own + dimension, count: dimension)
                        } else {
                            VectorMath.add(own, into: dKey, dimension)
                            VectorMath.add(own + dimension, into: dValue, dimension)
                        }
                    }
                }
            }
        }
    }

    private func kernelBackward(
        _ segment: BatchLayout.Segment, _ head: Int, window: Int?, _ qkv: UnsafePointer<Float>,
        _ output: UnsafePointer<Float>, _ normalizers: UnsafePointer<Float>, _ dOutput: UnsafePointer<Float>,
        _ gradient: Floats, _ own: Floats, _ scratch: Floats
    ) {
        let kv = head / group
        let packed = packedCount(segment.keyCount)
        let (keys, values, keyRows) = (scratch, scratch + packed, scratch + 2 * packed)
        let dKeys = scratch + 3 * packed
        let dValues = dKeys + segment.keyCount * dimension
        packTransposed(segment, to: keys) { key(qkv, $0, kv) }
        packTransposed(segment, to: values) { value(qkv, $0, kv) }
        packRows(segment, to: keyRows) { key(qkv, $0, kv) }
        dKeys.update(repeating: 0, count: 2 * segment.keyCount * dimension)
        let row = segment.rows.lowerBound
        let o = row * width + head * dimension
        let q = row * stride + head * dimension
        kernels.attend_backward(
            dimension, segment.firstPosition, segment.length, window ?? .max, qkv + q, stride, keys, values, keyRows,
            scale, output + o, dOutput + o, width, normalizers + row * heads + head, heads, gradient + q, stride, dKeys,
            dValues, dValues + segment.keyCount * dimension)
        forEachKeyRange(segment) { rows, position in
            for (index, row) in rows.enumerated() {
                let place = (position + index) * dimension
                let own = own + row * 2 * dimension
                VectorMath.add(dKeys + place, into: own, dimension)
                VectorMath.add(dValues + place, into: own + dimension, dimension)
            }
        }
    }

    private func packTransposed(
        _ segment: BatchLayout.Segment, to packed: Floats, from rows: (Int) -> UnsafePointer<Float>
    ) {
        forEachKeyRange(segment) {
            kernels.pack_transposed(rows($0.lowerBound), stride, $0.count, dimension, $1, packed)
        }
        kernels.pad_transposed(dimension, segment.keyCount, packed)
    }

    private func packRows(
        _ segment: BatchLayout.Segment, to packed: Floats, from rows: (Int) -> UnsafePointer<Float>
    ) {
        forEachKeyRange(segment) {
            kernels.pack_rows(
                rows($0.lowerBound), stride, $0.count, dimension, $1, segment.keyCount, packed)
        }
        kernels.pad_rows(dimension, segment.keyCount, packed)
    }

    /// Calls `body(rows, position)` for each range of keys that the segment attends to.
    private func forEachKeyRange(_ segment: BatchLayout.Segment, _ body: (Range<Int>, Int) -> Void) {
        var position = 0
        for range in segment.ancestors {
            body(range, position)
            position += range.count
        }
        body(segment.rows, position)
    }
}

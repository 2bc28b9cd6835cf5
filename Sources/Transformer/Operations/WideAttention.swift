import CKernels
import Parallel

/// Attention by kernels of our own, where the processor has AVX2 or AVX-512 (docs/engine.md has the rates).
///
/// A head's keys and values are packed once; scores of a few queries then stay in cache from the first product to the
/// last. Every sum has its terms in an order that depends on the segment alone.
extension Attention {
    // A constant of the program.
    private nonisolated(unsafe) static let kernels = ckpt_attention_kernels()

    /// Whether the kernels are used. Narrow heads stay with `MatrixProduct`, which is as fast there.
    var isWide: Bool { Self.kernels != nil && dimension >= 64 && dimension.isMultiple(of: 16) }

    private func packedCount(_ keys: Int) -> Int { (keys + 15) / 16 * 16 * dimension }

    func wideScratchCount(_ team: ThreadTeam, _ layout: BatchLayout, backward: Bool) -> Int {
        let forward = 2 * packedCount(layout.longest) + Self.kernels!.pointee.attend_scratch(layout.longest)
        guard backward else { return team.size * forward }
        return team.size * max(forward, backwardRoom(layout)) + layout.tokenCount * heads * 2 * dimension
    }

    private func backwardRoom(_ layout: BatchLayout) -> Int {
        3 * packedCount(layout.longest) + 2 * layout.longest * dimension
            + Self.kernels!.pointee.attend_backward_scratch()
    }

    func wideForward(
        _ team: ThreadTeam, _ layout: BatchLayout, _ qkv: UnsafePointer<Float>, _ output: Floats, _ normalizers: Floats?,
        _ scratch: Floats
    ) {
        let packed = packedCount(layout.longest)
        let room = 2 * packed + Self.kernels!.pointee.attend_scratch(layout.longest)
        // Heads that share keys share their packing where that leaves enough to hand out.
        let perItem = layout.segments.count * keyValueHeads >= 4 * team.size ? group : 1
        let itemsOfSegment = heads / perItem
        team.forEach(layout.segments.count * itemsOfSegment) { item, worker in
            let segment = layout.segments[item / itemsOfSegment]
            let first = item % itemsOfSegment * perItem
            let kv = first / group
            let keys = scratch + worker * room
            let values = keys + packed
            packAcross(segment, to: keys) { key(qkv, $0, kv) }
            packAlong(segment, to: values) { value(qkv, $0, kv) }
            let row = segment.rows.lowerBound
            for head in first..<(first + perItem) {
                Self.kernels!.pointee.attend(
                    dimension, segment.firstPosition, segment.length, qkv + row * stride + head * dimension, stride,
                    keys, values, scale, output + row * width + head * dimension, width,
                    normalizers.map { $0 + row * heads + head }, heads, values + packed)
            }
        }
    }

    /// Each head's gradients of keys and values are summed apart, then those of a group added in order.
    func wideBackward(
        _ team: ThreadTeam, _ layout: BatchLayout, _ qkv: UnsafePointer<Float>, _ output: UnsafePointer<Float>,
        _ normalizers: UnsafePointer<Float>, _ dOutput: UnsafePointer<Float>, _ gradient: Floats, _ scratch: Floats
    ) {
        let room = backwardRoom(layout)
        let ofHeads = scratch + team.size * room
        let pair = 2 * dimension
        team.forEach(layout.trees.count * heads) { item, worker in
            let tree = layout.trees[item / heads]
            let head = item % heads
            let own = ofHeads + head * layout.tokenCount * pair
            for index in tree {
                let rows = layout.segments[index].rows
                (own + rows.lowerBound * pair).update(repeating: 0, count: rows.count * pair)
            }
            for index in tree {
                wideBackward(
                    layout.segments[index], head, qkv, output, normalizers, dOutput, gradient, own,
                    scratch + worker * room)
            }
        }
        team.split(layout.tokenCount, grain: 32) { rows, _ in
            for row in rows {
                for kv in 0..<keyValueHeads {
                    let dKey = key(gradient, row, kv)
                    let dValue = value(gradient, row, kv)
                    for member in 0..<group {
                        let own = ofHeads + ((kv * group + member) * layout.tokenCount + row) * pair
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

    private func wideBackward(
        _ segment: BatchLayout.Segment, _ head: Int, _ qkv: UnsafePointer<Float>, _ output: UnsafePointer<Float>,
        _ normalizers: UnsafePointer<Float>, _ dOutput: UnsafePointer<Float>, _ gradient: Floats, _ own: Floats,
        _ scratch: Floats
    ) {
        let kv = head / group
        let packed = packedCount(segment.keyCount)
        let (keys, values, keyRows) = (scratch, scratch + packed, scratch + 2 * packed)
        let dKeys = scratch + 3 * packed
        let dValues = dKeys + segment.keyCount * dimension
        packAcross(segment, to: keys) { key(qkv, $0, kv) }
        packAcross(segment, to: values) { value(qkv, $0, kv) }
        packAlong(segment, to: keyRows) { key(qkv, $0, kv) }
        dKeys.update(repeating: 0, count: 2 * segment.keyCount * dimension)
        let row = segment.rows.lowerBound
        let o = row * width + head * dimension
        let q = row * stride + head * dimension
        Self.kernels!.pointee.attend_backward(
            dimension, segment.firstPosition, segment.length, qkv + q, stride, keys, values, keyRows, scale,
            output + o, dOutput + o, width, normalizers + row * heads + head, heads, gradient + q, stride, dKeys,
            dValues, dValues + segment.keyCount * dimension)
        forEachStretch(segment) { rows, position in
            for (index, row) in rows.enumerated() {
                let place = (position + index) * dimension
                let own = own + row * 2 * dimension
                VectorMath.add(dKeys + place, into: own, dimension)
                VectorMath.add(dValues + place, into: own + dimension, dimension)
            }
        }
    }

    private func packAcross(
        _ segment: BatchLayout.Segment, to packed: Floats, from rows: (Int) -> UnsafePointer<Float>
    ) {
        forEachStretch(segment) {
            Self.kernels!.pointee.pack_across(rows($0.lowerBound), stride, $0.count, dimension, $1, packed)
        }
        Self.kernels!.pointee.finish_across(dimension, segment.keyCount, packed)
    }

    private func packAlong(
        _ segment: BatchLayout.Segment, to packed: Floats, from rows: (Int) -> UnsafePointer<Float>
    ) {
        forEachStretch(segment) {
            Self.kernels!.pointee.pack_along(
                rows($0.lowerBound), stride, $0.count, dimension, $1, segment.keyCount, packed)
        }
        Self.kernels!.pointee.finish_along(dimension, segment.keyCount, packed)
    }

    /// Calls `body(rows, position)` for the stretches of all keys the segment may see.
    private func forEachStretch(_ segment: BatchLayout.Segment, _ body: (Range<Int>, Int) -> Void) {
        var position = 0
        for range in segment.ancestors {
            body(range, position)
            position += range.count
        }
        body(segment.rows, position)
    }
}

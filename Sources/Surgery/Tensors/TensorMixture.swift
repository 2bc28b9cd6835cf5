import CheckpointIO
import Foundation
import Parallel
import Synchronization

/// Combines the models' versions of one tensor.
final class TensorMixture: Sendable {
    private let method: MergeMethod
    private let parts: [TensorRows]
    private let base: TensorRows?
    private let weights: [Double]
    /// The coefficients of `slerp`, which depend on the whole tensors; computed on first use.
    private let arc = Mutex<(Float, Float)?>(nil)

    init(method: MergeMethod, parts: [TensorRows], base: TensorRows?, weights: [Double]) {
        self.method = method
        self.parts = parts
        self.base = base
        self.weights = weights
    }

    /// Computes elements `range` of the result as float32.
    func mix(_ range: Range<Int>, into result: UnsafeMutableBufferPointer<Float>) throws {
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(2 * range.count, 1))
        defer { scratch.deallocate() }
        let values = UnsafeMutableBufferPointer(rebasing: scratch[..<range.count])
        let origin = UnsafeMutableBufferPointer(rebasing: scratch[range.count..<2 * range.count])
        result.update(repeating: 0)
        switch method {
        case .linear:
            // Sums in the order of the models, then divides once.
            for (part, weight) in zip(parts, weights) {
                try part.readElements(range, into: values)
                let weight = Float(weight)
                for index in 0..<range.count { result[index] += weight * values[index] }
            }
            let total = weights.reduce(Float(0)) { $0 + Float($1) }
            for index in 0..<range.count { result[index] /= total }
        case .slerp:
            let (first, second) = try coefficients()
            for (part, factor) in zip(parts, [first, second]) {
                try part.readElements(range, into: values)
                for index in 0..<range.count { result[index] += factor * values[index] }
            }
        case .taskArithmetic:
            guard let base else { return }
            try base.readElements(range, into: origin)
            for (part, weight) in zip(parts, weights) {
                try part.readElements(range, into: values)
                let weight = Float(weight)
                for index in 0..<range.count { result[index] += weight * (values[index] - origin[index]) }
            }
            for index in 0..<range.count { result[index] += origin[index] }
        }
    }

    /// The coefficients of the two tensors; nearly parallel ones, whose plane is undefined, are interpolated linearly.
    private func coefficients() throws -> (Float, Float) {
        try arc.withLock { arc in
            if let arc { return arc }
            let found = Self.coefficients(cosine: try Self.cosine(parts[0], parts[1]), weight: weights[1])
            arc = found
            return found
        }
    }

    private static func coefficients(cosine: Double, weight: Double) -> (Float, Float) {
        guard abs(cosine) <= 0.9995 else { return (Float(1 - weight), Float(weight)) }
        let angle = acos(cosine)
        return (Float(sin(angle * (1 - weight)) / sin(angle)), Float(sin(angle * weight) / sin(angle)))
    }

    private static func cosine(_ a: TensorRows, _ b: TensorRows) throws -> Double {
        let count = a.description.elementCount
        // About the size of a stored chunk.
        let block = 1 << 19
        let blockCount = (count + block - 1) / block
        let parts = Mutex<[Int: TensorDifference]>([:])
        try ParallelWork.forEach(blockCount) { index in
            let range = index * block..<min((index + 1) * block, count)
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * range.count)
            defer { values.deallocate() }
            let left = UnsafeMutableBufferPointer(rebasing: values[..<range.count])
            let right = UnsafeMutableBufferPointer(rebasing: values[range.count...])
            try a.readElements(range, into: left)
            try b.readElements(range, into: right)
            guard let left = left.baseAddress, let right = right.baseAddress else { return }
            let statistics = TensorDifference(left, right, count: range.count)
            parts.withLock { $0[index] = statistics }
        }
        let all = parts.withLock { $0 }
        var total = TensorDifference()
        for index in 0..<blockCount { if let part = all[index] { total.append(part) } }
        return total.normA > 0 && total.normB > 0 ? total.products / (total.normA * total.normB) : 0
    }
}

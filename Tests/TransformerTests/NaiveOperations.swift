import Foundation

/// Operations by their definitions, computed in double precision.
enum Naive {
    /// c[m, n] = a[m, k] b[n, k]ᵀ.
    static func gemmNT(_ a: [Float], _ b: [Float], m: Int, n: Int, k: Int) -> [Float] {
        var c = [Float](repeating: 0, count: m * n)
        for i in 0..<m {
            for j in 0..<n {
                var sum = 0.0
                for l in 0..<k { sum += Double(a[i * k + l]) * Double(b[j * k + l]) }
                c[i * n + j] = Float(sum)
            }
        }
        return c
    }

    /// The transpose of x[rows, columns].
    static func transpose(_ x: [Float], rows: Int, columns: Int) -> [Float] {
        (0..<(rows * columns)).map { x[($0 % rows) * columns + $0 / rows] }
    }

    /// softmax(q kᵀ / √dimension) v for one query.
    static func attention(query: [Float], keys: [[Float]], values: [[Float]]) -> [Float] {
        let scores = keys.map { key in
            zip(query, key).reduce(0) { $0 + Double($1.0) * Double($1.1) } / Double(query.count).squareRoot()
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let sum = weights.reduce(0, +)
        return query.indices.map { i in
            Float(zip(weights, values).reduce(0) { $0 + $1.0 / sum * Double($1.1[i]) })
        }
    }

    /// RMSNorm of one row.
    static func rmsNorm(_ x: [Float], weight: [Float], epsilon: Double) -> [Float] {
        let mean = x.reduce(0) { $0 + Double($1) * Double($1) } / Double(x.count)
        return zip(x, weight).map { Float(Double($0) / (mean + epsilon).squareRoot() * Double($1)) }
    }

    static func swiGLU(gate: [Float], up: [Float]) -> [Float] {
        zip(gate, up).map { Float(Double($0) / (1 + exp(-Double($0))) * Double($1)) }
    }

    /// log softmax(logits / temperature)[target].
    static func logProbability(_ logits: [Float], target: Int, temperature: Double) -> Double {
        let z = logits.map { Double($0) / temperature }
        let top = z.max() ?? 0
        return z[target] - top - log(z.reduce(0) { $0 + exp($1 - top) })
    }

    /// The nearest bfloat16, ties to even.
    static func bfloat16(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    }
}

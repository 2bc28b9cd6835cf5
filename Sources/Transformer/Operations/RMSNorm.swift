import Parallel

/// y = x / √(mean(x²) + ε) · w, for rows of `width` numbers (Zhang and Sennrich, 2019).
package enum RMSNorm {
    /// Normalises `rows` rows.
    ///
    /// `x` and `y` may be the same; strides count floats from one row to the next.
    package static func forward(
        _ team: ThreadTeam, rows: Int, width: Int, _ x: UnsafePointer<Float>, stride: Int, weight: UnsafePointer<Float>,
        epsilon: Float, into y: UnsafeMutablePointer<Float>, outputStride: Int
    ) {
        team.split(rows, grain: max(1, 16_384 / width)) { range, _ in
            for row in range {
                let x = x + row * stride
                let y = y + row * outputStride
                let scale = reciprocalDeviation(x, width, epsilon)
                var i = 0
                while i + 8 <= width {
                    store(load(x, i) * scale * load(weight, i), y, i)
                    i += 8
                }
                while i < width {
                    y[i] = x[i] * scale * weight[i]
                    i += 1
                }
            }
        }
    }

    @inline(__always)
    static func reciprocalDeviation(_ x: UnsafePointer<Float>, _ width: Int, _ epsilon: Float) -> Float {
        1 / (VectorMath.dot(x, x, width) / Float(width) + epsilon).squareRoot()
    }

    /// With r = 1 / √(mean(x²) + ε) and x̂ = x r: dx = r (w dy − x̂ mean(x̂ w dy)) and dw = Σ dy x̂.
    ///
    /// dx is added to `dx` if `adding`, otherwise it is written there, and `dx` may be `dy`. dw is added to
    /// `weightGradient`, if the weight is trained. `partial` is scratch of `team.size * width` floats.
    package static func backward(
        _ team: ThreadTeam, rows: Int, width: Int, _ x: UnsafePointer<Float>, stride: Int, weight: UnsafePointer<Float>,
        epsilon: Float, dy: UnsafePointer<Float>, dyStride: Int, into dx: UnsafeMutablePointer<Float>, dxStride: Int,
        adding: Bool, weightGradient: UnsafeMutablePointer<Float>?, partial: UnsafeMutablePointer<Float>
    ) {
        let grain = max(1, 65_536 / width)
        let parts = team.parts(of: rows, grain: grain)
        partial.update(repeating: 0, count: parts * width)
        team.split(rows, grain: grain) { range, part in
            let dw = partial + part * width
            for row in range {
                backwardRow(
                    x + row * stride, weight, dy + row * dyStride, dx + row * dxStride, dw, width, epsilon, adding)
            }
        }
        guard let weightGradient else { return }
        for part in 0..<parts { VectorMath.add(partial + part * width, into: weightGradient, width) }
    }

    @inline(__always)
    private static func backwardRow(
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
        _ dx: UnsafeMutablePointer<Float>, _ dw: UnsafeMutablePointer<Float>, _ width: Int, _ epsilon: Float,
        _ adding: Bool
    ) {
        let scale = reciprocalDeviation(x, width, epsilon)
        var sum = Vector8.zero
        var i = 0
        while i + 8 <= width {
            sum += load(x, i) * load(weight, i) * load(dy, i)
            i += 8
        }
        var projection = horizontalSum(sum)
        while i < width {
            projection += x[i] * weight[i] * dy[i]
            i += 1
        }
        let back = scale * scale * scale * projection / Float(width)
        i = 0
        while i + 8 <= width {
            let x = load(x, i)
            let dy = load(dy, i)
            store(load(dw, i) + dy * x * scale, dw, i)
            let own = dy * load(weight, i) * scale - x * back
            store(adding ? load(dx, i) + own : own, dx, i)
            i += 8
        }
        while i < width {
            let gradient = dy[i]
            dw[i] += gradient * x[i] * scale
            let own = gradient * weight[i] * scale - x[i] * back
            dx[i] = adding ? dx[i] + own : own
            i += 1
        }
    }
}

import Parallel

/// y = silu(g) u with silu(g) = g / (1 + e^−g).
///
/// A row of `gateUp` `[rows, 2 * width]` holds the gate g, then the up projection u.
package enum SwiGLU {
    /// Computes y `[rows, width]`.
    package static func forward(
        _ team: ThreadTeam, rows: Int, width: Int, _ gateUp: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
    ) {
        team.split(rows, grain: max(1, 16_384 / width)) { range, _ in
            for row in range {
                let gate = gateUp + row * 2 * width
                let up = gate + width
                let y = y + row * width
                var i = 0
                if let loops = VectorMath.elementwise {
                    i = width & ~7
                    loops.swiglu(gate, up, y, i)
                }
                while i + 8 <= width {
                    let g = load(gate, i)
                    store(g / (1 + exponential(-g)) * load(up, i), y, i)
                    i += 8
                }
                if i < width {
                    let g = loadTail(gate, i, width)
                    storeTail(g / (1 + exponential(-g)) * loadTail(up, i, width), y, i, width)
                }
            }
        }
    }

    /// Replaces g and u by their gradients, and the gradient in `dy` `[rows, width]` by y, recomputed because the
    /// gradient of the down projection's weights needs it.
    package static func backward(
        _ team: ThreadTeam, rows: Int, width: Int, _ gateUp: UnsafeMutablePointer<Float>,
        _ dy: UnsafeMutablePointer<Float>
    ) {
        team.split(rows, grain: max(1, 16_384 / width)) { range, _ in
            for row in range {
                let gate = gateUp + row * 2 * width
                let up = gate + width
                let dy = dy + row * width
                var i = 0
                if let loops = VectorMath.elementwise {
                    i = width & ~7
                    loops.swiglu_backward(gate, up, dy, i)
                }
                while i + 8 <= width {
                    let (dg, du, y) = gradients(load(gate, i), load(up, i), load(dy, i))
                    store(dg, gate, i)
                    store(du, up, i)
                    store(y, dy, i)
                    i += 8
                }
                if i < width {
                    let (dg, du, y) = gradients(
                        loadTail(gate, i, width), loadTail(up, i, width), loadTail(dy, i, width))
                    storeTail(dg, gate, i, width)
                    storeTail(du, up, i, width)
                    storeTail(y, dy, i, width)
                }
            }
        }
    }

    @inline(__always)
    private static func gradients(_ g: Vector8, _ u: Vector8, _ dy: Vector8) -> (dg: Vector8, du: Vector8, y: Vector8) {
        let sigmoid = 1 / (1 + exponential(-g))
        let silu = g * sigmoid
        return (dy * u * (sigmoid + silu * (1 - sigmoid)), dy * silu, silu * u)
    }
}

import Parallel

/// Sums of gradients of slices, which may come from another process.
extension ModelParameters {
    /// The elements in float32, as bytes.
    package var floatBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(values) }
    /// The elements in bfloat16, as bytes.
    package var halfBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(halves) }

    /// A number that differs if any element does, but for rare chance.
    package var checksum: UInt64 {
        func sum(_ bytes: UnsafeMutableRawBufferPointer) -> UInt64 {
            let words = bytes.bindMemory(to: UInt32.self)
            let piece = 1 << 18
            nonisolated(unsafe) let all = words
            var sums = [UInt64](repeating: 0, count: (words.count + piece - 1) / piece)
            sums.withUnsafeMutableBufferPointer { sums in
                nonisolated(unsafe) let target = sums
                ThreadTeam.everyone.forEach(sums.count) { index, _ in
                    var sum: UInt64 = 0
                    for place in index * piece..<min(all.count, (index + 1) * piece) {
                        sum = sum &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(all[place])
                    }
                    target[index] = sum
                }
            }
            return sums.reduce(0) { $0 &* 31 &+ $1 }
        }
        return sum(floatBytes) &* 31 &+ sum(halfBytes)
    }

    /// Adds the other gradient of a node.
    package func add(_ other: ModelParameters, at node: SliceNode) {
        addFloats(UnsafeRawPointer(other.start), to: 0..<values.count)
        guard let halves = other.halves.baseAddress else { return }
        addHalves(UnsafeRawPointer(halves), to: 0..<other.halves.count, node)
    }

    /// Adds numbers to a range of the elements in float32.
    package func addFloats(_ numbers: UnsafeRawPointer, to range: Range<Int>) {
        let numbers = numbers.assumingMemoryBound(to: Float.self)
        ThreadTeam.everyone.split(range.count, grain: 65_536) { own, _ in
            VectorMath.add(
                numbers + own.lowerBound, into: start + (range.lowerBound + own.lowerBound), own.count)
        }
    }

    /// Adds numbers in bfloat16 to a range of the elements in bfloat16, rounded at random.
    package func addHalves(_ numbers: UnsafeRawPointer, to range: Range<Int>, _ node: SliceNode) {
        guard let into = halves.baseAddress else { return }
        let numbers = numbers.assumingMemoryBound(to: UInt16.self)
        let piece = 1 << 14
        let key = rounding.key(of: node)
        nonisolated(unsafe) let target = into
        ThreadTeam.everyone.split((range.count + piece - 1) / piece, grain: 4) { pieces, _ in
            let wide = Floats.allocate(capacity: piece)
            defer { wide.deallocate() }
            for index in pieces {
                let first = index * piece
                let count = min(piece, range.count - first)
                BFloat16.widen(numbers + first, into: wide, count)
                let place = range.lowerBound + first
                Quantization.add(wide, into: target + place, count, key, index: place)
            }
        }
    }
}

import Synchronization

/// A tensor that a file does not have, computed from a tensor of its base model and from its adapter.
final class ComputedTensor: Sendable {
    /// How the values follow from those of the base's tensor.
    enum Rule: Sendable {
        /// They are the same.
        case original
        /// W + s·B·A.
        case product(a: StoredTensor, b: StoredTensor, scaling: Float)
        /// The values of these rows are those of a float32 tensor of the file.
        case replacedRows([Int], StoredTensor)
        /// These rows alone.
        case rows([Int])
    }

    let base: CheckpointFile
    let original: StoredTensor
    private let rule: Rule
    /// The matrices of the adapter, read when they are first needed.
    private let product = Mutex<LowRankProduct?>(nil)

    init(_ original: StoredTensor, of base: CheckpointFile, _ rule: Rule) {
        self.base = base
        self.original = original
        self.rule = rule
    }

    private var type: ElementType { original.description.elementType }
    private var rowBytes: Int { type.byteCount * (original.description.shape.last ?? 1) }

    /// Whether the base's tensor is unchanged.
    var isOriginal: Bool { if case .original = rule { true } else { false } }

    /// Ranges of bytes that are computed fast, because they end where chunks of the base end.
    func ranges(of byteCount: Int) -> [Range<Int>] {
        if case .rows = rule { return [0..<byteCount] }
        switch original.storage {
        case .chunked(let grid, _) where grid.isContiguous: return (0..<grid.count).map(grid.byteRange)
        case .computed(let inner): return inner.ranges(of: byteCount)
        case .external: return StoredTensor.ranges(of: byteCount)
        case .chunked, .contiguous: return [0..<byteCount]
        }
    }

    /// Computes bytes `range`; `file` is the file that lists the tensor.
    func read(_ range: Range<Int>, of file: CheckpointFile, into destination: UnsafeMutableRawBufferPointer) throws {
        switch rule {
        case .original: try base.read(original, range: range, into: destination)
        case .rows(let rows): try readRows(rows, range, into: destination)
        case .replacedRows(let rows, let values):
            try base.read(original, range: range, into: destination)
            for (place, row) in rows.enumerated() {
                let part = (row * rowBytes..<(row + 1) * rowBytes).clamped(to: range)
                guard !part.isEmpty else { continue }
                let bytes = try self.row(place, of: values, in: file)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: destination[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound])
                target.copyBytes(from: bytes[part.lowerBound - row * rowBytes..<part.upperBound - row * rowBytes])
            }
        case .product(let a, let b, let scaling):
            let product = try product(a, b, scaling, in: file)
            try type.fill(range, into: destination) { elements, values in
                let stored = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: elements.count * type.byteCount, alignment: 16)
                defer { stored.deallocate() }
                let bytes = elements.lowerBound * type.byteCount..<elements.upperBound * type.byteCount
                try base.read(original, range: bytes, into: stored)
                try ElementConversion.toFloat32(UnsafeRawBufferPointer(stored), type, into: values)
                product.add(to: values, elements: elements)
            }
        }
    }

    private func readRows(_ rows: [Int], _ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        for (place, row) in rows.enumerated() {
            let part = (place * rowBytes..<(place + 1) * rowBytes).clamped(to: range)
            guard !part.isEmpty else { continue }
            let start = (row - place) * rowBytes
            try base.read(
                original, range: part.lowerBound + start..<part.upperBound + start,
                into: UnsafeMutableRawBufferPointer(
                    rebasing: destination[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound]))
        }
    }

    /// A row of a float32 tensor, in the type of the base's.
    private func row(_ place: Int, of tensor: StoredTensor, in file: CheckpointFile) throws -> [UInt8] {
        let columns = original.description.shape.last ?? 1
        var values = [Float](repeating: 0, count: columns)
        try values.withUnsafeMutableBytes {
            try file.read(tensor, range: place * 4 * columns..<(place + 1) * 4 * columns, into: $0)
        }
        var bytes = [UInt8](repeating: 0, count: rowBytes)
        try values.withUnsafeBufferPointer { values in
            try bytes.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, type, into: $0) }
        }
        return bytes
    }

    private func product(
        _ a: StoredTensor, _ b: StoredTensor, _ scaling: Float, in file: CheckpointFile
    ) throws -> LowRankProduct {
        func values(_ tensor: StoredTensor) throws -> [Float] {
            var values = [Float](repeating: 0, count: tensor.description.elementCount)
            try values.withUnsafeMutableBufferPointer {
                try file.readFloat32(tensor.description.name, in: .adapter, into: $0)
            }
            return values
        }
        return try product.withLock { product in
            if let product { return product }
            let made = LowRankProduct(
                left: try values(b), right: try values(a), rank: a.description.shape[0],
                columns: a.description.shape[1], scaling: scaling)
            product = made
            return made
        }
    }
}

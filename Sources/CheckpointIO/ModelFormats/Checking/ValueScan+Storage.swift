extension ValueScan {
    /// Takes further bytes, which are whole elements or blocks; a quantised block counts as the values it stands for.
    mutating func add(_ bytes: UnsafeRawBufferPointer, as storage: TensorLayout.Storage) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        switch storage {
        case .elements(let type): add(bytes, as: type)
        case .float8(let type):
            checkConstant(bytes, size: 1)
            switch type {
            // All bits but the sign are set in NaN, and there are no infinite values.
            case .e4m3: nanCount += bytes.count { $0 & 0x7F == 0x7F }
            case .e5m2: count(start, bytes.count, exponent: UInt8(0x7C), magnitude: 0x7F)
            }
        case .blocks(let type):
            let count = bytes.count / type.blockByteCount
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count * type.blockElementCount)
            defer { values.deallocate() }
            guard let output = values.baseAddress else { return }
            GGUFDequantization.decode(type, start, blockCount: count, into: output)
            add(UnsafeRawBufferPointer(values), as: .float32)
        }
    }
}

import CheckpointIO
import Parallel

/// A model that is trained by adapters: the weights of a checkpoint, which do not change, and the adapters.
package struct AdaptedWeights: Sendable {
    package let adapters: Adapters
    /// The weights of the base, matrices in bfloat16 if the checkpoint has them so, otherwise everything in float32.
    private let base: any ParameterStore & Sendable
    /// The types of the weights in the checkpoint.
    private let types: [String: ElementType]

    package var configuration: ModelConfiguration { base.configuration }

    /// Bytes of the base's weights in memory.
    package static func baseBytes(_ file: CheckpointFile, _ configuration: ModelConfiguration) -> Int {
        (isBFloat16(file, configuration) ? 2 : 4) * configuration.parameterCount
    }

    /// Bytes of the base's weights in memory.
    package var baseByteCount: Int { (base is CompactParameters ? 2 : 4) * configuration.parameterCount }

    /// New adapters on the weights of `file`.
    ///
    /// If the file has adapters, its weights are the merged ones.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package init(_ file: CheckpointFile, _ record: AdapterRecord, seed: UInt64) throws {
        try self.init(file, former: nil) { Adapters(record, base: $0, seed: seed) }
    }

    /// The adapters of a state, and the base that it was trained on.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package init(resuming file: CheckpointFile, _ record: AdapterRecord) throws {
        try self.init(file, former: record.rows) { base in
            let values = ModelParameters(
                base.configuration, TrainedLayout(base.configuration, adapters: record))
            try file.readFloat32(values.layout.map { ($0.name, values.view($0)) }, in: .adapter)
            return Adapters(record, values)
        }
    }

    /// The weights of `file`, or those before its adapters were merged: then `former` are the trained rows.
    private init(
        _ file: CheckpointFile, former: [Int]?, adapters: (any ParameterStore & Sendable) throws -> Adapters
    ) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try ModelParameters.checkNames(file, configuration)
        try EngineThreads.prepare()
        try LargeAllocation.check(
            byteCount: Self.baseBytes(file, configuration), for: "\(configuration.parameterCount) parameters")
        func load(_ parameter: ParameterDescription, _ destination: UnsafeMutableBufferPointer<Float>) throws {
            guard let former, let original = file.tensor(parameter.name, in: .base)?.description else {
                return try file.readFloat32(parameter.name, into: destination)
            }
            if original.shape == parameter.shape {
                return try file.readFloat32(parameter.name, in: .base, into: destination)
            }
            // The original rows of embedding or head.
            let columns = parameter.shape[1]
            let originals = UnsafeMutableBufferPointer<Float>.allocate(capacity: former.count * columns)
            defer { originals.deallocate() }
            try file.readFloat32(parameter.name, into: destination)
            try file.readFloat32(parameter.name, in: .base, into: originals)
            for (place, row) in former.enumerated() {
                for column in 0..<columns {
                    destination[row * columns + column] = originals[place * columns + column]
                }
            }
        }
        /// Reads a matrix of a file whose matrices are all in bfloat16.
        func loadStored(_ parameter: ParameterDescription, _ destination: UnsafeMutableRawBufferPointer) throws -> Bool
        {
            let original = former == nil ? nil : file.tensor(parameter.name, in: .base)
            guard let whole = original?.description.shape == parameter.shape ? original : file.tensor(parameter.name)
            else { return false }
            try file.read(whole, into: destination)
            guard let former, let original, original.description.shape != parameter.shape else { return true }
            let rowBytes = 2 * parameter.shape[1]
            let rows = UnsafeMutableRawBufferPointer.allocate(
                byteCount: original.description.byteCount, alignment: 64)
            defer { rows.deallocate() }
            try file.read(original, into: rows)
            for (place, row) in former.enumerated() {
                let source = UnsafeRawBufferPointer(rebasing: rows[place * rowBytes..<(place + 1) * rowBytes])
                UnsafeMutableRawBufferPointer(rebasing: destination[row * rowBytes..<(row + 1) * rowBytes])
                    .copyMemory(from: source)
            }
            return true
        }
        if Self.isBFloat16(file, configuration) {
            base = try CompactParameters(configuration, loadStored: loadStored, load: load)
        } else {
            base = try ModelParameters(configuration, load: load)
        }
        types = Dictionary(
            uniqueKeysWithValues: configuration.parameters.map {
                ($0.name, file.tensor($0.name)?.description.elementType ?? .float32)
            })
        self.adapters = try adapters(base)
    }

    private static func isBFloat16(_ file: CheckpointFile, _ configuration: ModelConfiguration) -> Bool {
        configuration.parameters.allSatisfy {
            !$0.isMatrix || file.tensor($0.name).map { $0.description.elementType == .bfloat16 } ?? true
        }
    }

    /// The model with its adapters, or the base alone.
    package func model(products: ProductPrecision, withAdapters: Bool = true) -> Model {
        Model(base, adapters: withAdapters ? adapters : nil, products: products)
    }

    // MARK: - Tensors of a checkpoint

    /// The merged weights in the types of the base: W + s B A, and the trained rows.
    package var mergedTensors: [TensorToWrite] {
        configuration.parameters.map { parameter in
            tensor(.weights, parameter) { range, row, output in
                merge(parameter, row: row, range: range, into: output)
            }
        }
    }

    /// The weights that adapters change, merged.
    package var changedTensors: [TensorToWrite] {
        mergedTensors.filter {
            adapters.record.hasAdapter($0.description.name) || adapters.values.rows[$0.description.name] != nil
        }
    }

    /// The weights of the base that adapters change: whole matrices, and the trained rows of embedding and head.
    package var baseTensors: [TensorToWrite] {
        configuration.parameters.compactMap { parameter in
            if adapters.record.hasAdapter(parameter.name) {
                return tensor(.base, parameter) { range, row, output in
                    copy(parameter, row: row, range: range, into: output)
                }
            }
            guard let rows = adapters.values.rows[parameter.name] else { return nil }
            let own = ParameterDescription(name: parameter.name, shape: [rows.count, parameter.shape[1]])
            return tensor(.base, own) { range, row, output in
                copy(parameter, row: rows[row], range: range, into: output)
            }
        }
    }

    /// A tensor whose rows `fill` computes, in the type of the base's.
    ///
    /// `fill` writes the elements in a range of one row's columns to the start of its memory.
    private func tensor(
        _ group: TensorGroup, _ parameter: ParameterDescription,
        fill: @escaping @Sendable (_ columns: Range<Int>, _ row: Int, _ into: UnsafeMutablePointer<Float>) -> Void
    ) -> TensorToWrite {
        let type = types[parameter.name] ?? .float32
        let columns = parameter.shape[parameter.shape.count - 1]
        return TensorToWrite(
            group: group,
            description: TensorDescription(name: parameter.name, elementType: type, shape: parameter.shape),
            content: .bytes { range, bytes in
                let (first, last) = (range.lowerBound / type.byteCount, range.upperBound / type.byteCount)
                let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: last - first)
                defer { values.deallocate() }
                guard let start = values.baseAddress else { return }
                var element = first
                while element < last {
                    let (row, column) = element.quotientAndRemainder(dividingBy: columns)
                    let count = min(columns - column, last - element)
                    fill(column..<column + count, row, start + (element - first))
                    element += count
                }
                try ElementConversion.fromFloat32(UnsafeBufferPointer(values), type, into: bytes)
            })
    }

    private func copy(
        _ parameter: ParameterDescription, row: Int, range: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) {
        if let matrix = base.matrix(parameter.name) {
            matrix.copy(row: row, columns: range, to: output)
        } else if let vector = base.vector(parameter.name) {
            output.update(from: vector + range.lowerBound, count: range.count)
        }
    }

    private func merge(
        _ parameter: ParameterDescription, row: Int, range: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) {
        if let place = adapters.values.rows[parameter.name]?.firstIndex(of: row),
            let own = adapters.values.matrix(parameter.name)
        {
            return own.copy(row: place, columns: range, to: output)
        }
        copy(parameter, row: row, range: range, into: output)
        guard let adapter = adapters.adapter(of: parameter.name, column: 0) else { return }
        LowRankProduct.addRow(
            adapter.b.floats + row * adapter.b.columns, adapter.a.floats + range.lowerBound, stride: adapter.a.columns,
            rank: adapter.a.rows, adapter.scaling, to: output, count: range.count)
    }
}

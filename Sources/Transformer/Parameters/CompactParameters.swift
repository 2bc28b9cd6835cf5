import CheckpointIO
import Parallel

/// A model's parameters for inference in half the memory: matrices in bfloat16, norms and biases in float32.
package final class CompactParameters: @unchecked Sendable, ParameterStore {
    package let configuration: ModelConfiguration
    // Sendable because neither buffer is written after `init`.
    private let halves: UnsafeMutableBufferPointer<UInt16>
    private let floats: Floats
    private let places: [String: (offset: Int, description: ParameterDescription)]

    /// Calls `load` once for every parameter to fill float32 memory, and rounds matrices to the nearest bfloat16 (ties
    /// to even), which leaves numbers unchanged that bfloat16 represents.
    ///
    /// For matrices, `loadStored` is called first; if it returns true, it has written the elements in bfloat16.
    ///
    /// - Throws: the first error of `load` or `loadStored`.
    package init(
        _ configuration: ModelConfiguration,
        loadStored: (ParameterDescription, UnsafeMutableRawBufferPointer) throws -> Bool,
        load: (ParameterDescription, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        self.configuration = configuration
        var places: [String: (offset: Int, description: ParameterDescription)] = [:]
        var matrixCount = 0
        var vectorCount = 0
        for description in configuration.parameters {
            if description.isMatrix {
                places[description.name] = (matrixCount, description)
                matrixCount += description.elementCount
            } else {
                places[description.name] = (vectorCount, description)
                vectorCount += description.elementCount
            }
        }
        self.places = places
        // Huge pages, because a decoding step reads all matrices.
        halves = LargeAllocation.allocate(byteCount: 2 * max(1, matrixCount)).bindMemory(to: UInt16.self)
        floats = .allocate(capacity: max(1, vectorCount))
        floats.initialize(repeating: 0, count: vectorCount)
        for description in configuration.parameters {
            guard let (offset, _) = places[description.name] else { continue }
            if description.isMatrix {
                let own = halves[offset..<offset + description.elementCount]
                if try loadStored(description, UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: own)))
                {
                    continue
                }
                let view = UnsafeMutableBufferPointer<Float>.allocate(capacity: description.elementCount)
                defer { view.deallocate() }
                try load(description, view)
                ThreadTeam.everyone.split(view.count, grain: 1 << 16) { range, _ in
                    for i in range { halves[offset + i] = BFloat16.rounded(view[i]) }
                }
            } else {
                try load(
                    description,
                    UnsafeMutableBufferPointer(start: floats + offset, count: description.elementCount))
            }
        }
    }

    /// Rounds the parameters of a model.
    package convenience init(rounding parameters: ModelParameters) {
        self.init(parameters.configuration, loadStored: { _, _ in false }) { description, into in
            if let values = parameters[description.name] { _ = into.update(fromContentsOf: values) }
        }
    }

    /// Loads the weights of a checkpoint, after checking that they match its configuration exactly.
    ///
    /// - Throws: `ConfigurationError`, `ParameterError`, and the errors of reading.
    package convenience init(_ file: CheckpointFile) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try ModelParameters.checkNames(file, configuration)
        try EngineThreads.prepare()
        try LargeAllocation.check(
            byteCount: 2 * configuration.parameterCount, for: "\(configuration.parameterCount) parameters in bfloat16")
        try self.init(
            configuration,
            loadStored: { description, destination in
                guard let tensor = file.tensor(description.name), tensor.description.elementType == .bfloat16 else {
                    return false
                }
                try file.read(tensor, into: destination)
                return true
            },
            load: { description, destination in try file.readFloat32(description.name, into: destination) })
    }

    deinit {
        halves.deallocate()
        floats.deallocate()
    }

    package func vector(_ name: String) -> Floats? {
        guard let place = places[name], !place.description.isMatrix else { return nil }
        return floats + place.offset
    }

    package func matrix(_ name: String) -> Matrix? {
        guard let place = places[name], place.description.isMatrix, let start = halves.baseAddress else { return nil }
        return Matrix(
            .bfloat16(start + place.offset), rows: place.description.shape[0], columns: place.description.shape[1])
    }
}

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
    /// - Throws: the first error of `load`.
    package init(
        _ configuration: ModelConfiguration,
        load: (ParameterDescription, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        self.configuration = configuration
        var places: [String: (offset: Int, description: ParameterDescription)] = [:]
        var matrixCount = 0
        var vectorCount = 0
        var largest = 0
        for description in configuration.parameters {
            if description.isMatrix {
                places[description.name] = (matrixCount, description)
                matrixCount += description.elementCount
                largest = max(largest, description.elementCount)
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
        let wide = UnsafeMutableBufferPointer<Float>.allocate(capacity: largest)
        defer { wide.deallocate() }
        for description in configuration.parameters {
            guard let (offset, _) = places[description.name] else { continue }
            if description.isMatrix {
                let view = UnsafeMutableBufferPointer(rebasing: wide[..<description.elementCount])
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
        self.init(parameters.configuration) { description, into in
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
        try self.init(configuration) { description, destination in
            try file.readFloat32(description.name, into: destination)
        }
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

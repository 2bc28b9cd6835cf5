import CheckpointIO
import Foundation
import Parallel

/// A model's parameters for inference in about half the memory: matrices in bfloat16, norms and biases in float32.
/// Never written after initialisation.
public final class CompactParameters: @unchecked Sendable, ParameterStore {
    public let configuration: ModelConfiguration
    private let halves: UnsafeMutablePointer<UInt16>
    private let floats: Floats
    private let places: [String: (offset: Int, description: ParameterDescription)]

    /// Filled by `load`, called once for every parameter with float32 memory; matrices are rounded to the nearest
    /// bfloat16, ties to even, so that numbers that were bfloat16 before stay as they are.
    public init(
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
        // Huge pages: a step of decoding goes through all of it.
        halves = LargeAllocation.allocate(byteCount: 2 * max(1, matrixCount))
            .bindMemory(to: UInt16.self).baseAddress!
        floats = .allocate(capacity: max(1, vectorCount))
        floats.initialize(repeating: 0, count: vectorCount)
        let wide = UnsafeMutableBufferPointer<Float>.allocate(capacity: largest)
        defer { wide.deallocate() }
        for description in configuration.parameters {
            let (offset, _) = places[description.name]!
            if description.isMatrix {
                let view = UnsafeMutableBufferPointer(rebasing: wide[..<description.elementCount])
                try load(description, view)
                let target = halves + offset
                ThreadTeam.everyone.split(view.count, grain: 1 << 16) { range, _ in
                    for i in range { target[i] = Self.rounded(view[i]) }
                }
            } else {
                try load(
                    description,
                    UnsafeMutableBufferPointer(start: floats + offset, count: description.elementCount))
            }
        }
    }

    /// Rounds a model's parameters.
    public convenience init(rounding parameters: ModelParameters) {
        self.init(parameters.configuration) { description, into in
            _ = into.update(fromContentsOf: parameters[description.name]!)
        }
    }

    /// Loads a checkpoint's weights, after the same checks as `ModelParameters`.
    /// - Throws: `ConfigurationError`, `ParameterError`, and what reading throws.
    public convenience init(_ file: CheckpointFile) throws {
        let configuration = try ModelConfiguration(json: file.metadata.config)
        try ModelParameters.checkNames(file, configuration)
        try self.init(configuration) { description, destination in
            try file.readFloat32(description.name, into: destination)
        }
    }

    deinit {
        halves.deallocate()
        floats.deallocate()
    }

    @inline(__always)
    private static func rounded(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // Rounding up the pattern of a NaN could make it an infinity.
        if value.isNaN { return UInt16(bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }

    func vector(_ name: String) -> Floats? {
        guard let place = places[name], !place.description.isMatrix else { return nil }
        return floats + place.offset
    }

    func matrix(_ name: String) -> WeightMatrix? {
        guard let place = places[name], place.description.isMatrix else { return nil }
        return WeightMatrix(
            storage: .bfloat16(halves + place.offset), rows: place.description.shape[0],
            columns: place.description.shape[1])
    }
}

import CheckpointIO
import Foundation
import Parallel

/// All parameters of a model in one flat buffer of float32, in the order of `ModelConfiguration.parameters`.
///
/// The buffer is shared by whoever holds the object; writing while a model computes with it is the caller's mistake.
public final class ModelParameters: @unchecked Sendable, ParameterStore {
    public let configuration: ModelConfiguration
    /// Every number, 64-byte aligned.
    public let values: UnsafeMutableBufferPointer<Float>
    /// What is in `values`, in order.
    public let layout: [ParameterDescription]
    private let places: [String: (offset: Int, description: ParameterDescription)]

    /// All zero.
    public convenience init(_ configuration: ModelConfiguration) {
        self.init(uninitialized: configuration)
        values.initialize(repeating: 0)
    }

    /// For those who fill every parameter at once.
    init(uninitialized configuration: ModelConfiguration) {
        self.configuration = configuration
        layout = configuration.parameters
        var places: [String: (offset: Int, description: ParameterDescription)] = [:]
        var count = 0
        for parameter in layout {
            places[parameter.name] = (count, parameter)
            count += parameter.elementCount
        }
        self.places = places
        let raw = LargeAllocation.allocate(byteCount: max(1, count) * 4)
        values = UnsafeMutableBufferPointer(
            start: raw.baseAddress!.bindMemory(to: Float.self, capacity: count), count: count)
    }

    deinit { values.baseAddress?.deallocate() }

    /// Filled by `load`, called once for every parameter.
    public convenience init(
        _ configuration: ModelConfiguration,
        load: (ParameterDescription, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        self.init(configuration)
        for parameter in layout { try load(parameter, self[parameter.name]!) }
    }

    /// Fresh parameters to train from: embeddings from a normal distribution of deviation `initializer_range`, linear
    /// layers of 1/√fan_in, those that write to the residual stream of 1/√(fan_in · 2 · layers); norms one, biases zero.
    ///
    /// A fixed deviation of 0.02 for all, as transformers has it, starves layers as narrow as those of a small model.
    public convenience init(_ configuration: ModelConfiguration, randomSeed: UInt64) {
        self.init(configuration)
        for (index, parameter) in layout.enumerated() {
            let view = self[parameter.name]!
            if parameter.isMatrix {
                let deviation = Self.initialDeviation(parameter, configuration)
                nonisolated(unsafe) let target = view
                ThreadTeam.everyone.split(view.count, grain: 1 << 14) { range, _ in
                    for i in range {
                        target[i] = deviation * CounterRandom.normal(seed: randomSeed, stream: index, counter: i)
                    }
                }
            } else if !parameter.name.hasSuffix(".bias") {
                view.update(repeating: 1)
            }
        }
    }

    private static func initialDeviation(_ matrix: ParameterDescription, _ configuration: ModelConfiguration) -> Float {
        if matrix.name == "model.embed_tokens.weight" { return Float(configuration.initializerRange) }
        let fanIn = Double(matrix.shape[1])
        let writesResidual = matrix.name.hasSuffix("o_proj.weight") || matrix.name.hasSuffix("down_proj.weight")
        return Float(1 / (fanIn * (writesResidual ? 2 * Double(configuration.layerCount) : 1)).squareRoot())
    }

    /// A copy with a buffer of its own.
    public convenience init(copying other: ModelParameters) {
        self.init(other.configuration)
        copy(from: other)
    }

    /// Takes over all numbers of parameters of the same configuration.
    public func copy(from other: ModelParameters) {
        precondition(other.values.count == values.count, "parameters of another configuration")
        values.baseAddress!.update(from: other.values.baseAddress!, count: values.count)
    }

    /// Sets every number to zero.
    public func clear() { values.update(repeating: 0) }

    /// The numbers of the parameter of that name, row-major; nil where the configuration has none. `lm_head.weight` of
    /// tied embeddings is the embedding.
    public subscript(_ name: String) -> UnsafeMutableBufferPointer<Float>? {
        var name = name
        if name == "lm_head.weight", configuration.tiesWordEmbeddings { name = "model.embed_tokens.weight" }
        guard let (offset, description) = places[name] else { return nil }
        return UnsafeMutableBufferPointer(rebasing: values[offset..<(offset + description.elementCount)])
    }

    func vector(_ name: String) -> Floats? { places[name].map { values.baseAddress! + $0.offset } }

    func matrix(_ name: String) -> WeightMatrix? {
        guard let (offset, description) = places[name], description.isMatrix else { return nil }
        return WeightMatrix(
            storage: .float32(values.baseAddress! + offset), rows: description.shape[0], columns: description.shape[1])
    }
}

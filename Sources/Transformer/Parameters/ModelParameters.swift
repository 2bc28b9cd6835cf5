import CheckpointIO
import Foundation
import Parallel

/// Parameters of a model in one float32 buffer, in the order of `ModelConfiguration.parameters`.
///
/// Weights are all parameters; gradients and moments may be those of a `TrainedLayout` only. All owners of the object
/// share the buffer. It must not be written while a model computes with it.
public final class ModelParameters: @unchecked Sendable, ParameterStore {
    public let configuration: ModelConfiguration
    /// The elements of all parameters, 64-byte aligned.
    public let values: UnsafeMutableBufferPointer<Float>
    /// The parameters in the order of `values`; one with chosen rows has the shape `[rows, columns]`.
    public let layout: [ParameterDescription]
    /// The rows that the buffer holds of some matrices, ascending; it holds all rows of the others.
    package let rows: [String: [Int]]
    private let memory: UnsafeMutableBufferPointer<Float>
    private let places: [String: (offset: Int, description: ParameterDescription)]

    /// Parameters that are all zero.
    public convenience init(_ configuration: ModelConfiguration) {
        self.init(uninitialized: configuration)
        values.initialize(repeating: 0)
    }

    /// Zeros for what `trained` lists.
    package convenience init(_ configuration: ModelConfiguration, _ trained: TrainedLayout) {
        self.init(uninitialized: configuration, trained)
        values.initialize(repeating: 0)
    }

    /// Parameters with uninitialised values.
    init(uninitialized configuration: ModelConfiguration, _ trained: TrainedLayout? = nil) {
        self.configuration = configuration
        layout = trained?.parameters ?? configuration.parameters
        rows = trained?.rows ?? [:]
        var places: [String: (offset: Int, description: ParameterDescription)] = [:]
        var count = 0
        for parameter in layout {
            places[parameter.name] = (count, parameter)
            count += parameter.elementCount
        }
        self.places = places
        memory = LargeAllocation.allocate(byteCount: max(1, count) * 4).bindMemory(to: Float.self)
        values = UnsafeMutableBufferPointer(rebasing: memory[..<count])
    }

    deinit { memory.deallocate() }

    /// Calls `load` once for every parameter to fill its elements.
    ///
    /// - Throws: `MemoryLimitError`, or the first error of `load`.
    package convenience init(
        _ configuration: ModelConfiguration,
        load: (ParameterDescription, UnsafeMutableBufferPointer<Float>) throws -> Void
    ) throws {
        try LargeAllocation.check(float32Of: configuration.parameterCount)
        self.init(configuration)
        for parameter in layout { try load(parameter, view(parameter)) }
    }

    /// Random parameters to train from.
    ///
    /// Norms are one and biases zero. Matrices are normal with the standard deviation `initializer_range` (embeddings),
    /// 1/√fan_in (linear layers) or 1/√(fan_in · 2 · layers) (linear layers that write to the residual stream). A
    /// deviation of 0.02 for all matrices, as in transformers, would be too small for the narrow layers of a small
    /// model.
    public convenience init(_ configuration: ModelConfiguration, randomSeed: UInt64) {
        self.init(configuration)
        for (index, parameter) in layout.enumerated() {
            let view = view(parameter)
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

    /// A copy of `other`.
    public convenience init(copying other: ModelParameters) {
        self.init(uninitialized: other.configuration, other.trained)
        _ = values.initialize(from: other.values)
    }

    /// What the buffer holds.
    package var trained: TrainedLayout { TrainedLayout(parameters: layout, rows: rows) }

    /// Sets every element to zero.
    public func clear() { values.update(repeating: 0) }

    /// The elements of the parameter `name`, row-major; nil if the buffer has no such parameter.
    ///
    /// `lm_head.weight` of a model with tied embeddings is the embedding.
    public subscript(_ name: String) -> UnsafeMutableBufferPointer<Float>? {
        var name = name
        if name == "lm_head.weight", configuration.tiesWordEmbeddings { name = "model.embed_tokens.weight" }
        guard let (offset, description) = places[name] else { return nil }
        return UnsafeMutableBufferPointer(rebasing: values[offset..<(offset + description.elementCount)])
    }

    /// The elements of a parameter in `layout`.
    func view(_ parameter: ParameterDescription) -> UnsafeMutableBufferPointer<Float> {
        guard let view = self[parameter.name] else { preconditionFailure("no parameter \(parameter.name)") }
        return view
    }

    /// The first element.
    var start: Floats {
        guard let start = memory.baseAddress else { preconditionFailure("parameters without memory") }
        return start
    }

    package func vector(_ name: String) -> Floats? { places[name].map { start + $0.offset } }

    package func matrix(_ name: String) -> Matrix? {
        guard let (offset, description) = places[name], description.isMatrix else { return nil }
        return Matrix(start + offset, rows: description.shape[0], columns: description.shape[1])
    }
}

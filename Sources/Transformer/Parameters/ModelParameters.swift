import CheckpointIO
import Foundation
import Parallel

/// Parameters of a model in one float32 buffer, in the order of `ModelConfiguration.parameters`.
///
/// Matrices may be in a buffer of their own, in bfloat16. Weights are all parameters; gradients and moments may be
/// those of a `TrainedLayout` only. All owners of the object share the buffers. They must not be written while a model
/// computes with them.
public final class ModelParameters: @unchecked Sendable, ParameterStore {
    public let configuration: ModelConfiguration
    /// The number format of the matrices.
    package let precision: WeightPrecision
    /// The elements of all parameters, 64-byte aligned; those of matrices only if they are in float32.
    public let values: UnsafeMutableBufferPointer<Float>
    /// The parameters in the order of `values`; one with chosen rows has the shape `[rows, columns]`.
    public let layout: [ParameterDescription]
    /// The rows that the buffer holds of some matrices, ascending; it holds all rows of the others.
    package let rows: [String: [Int]]
    /// The elements of matrices in bfloat16.
    let halves: UnsafeMutableBufferPointer<UInt16>
    /// Keys of the random words by which additions to matrices in bfloat16 are rounded.
    var rounding = RoundingKeys(seed: 0, step: 0)
    private let memory: UnsafeMutableBufferPointer<Float>
    private let places: [String: (offset: Int, description: ParameterDescription)]

    /// Parameters that are all zero.
    public convenience init(_ configuration: ModelConfiguration) {
        self.init(uninitialized: configuration)
        values.initialize(repeating: 0)
    }

    /// Zeros for what `trained` lists.
    package convenience init(
        _ configuration: ModelConfiguration, _ trained: TrainedLayout, _ precision: WeightPrecision = .fp32
    ) {
        self.init(uninitialized: configuration, trained, precision)
        values.initialize(repeating: 0)
        halves.initialize(repeating: 0)
    }

    /// Parameters with uninitialised values.
    init(
        uninitialized configuration: ModelConfiguration, _ trained: TrainedLayout? = nil,
        _ precision: WeightPrecision = .fp32
    ) {
        self.configuration = configuration
        self.precision = precision
        layout = trained?.parameters ?? configuration.parameters
        rows = trained?.rows ?? [:]
        var places: [String: (offset: Int, description: ParameterDescription)] = [:]
        var count = 0
        var halfCount = 0
        for parameter in layout {
            if precision == .bf16, parameter.isMatrix {
                places[parameter.name] = (halfCount, parameter)
                halfCount += parameter.elementCount
            } else {
                places[parameter.name] = (count, parameter)
                count += parameter.elementCount
            }
        }
        self.places = places
        halves = LargeAllocation.allocate(byteCount: 2 * halfCount).bindMemory(to: UInt16.self)
        memory = LargeAllocation.allocate(byteCount: max(1, count) * 4).bindMemory(to: Float.self)
        values = UnsafeMutableBufferPointer(rebasing: memory[..<count])
    }

    deinit {
        memory.deallocate()
        halves.deallocate()
    }

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
        self.init(uninitialized: other.configuration, other.trained, other.precision)
        _ = values.initialize(from: other.values)
        _ = halves.initialize(from: other.halves)
    }

    /// What the buffer holds.
    package var trained: TrainedLayout { TrainedLayout(parameters: layout, rows: rows) }

    /// Sets every element to zero.
    public func clear() {
        values.update(repeating: 0)
        halves.update(repeating: 0)
    }

    /// Sets every element to zero, for the gradient of a slice of the update after `step` of a run with this seed.
    package func clear(seed: UInt64, step: Int, slice: Int = 0) {
        clear()
        rounding = RoundingKeys(seed: seed, step: step, slice: slice)
    }

    /// The elements of the parameter `name`, row-major; nil if no such parameter is in float32.
    ///
    /// `lm_head.weight` of a model with tied embeddings is the embedding.
    public subscript(_ name: String) -> UnsafeMutableBufferPointer<Float>? {
        var name = name
        if name == "lm_head.weight", configuration.tiesWordEmbeddings { name = "model.embed_tokens.weight" }
        guard let (offset, description) = places[name], !isCompact(description) else { return nil }
        return UnsafeMutableBufferPointer(rebasing: values[offset..<(offset + description.elementCount)])
    }

    /// The elements of a matrix in bfloat16, row-major; nil if no such matrix is.
    package func halves(_ name: String) -> UnsafeMutableBufferPointer<UInt16>? {
        guard let (offset, description) = places[name], isCompact(description) else { return nil }
        return UnsafeMutableBufferPointer(rebasing: halves[offset..<(offset + description.elementCount)])
    }

    private func isCompact(_ parameter: ParameterDescription) -> Bool { precision == .bf16 && parameter.isMatrix }

    /// The elements of a parameter in `layout`, which is in float32.
    func view(_ parameter: ParameterDescription) -> UnsafeMutableBufferPointer<Float> {
        guard let view = self[parameter.name] else { preconditionFailure("no parameter \(parameter.name)") }
        return view
    }

    /// The first element.
    var start: Floats {
        guard let start = memory.baseAddress else { preconditionFailure("parameters without memory") }
        return start
    }

    /// The first row of a parameter; norms and biases have one row.
    func firstRow(_ name: String) -> NumberRow? {
        guard let (offset, _) = places[name] else { return nil }
        if let halves = halves(name)?.baseAddress { return .bfloat16(halves) }
        return .float32(start + offset)
    }

    /// The first element of a parameter in float32.
    package func vector(_ name: String) -> Floats? {
        places[name].flatMap { isCompact($0.description) ? nil : start + $0.offset }
    }

    package func matrix(_ name: String) -> Matrix? {
        guard let (offset, description) = places[name], description.isMatrix else { return nil }
        if let halves = halves(name)?.baseAddress {
            return Matrix(.bfloat16(halves), rows: description.shape[0], columns: description.shape[1])
        }
        return Matrix(start + offset, rows: description.shape[0], columns: description.shape[1])
    }

    /// Adds parameters in float32, the first of which become the sum, to these, whose matrices are in bfloat16.
    func add(_ others: [ModelParameters]) {
        guard let sum = others.first else { return }
        for other in others.dropFirst() { VectorMath.add(other.start, into: sum.start, sum.values.count) }
        for parameter in layout {
            guard let from = sum.vector(parameter.name) else { continue }
            if let into = halves(parameter.name)?.baseAddress {
                Quantization.add(from, into: into, parameter.elementCount, rounding.next(), index: 0)
            } else if let into = vector(parameter.name) {
                VectorMath.add(from, into: into, parameter.elementCount)
            }
        }
    }
}

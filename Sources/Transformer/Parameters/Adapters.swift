import CheckpointIO
import Parallel

extension AdapterRecord {
    /// Whether the weights `name` have an adapter.
    package func hasAdapter(_ name: String) -> Bool {
        let parts = name.split(separator: ".")
        return parts.count > 2 && parts[parts.count - 1] == "weight" && parts[1] == "layers"
            && targets.contains(String(parts[parts.count - 2]))
    }
}

extension TrainedLayout {
    /// Whether adapters are trained, whose values are held beside the model.
    package var isAdapters: Bool { parameters.contains { $0.name.hasSuffix(".lora_A.weight") } }

    /// The matrices A and B of all adapters, and rows of embedding and head.
    package init(_ configuration: ModelConfiguration, adapters: AdapterRecord) {
        var parameters: [ParameterDescription] = []
        var rows: [String: [Int]] = [:]
        for parameter in configuration.parameters {
            if adapters.hasAdapter(parameter.name) {
                let names = AdapterNames(parameter.name)
                parameters.append(ParameterDescription(name: names.a, shape: [adapters.rank, parameter.shape[1]]))
                parameters.append(ParameterDescription(name: names.b, shape: [parameter.shape[0], adapters.rank]))
            } else if AdapterRecord.rowWeights.contains(parameter.name), !adapters.rows.isEmpty {
                parameters.append(
                    ParameterDescription(name: parameter.name, shape: [adapters.rows.count, parameter.shape[1]]))
                rows[parameter.name] = adapters.rows
            }
        }
        self.init(parameters: parameters, rows: rows)
    }
}

/// The names of the adapter of a weight.
struct AdapterNames {
    let a: String
    let b: String

    /// `weight` is the name of the weights, such as `model.layers.0.self_attn.q_proj.weight`.
    init(_ weight: String) {
        let module = weight.hasSuffix(".weight") ? String(weight.dropLast(7)) : weight
        a = AdapterRecord.name(of: .a, module: module)
        b = AdapterRecord.name(of: .b, module: module)
    }
}

/// Adapters and trained rows with their values.
package struct Adapters: Sendable {
    package let record: AdapterRecord
    /// The matrices of `TrainedLayout(_:adapters:)`.
    package let values: ModelParameters

    package init(_ record: AdapterRecord, _ values: ModelParameters) {
        self.record = record
        self.values = values
    }

    /// The adapter of a weight whose outputs begin at `column` of the projection's; nil if it has none.
    func adapter(of weight: String, column: Int) -> ProjectionAdapter? {
        let names = AdapterNames(weight)
        guard let a = values.matrix(names.a), let b = values.matrix(names.b) else { return nil }
        return ProjectionAdapter(
            name: weight, a: a, b: b, scaling: Float(record.scaling), column: column,
            index: values.layout.firstIndex { $0.name == names.a } ?? 0)
    }

    /// The trained rows of embedding or head; nil if none are trained.
    func replacedRows(of matrix: String) -> ReplacedRows? {
        guard let rows = values.rows[matrix], let own = values.matrix(matrix) else { return nil }
        return ReplacedRows(rows, own)
    }

    /// New adapters, which do not change the model: A is uniform in ±1/√in, as in PEFT, and B is 0; rows are those of
    /// `base`.
    package init(_ record: AdapterRecord, base: some ParameterStore, seed: UInt64) {
        let values = ModelParameters(
            base.configuration, TrainedLayout(base.configuration, adapters: record))
        for (index, parameter) in values.layout.enumerated() {
            let view = values.view(parameter)
            if let rows = values.rows[parameter.name] {
                guard let matrix = base.matrix(parameter.name), let target = view.baseAddress else { continue }
                for (place, row) in rows.enumerated() { matrix.copyRow(row, to: target + place * matrix.columns) }
            } else if parameter.name.hasSuffix(".lora_A.weight") {
                let bound = 1 / Double(parameter.shape[1]).squareRoot()
                let stream = CounterRandom.Stream(seed: seed, index, 0, 0)
                for i in view.indices { view[i] = Float(bound * (2 * stream.uniform(i) - 1)) }
            }
        }
        self.init(record, values)
    }
}

import CheckpointIO

/// The parameters that are trained, and so have gradients and moments: whole ones, or some rows of matrices.
package struct TrainedLayout: Sendable, Equatable {
    /// The parameters in the order of the configuration; one with chosen rows has the shape `[rows, columns]`.
    package let parameters: [ParameterDescription]
    /// The chosen rows of some matrices, ascending.
    package let rows: [String: [Int]]

    package var elementCount: Int { parameters.reduce(0) { $0 + $1.elementCount } }

    init(parameters: [ParameterDescription], rows: [String: [Int]]) {
        self.parameters = parameters
        self.rows = rows
    }

    /// Everything but the parameters named in `frozen`, and of the matrices in `onlyRows` these rows, ascending.
    package init(
        _ configuration: ModelConfiguration, frozen: Set<String> = [], onlyRows: [String: [Int]] = [:]
    ) {
        let parameters: [ParameterDescription] = configuration.parameters.compactMap {
            guard !frozen.contains($0.name) else { return nil }
            var parameter = $0
            if let rows = onlyRows[$0.name] { parameter.shape[0] = rows.count }
            return parameter
        }
        self.init(parameters: parameters, rows: onlyRows.filter { !frozen.contains($0.key) })
    }

    /// The parameters among these for which `isIncluded` is true.
    func filter(_ isIncluded: (ParameterDescription) -> Bool) -> TrainedLayout {
        let kept = parameters.filter(isIncluded)
        return TrainedLayout(parameters: kept, rows: rows.filter { row in kept.contains { $0.name == row.key } })
    }

    /// The first layer with a trained parameter, or the number of layers if only the head or the final norm is trained;
    /// nil if the embedding is, whose gradient needs the backward pass of all layers.
    func firstLayer(of configuration: ModelConfiguration) -> Int? {
        var first = configuration.layerCount
        for parameter in parameters {
            if parameter.name == "model.embed_tokens.weight" { return nil }
            let parts = parameter.name.split(separator: ".")
            if parts.count > 2, parts[1] == "layers", let layer = Int(parts[2]) { first = min(first, layer) }
        }
        return first
    }
}

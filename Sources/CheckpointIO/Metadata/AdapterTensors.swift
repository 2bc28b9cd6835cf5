/// The names and shapes of the tensors that belong to an adapter.
///
/// A weight `MODULE.weight` `[out, in]` has `MODULE.lora_A.weight` `[r, in]` and `MODULE.lora_B.weight` `[out, r]` in
/// `/adapter`, and its former values in `/base`. Where rows of embedding and head are trained, `/base` may also have
/// their former values, `[rows, hidden]`.
extension AdapterRecord {
    /// One of the two matrices of a module.
    package enum Matrix: String, CaseIterable, Sendable {
        case a = ".lora_A.weight"
        case b = ".lora_B.weight"
    }

    /// The name of a matrix in `TensorGroup.adapter`.
    package static func name(of matrix: Matrix, module: String) -> String { module + matrix.rawValue }

    /// The name of a module's weight in `TensorGroup.weights` and `.base`.
    package static func weightName(ofModule module: String) -> String { module + ".weight" }

    /// The module and the matrix of a tensor's name, or nil if it is not a name of LoRA.
    package static func matrix(named name: String) -> (module: String, matrix: Matrix)? {
        for matrix in Matrix.allCases where name.hasSuffix(matrix.rawValue) {
            return (String(name.dropLast(matrix.rawValue.count)), matrix)
        }
        return nil
    }

    /// The weights whose rows can be trained beside an adapter.
    package static let rowWeights = ["model.embed_tokens.weight", "lm_head.weight"]

    /// A place in the file and what is wrong there.
    typealias Misfit = (place: String, problem: String)

    /// The first tensor that does not belong to the record, or that is missing; nil if all are right.
    func misfit(_ tensors: (TensorGroup) -> [TensorDescription]) -> Misfit? {
        let weights = Dictionary(
            tensors(.weights).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var matrices: [String: Set<Matrix>] = [:]
        for tensor in tensors(.adapter) {
            let place = Self.place(.adapter, tensor.name)
            if !rows.isEmpty, Self.rowWeights.contains(tensor.name) {
                guard let weight = weights[tensor.name], weight.shape.count == 2,
                    tensor.shape == [rows.count, weight.shape[1]], tensor.elementType == .float32
                else { return (place, "is not a float32 matrix of the trained rows of the weight") }
                continue
            }
            guard let (module, matrix) = Self.matrix(named: tensor.name) else {
                return (place, "is neither a lora_A.weight, a lora_B.weight, nor rows of embedding or head")
            }
            guard let target = module.split(separator: ".").last, targets.contains(String(target)) else {
                return (place, "belongs to none of the targets \(targets.joined(separator: ", "))")
            }
            guard let weight = weights[Self.weightName(ofModule: module)], weight.shape.count == 2 else {
                return (place, "belongs to no matrix of /weights")
            }
            let shape = matrix == .a ? [rank, weight.shape[1]] : [weight.shape[0], rank]
            guard tensor.shape == shape, tensor.elementType.isFloatingPoint else {
                return (place, "is not a matrix \(shape) of floating-point numbers, as rank and weight demand")
            }
            matrices[module, default: []].insert(matrix)
        }
        if let (module, _) = matrices.filter({ $0.value.count < 2 }).min(by: { $0.key < $1.key }) {
            return (Self.place(.adapter, module), "has only one of lora_A and lora_B")
        }
        let found = Set(matrices.keys.map { String($0.split(separator: ".").last ?? "") })
        if let target = targets.first(where: { !found.contains($0) }) {
            return (Self.path, "no tensor is of \(target)")
        }
        return misfitOfRows(weights) ?? misfitOfBase(tensors(.base), weights, Set(matrices.keys))
    }

    private func misfitOfRows(_ weights: [String: TensorDescription]) -> Misfit? {
        guard let last = rows.last else { return nil }
        let matrices = Self.rowWeights.compactMap { weights[$0] }
        guard !matrices.isEmpty, matrices.allSatisfy({ $0.shape.count == 2 && $0.shape[0] > last }) else {
            return (Self.path, "has a row \(last) that embedding or head lacks")
        }
        return nil
    }

    private func misfitOfBase(
        _ base: [TensorDescription], _ weights: [String: TensorDescription], _ modules: Set<String>
    ) -> Misfit? {
        var missing = Set(modules.map(Self.weightName))
        for tensor in base {
            let place = Self.place(.base, tensor.name)
            let isChanged = missing.remove(tensor.name) != nil
            guard isChanged || !rows.isEmpty && Self.rowWeights.contains(tensor.name) else {
                return (place, "is not changed by the adapter")
            }
            guard var shape = weights[tensor.name]?.shape, shape.count == 2 else {
                return (place, "belongs to no matrix of /weights")
            }
            if !isChanged { shape[0] = rows.count }
            guard tensor.shape == shape, tensor.elementType.isFloatingPoint else {
                return (place, "is not a matrix \(shape) of floating-point numbers, as the weight demands")
            }
        }
        return missing.min().map { (Self.place(.base, $0), "is missing, though the adapter changes the weight") }
    }

    private static func place(_ group: TensorGroup, _ name: String) -> String {
        "\(group.path)/\(CheckpointLayout.relativePath(ofTensor: name))"
    }
}

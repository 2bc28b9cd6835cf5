/// Checks the names, shapes and ties of tensors to be written.
enum TensorNames {
    /// Checks all tensors.
    ///
    /// - Throws: `CheckpointError.invalid` with the name of the tensor, or of both if two conflict.
    static func check(_ tensors: [TensorToWrite], tied: [String: String]) throws {
        var names: [TensorGroup: Set<[UInt8]>] = [:]
        for tensor in tensors {
            let name = tensor.description.name
            if let problem = CheckpointLayout.problem(withTensorName: name) {
                throw CheckpointError.invalid(name: "tensor '\(name)'", problem: problem)
            }
            guard tensor.description.checkedByteCount != nil, tensor.description.shape.count <= 32 else {
                throw CheckpointError.invalid(
                    name: "tensor '\(name)'",
                    problem: "the shape \(tensor.description.shape) is not a valid shape")
            }
            guard names[tensor.group, default: []].insert(Array(name.utf8)).inserted else {
                throw CheckpointError.invalid(
                    name: "tensor '\(name)'", problem: "occurs twice among the tensors of \(tensor.group)")
            }
            if case .copy(_, let source) = tensor.content {
                guard source.description.elementType == tensor.description.elementType,
                    source.description.shape == tensor.description.shape
                else {
                    throw CheckpointError.invalid(
                        name: name,
                        problem: "a copied tensor keeps the type and shape it had as \(source.description.name)")
                }
            }
        }
        for group in names.values { try checkPrefixes(group) }
        try check(tied, stored: names[.weights] ?? [])
    }

    /// Checks that no name is a prefix of another, since a path cannot be a dataset and a group at once.
    private static func checkPrefixes(_ names: Set<[UInt8]>) throws {
        for name in names {
            for (index, byte) in name.enumerated() where byte == UInt8(ascii: ".") {
                let prefix = Array(name[..<index])
                guard names.contains(prefix) else { continue }
                throw CheckpointError.invalid(
                    name: "tensor '\(String(decoding: prefix, as: UTF8.self))'",
                    problem:
                        "is a prefix of the tensor \(String(decoding: name, as: UTF8.self)); rename one of them")
            }
        }
    }

    private static func check(_ tied: [String: String], stored: Set<[UInt8]>) throws {
        for (name, target) in tied.sorted(by: { $0.key < $1.key }) {
            if let problem = CheckpointLayout.problem(withTensorName: name) {
                throw CheckpointError.invalid(name: "tied tensor '\(name)'", problem: problem)
            }
            guard !stored.contains(Array(name.utf8)) else {
                throw CheckpointError.invalid(name: name, problem: "is tied to \(target) and stored as well")
            }
            guard stored.contains(Array(target.utf8)) else {
                throw CheckpointError.invalid(name: name, problem: "is tied to \(target), which is not stored")
            }
        }
    }
}

/// Checks of the tensors handed to the writer against each other.
enum TensorNames {
    /// - Throws: `CheckpointError.invalid` that names the tensor, or both where two are at odds.
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
                    problem: "the shape \(tensor.description.shape) is not one a tensor can have")
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

    /// A name cannot be a tensor and a folder of tensors at once.
    private static func checkPrefixes(_ names: Set<[UInt8]>) throws {
        for name in names {
            for (index, byte) in name.enumerated() where byte == UInt8(ascii: ".") {
                let prefix = Array(name[..<index])
                guard names.contains(prefix) else { continue }
                throw CheckpointError.invalid(
                    name: "tensor '\(String(decoding: prefix, as: UTF8.self))'",
                    problem:
                        "is a tensor, so \(String(decoding: name, as: UTF8.self)) cannot be one beside it; rename one")
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

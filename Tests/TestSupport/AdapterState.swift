import CheckpointIO

/// Checkpoints with a LoRA adapter, made from a model as training makes them.
package enum AdapterState {
    /// Writes a training state: the model with an adapter of small values merged into the targeted weights.
    ///
    /// - Parameters:
    ///   - model: the base, with weights in float32 or bfloat16.
    ///   - path: the file to be written.
    ///   - targets: the last parts of the modules' names.
    ///   - rows: the trained rows of embedding and head, each moved by 1/8.
    ///   - rank: the rank of all modules.
    ///   - alpha: the scaling times the rank.
    ///   - seed: selects the values.
    /// - Returns: the checkpoint.
    /// - Throws: an error of reading or writing.
    package static func write(
        _ model: CheckpointFile, to path: String, targets: [String] = ["q_proj", "v_proj"], rows: [Int] = [],
        rank: Int = 2, alpha: Double = 3, seed: UInt64 = 1
    ) throws -> CheckpointFile {
        var metadata = model.metadata
        metadata.kind = .training
        metadata.trainingState = "{}"
        metadata.optimizer = OptimizerRecord(step: 1, beta1: 0.9, beta2: 0.95, epsilon: 1e-8)
        let record = AdapterRecord(
            rank: rank, alpha: alpha, targets: targets, rows: rows, baseDigest: model.weightsDigest,
            basePath: model.path)
        metadata.adapter = record
        var tensors: [TensorToWrite] = []
        var numbers = Numbers(state: seed)
        for tensor in model.tensors() {
            let name = tensor.description.name
            let module = String(name.dropLast(".weight".count))
            var values = [Float](repeating: 0, count: tensor.description.elementCount)
            try values.withUnsafeMutableBufferPointer { try model.readFloat32(name, into: $0) }
            if name.hasSuffix(".weight"), targets.contains(String(module.split(separator: ".").last ?? "")) {
                let (outputs, inputs) = (tensor.description.shape[0], tensor.description.shape[1])
                let a = numbers.next(rank * inputs)
                let b = numbers.next(outputs * rank)
                for row in 0..<outputs {
                    for column in 0..<inputs {
                        var sum: Float = 0
                        for index in 0..<rank { sum += b[row * rank + index] * a[index * inputs + column] }
                        values[row * inputs + column] += Float(record.scaling) * sum
                    }
                }
                tensors.append(try make(module + ".lora_A.weight", .float32, [rank, inputs], a, .adapter))
                tensors.append(try make(module + ".lora_B.weight", .float32, [outputs, rank], b, .adapter))
                tensors.append(
                    TensorToWrite(group: .base, description: tensor.description, content: .copy(model, tensor)))
            } else if !rows.isEmpty, AdapterRecord.rowWeights.contains(name) {
                let columns = tensor.description.shape[1]
                let old = rows.flatMap { values[$0 * columns..<($0 + 1) * columns] }
                tensors.append(try make(name, tensor.description.elementType, [rows.count, columns], old, .base))
                for row in rows { for index in row * columns..<(row + 1) * columns { values[index] += 0.125 } }
            } else {
                tensors.append(TensorToWrite(description: tensor.description, content: .copy(model, tensor)))
                continue
            }
            let description = tensor.description
            tensors.append(try make(name, description.elementType, description.shape, values, .weights))
        }
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: true)
        return try CheckpointFile(path: path)
    }

    private static func make(
        _ name: String, _ type: ElementType, _ shape: [Int], _ values: [Float], _ group: TensorGroup
    ) throws -> TensorToWrite {
        var bytes = [UInt8](repeating: 0, count: values.count * type.byteCount)
        try bytes.withUnsafeMutableBytes { target in
            try values.withUnsafeBufferPointer { try ElementConversion.fromFloat32($0, type, into: target) }
        }
        let content = bytes
        return TensorToWrite(
            group: group, description: TensorDescription(name: name, elementType: type, shape: shape),
            content: .bytes { range, target in
                content.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
    }

    /// Numbers in −0.25..<0.25, the same on every run.
    private struct Numbers {
        var state: UInt64

        mutating func next(_ count: Int) -> [Float] {
            (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Float(state >> 40) / Float(1 << 25) - 0.25
            }
        }
    }
}

import CheckpointIO
import OrderedJSON

/// Stores weights in another floating-point type; optimizer moments keep theirs.
public enum Cast {
    private static let floatTypes: [ElementType] = [.float32, .float16, .bfloat16, .float64]

    /// Writes a copy of a checkpoint with converted weights.
    ///
    /// - Parameters:
    ///   - input: the checkpoint to convert.
    ///   - type: a floating-point type.
    ///   - pattern: selects the tensors to convert by name.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError` if `type` is not a floating-point type, `pattern` matches no weight, or a value exceeds
    ///   the range of `type`.
    public static func run(
        _ input: CheckpointFile, as type: ElementType, matching pattern: NamePattern, to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        guard floatTypes.contains(type) else {
            throw SurgeryError.badOption(
                name: "--dtype",
                reason: "\(type.rawValue) is not a floating-point type; give float32, float16 or bfloat16")
        }
        try SurgeryError.require([pattern], toMatchTensorOf: input, option: "--tensor")
        var result = SurgeryOutput(
            "cast", arguments: ["dtype": .string(type.rawValue), "tensors": .string(pattern.text)], of: input,
            to: destination)
        var castCount = 0
        for tensor in input.allTensors {
            let old = tensor.description
            guard tensor.group == .weights, pattern.matches(old.name), floatTypes.contains(old.elementType),
                old.elementType != type
            else {
                result.copy(tensor, from: input)
                continue
            }
            castCount += 1
            var description = old
            description.elementType = type
            let source = TensorRows(input, tensor)
            result.tensors.append(
                TensorToWrite(group: .weights, description: description) { elements, values in
                    try source.readElements(elements, into: values)
                    guard !overflows(values, in: type) else {
                        throw SurgeryError.unsuitableTensor(
                            path: input.path, tensor: old.name,
                            reason: "has values too large for \(type.rawValue); cast to bfloat16 or float32")
                    }
                })
        }
        result.report = ["cast_tensors": .integer(castCount)]
        if pattern == NamePattern("*"), var config = try? JSON.parse(input.metadata.config) {
            for key in ["torch_dtype", "dtype"] where config[key] != nil { config[key] = .string(type.rawValue) }
            if config != (try? JSON.parse(input.metadata.config)) {
                result.metadata.config = config.serialized(indent: 2)
            }
        }
        return try result.write()
    }

    /// Whether rounding to `type` makes a finite value infinite.
    private static func overflows(_ values: UnsafeMutableBufferPointer<Float>, in type: ElementType) -> Bool {
        switch type {
        case .float16: values.contains { $0.isFinite && abs($0) >= 65520 }
        case .bfloat16: values.contains { $0.isFinite && abs($0) > 3.3961775e38 }
        default: false
        }
    }
}

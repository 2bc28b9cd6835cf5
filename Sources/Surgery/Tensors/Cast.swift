import CheckpointIO
import OrderedJSON

/// Stores weights in another floating-point type. Optimizer moments keep theirs.
public enum Cast {
    private static let floatTypes: [ElementType] = [.float32, .float16, .bfloat16, .float64]

    /// - Parameter pattern: only tensors whose name it matches.
    /// - Throws: `SurgeryError.badOption` for a type that is no float type.
    package static func run(
        _ input: CheckpointFile, to type: ElementType, matching pattern: NamePattern, output: String, overwrite: Bool,
        tool: String, progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        guard floatTypes.contains(type) else {
            throw SurgeryError.badOption(
                name: "--dtype", reason: "\(type.rawValue) is no float type; give float32, float16 or bfloat16")
        }
        var result = SurgeryOutput(
            "cast", arguments: ["dtype": .string(type.rawValue), "tensors": .string(pattern.text)], of: input,
            tool: tool)
        var castCount = 0
        for group in allTensorGroups {
            for tensor in input.tensors(in: group) {
                let old = tensor.description
                guard group == .weights, pattern.matches(old.name), floatTypes.contains(old.elementType),
                    old.elementType != type
                else {
                    result.copy(tensor, from: input, in: group)
                    continue
                }
                castCount += 1
                var description = old
                description.elementType = type
                let source = TensorRows(input, tensor)
                result.tensors.append(
                    TensorToWrite(
                        group: group, description: description,
                        content: .bytes { range, target in
                            let lost = try cast(source, to: type, range, into: target)
                            guard lost == 0 else {
                                throw SurgeryError.unsuitableTensor(
                                    path: input.path, tensor: old.name,
                                    reason: "has values too large for \(type.rawValue); cast to bfloat16 or float32")
                            }
                        }))
            }
        }
        result.report = ["cast_tensors": .integer(castCount)]
        if pattern == NamePattern("*"), var config = try? JSON.parse(input.metadata.config) {
            for key in ["torch_dtype", "dtype"] where config[key] != nil { config[key] = .string(type.rawValue) }
            if config != (try? JSON.parse(input.metadata.config)) {
                result.metadata.config = config.serialized(indent: 2)
            }
        }
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }

    /// Converts bytes `range` of the result through float32 (exactly where both types hold the value).
    ///
    /// - Returns: how many finite values became infinite.
    private static func cast(
        _ source: TensorRows, to type: ElementType, _ range: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        let elements = range.lowerBound / type.byteCount..<range.upperBound / type.byteCount
        var lost = 0
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(elements.count, 1))
        defer { values.deallocate() }
        let slice = UnsafeMutableBufferPointer(rebasing: values[..<elements.count])
        try source.readElements(elements, into: slice)
        try ElementConversion.fromFloat32(UnsafeBufferPointer(slice), type, into: target)
        if type == .float16 {
            for value in slice where value.isFinite && abs(value) >= 65520 { lost += 1 }
        } else if type == .bfloat16 {
            for value in slice where value.isFinite && abs(value) > 3.3961775e38 { lost += 1 }
        }
        return lost
    }
}

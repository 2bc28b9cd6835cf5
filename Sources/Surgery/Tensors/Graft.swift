import CheckpointIO
import OrderedJSON

/// Extracts tensors from a checkpoint or replaces them with another's; all tensors are copied as compressed chunks.
public enum Graft {
    /// Writes a checkpoint with only the matching weights; the metadata stays.
    ///
    /// - Parameters:
    ///   - input: the checkpoint to take tensors from.
    ///   - patterns: select tensors by name; each must match one.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError.badOption` if a pattern matches nothing.
    public static func extract(
        _ input: CheckpointFile, matching patterns: [NamePattern], to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let lookup = NamePatterns(patterns)
        let kept = input.tensors().filter { !lookup.indices(matching: $0.description.name).isEmpty }
        try SurgeryError.require(patterns, toMatchTensorOf: input, option: "--tensor")
        var result = SurgeryOutput(
            "extract", arguments: ["tensors": .array(patterns.map { .string($0.text) })], of: input, to: destination,
            report: ["kept": .integer(kept.count), "left_out": .integer(input.tensors().count - kept.count)])
        result.metadata.dropTrainingState()
        let names = Set(kept.map(\.description.name))
        result.metadata.tiedTensors = input.metadata.tiedTensors.filter { names.contains($0.value) }
        for tensor in kept { result.copy(tensor, from: input) }
        return try result.write()
    }

    /// Writes a copy of `base` in which matching weights are replaced with those of `donor`.
    ///
    /// The tensors keep the donor's storage types.
    ///
    /// - Parameters:
    ///   - base: the checkpoint to change.
    ///   - donor: the checkpoint to take tensors from.
    ///   - patterns: select the donor's tensors by name; each must match one.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError` if a pattern matches nothing, `base` lacks a tensor, or shapes differ.
    public static func run(
        _ base: CheckpointFile, from donor: CheckpointFile, matching patterns: [NamePattern],
        to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let lookup = NamePatterns(patterns)
        let grafts = donor.tensors().filter { !lookup.indices(matching: $0.description.name).isEmpty }
        try SurgeryError.require(patterns, toMatchTensorOf: donor, option: "--tensor")
        var byName: [String: StoredTensor] = [:]
        for graft in grafts {
            guard let own = base.tensor(graft.description.name) else {
                throw SurgeryError.noTensor(path: base.path, tensor: graft.description.name)
            }
            guard own.description.shape == graft.description.shape else {
                throw SurgeryError.unsuitableTensor(
                    path: donor.path, tensor: graft.description.name,
                    reason: "has shape \(graft.description.shape), but \(base.path) has \(own.description.shape)")
            }
            byName[graft.description.name] = graft
        }
        var result = SurgeryOutput(
            "graft",
            arguments: [
                "tensors": .array(patterns.map { .string($0.text) }), "donor": .string(donor.digest),
            ], of: base, to: destination,
            report: ["grafted": .array(grafts.map { .string($0.description.name) })])
        for tensor in base.allTensors {
            if tensor.group == .weights, let graft = byName[tensor.description.name] {
                result.copy(graft, from: donor)
            } else {
                result.copy(tensor, from: base)
            }
        }
        return try result.write()
    }
}

import CheckpointIO
import OrderedJSON

/// Takes tensors out of a checkpoint, or puts another's in; everything moves as compressed chunks.
public enum Graft {
    /// A file with only the tensors that match; the rest of the record stays, so that it can be grafted elsewhere.
    ///
    /// - Throws: `SurgeryError.badOption` where nothing matches.
    package static func extract(
        _ input: CheckpointFile, matching patterns: [NamePattern], to output: String, overwrite: Bool, tool: String,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        let kept = input.tensors().filter { tensor in patterns.contains { $0.matches(tensor.description.name) } }
        try check(kept, patterns, input)
        var result = SurgeryOutput(
            "extract", arguments: ["tensors": .array(patterns.map { .string($0.text) })], of: input, tool: tool,
            report: ["kept": .integer(kept.count), "left_out": .integer(input.tensors().count - kept.count)])
        result.metadata.kind = .model
        result.metadata.optimizer = nil
        result.metadata.trainingState = nil
        let names = Set(kept.map(\.description.name))
        result.metadata.tiedTensors = input.metadata.tiedTensors.filter { names.contains($0.value) }
        for tensor in kept { result.copy(tensor, from: input, in: .weights) }
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }

    /// The first checkpoint with the matching tensors of `donor` in place of its own.
    ///
    /// - Throws: `SurgeryError` where nothing matches, the base lacks a tensor, or shapes differ. Another storage type
    ///   is taken over as it is.
    package static func run(
        _ base: CheckpointFile, from donor: CheckpointFile, matching patterns: [NamePattern], to output: String,
        overwrite: Bool, tool: String, progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        let grafts = donor.tensors().filter { tensor in patterns.contains { $0.matches(tensor.description.name) } }
        try check(grafts, patterns, donor)
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
            ], of: base, tool: tool,
            report: ["grafted": .array(grafts.map { .string($0.description.name) })])
        for group in allTensorGroups {
            for tensor in base.tensors(in: group) {
                if group == .weights, let graft = byName[tensor.description.name] {
                    result.copy(graft, from: donor, in: group)
                } else {
                    result.copy(tensor, from: base, in: group)
                }
            }
        }
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }

    private static func check(_ found: [StoredTensor], _ patterns: [NamePattern], _ file: CheckpointFile) throws {
        for pattern in patterns where !found.contains(where: { pattern.matches($0.description.name) }) {
            throw SurgeryError.badOption(
                name: "--tensor", reason: "no tensor of \(file.path) matches \(pattern.text); `ckpt inspect` lists them"
            )
        }
    }
}

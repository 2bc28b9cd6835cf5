import CheckpointIO
import OrderedJSON

extension Merge {
    /// Writes a copy of a model with an adapter merged into its weights.
    ///
    /// Weights that the adapter leaves alone are copied as they are stored.
    ///
    /// - Parameters:
    ///   - model: the base model.
    ///   - adapter: the adapter.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `ModelFormatError` if the adapter does not fit the model; an error of reading or writing. No output
    ///   exists then.
    public static func run(
        _ model: CheckpointFile, adapter: PEFTAdapter, to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let adapted = try adapter.merged(into: model.metadata, CheckpointTensors(model))
        var result = SurgeryOutput("merge", arguments: try adapter.record(), of: model, to: destination)
        result.metadata = adapted.metadata
        result.metadata.createdBy = destination.tool
        result.metadata.dropTrainingState()
        // The parent's curves and probes do not describe the merged model.
        result.metadata.history = [:]
        result.metadata.probes = []
        let source = adapted.source
        for tensor in source.tensors {
            if !adapted.changed.contains(tensor.name), let stored = model.tensor(tensor.name) {
                result.copy(stored, from: model)
            } else {
                result.tensors.append(TensorToWrite(reading: tensor, from: source))
            }
        }
        result.report = [
            "merged_tensors": .integer(adapted.changed.count), "notes": .array(adapted.notes.map(JSON.string)),
        ]
        return try result.write()
    }
}

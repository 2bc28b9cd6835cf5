import CheckpointIO
import OrderedJSON

/// A checkpoint's chat template, checked for a prefilled control token and optionally freed of it.
struct ChatTemplateEdit {
    /// The template for the new file.
    let text: String?
    /// The template without the prefill, for prompts, even if the new file keeps the prefill.
    let withoutPrefill: String?
    let variables: [String: JSON]
    let prefill: String?
    let wasFixed: Bool
    let notes: [String]

    init(_ input: CheckpointFile, fixes: Bool, controlTokens: [String], variables: [String: JSON]) throws {
        self.variables = variables
        guard let source = input.metadata.chatTemplate else {
            text = nil
            withoutPrefill = nil
            prefill = nil
            wasFixed = false
            notes = ["the file has no chat template; prompts are the bare question"]
            return
        }
        let finder = PrefillEditor(source: source, variables: variables)
        prefill = try finder.prefilledToken(among: controlTokens)
        guard let prefill else {
            text = source
            withoutPrefill = source
            wasFixed = false
            notes = []
            return
        }
        let repaired = try finder.removing(prefill)
        withoutPrefill = repaired ?? source
        wasFixed = fixes
        if fixes {
            guard let repaired else { throw SurgeryError.templateNotFixed(path: input.path) }
            text = repaired
            notes = ["the chat template no longer puts \(prefill) into the generation prompt"]
        } else {
            text = source
            notes = [
                "the chat template ends the generation prompt with \(prefill), so the model cannot choose a mode; "
                    + "give --fix-template to remove it"
            ]
        }
    }
}

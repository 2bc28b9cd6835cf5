import CheckpointIO
import OrderedJSON

/// A checkpoint's chat template, checked for prefilled control tokens and optionally freed of them.
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
        guard let found = try finder.prefill(among: controlTokens) else {
            prefill = nil
            text = source
            withoutPrefill = source
            wasFixed = false
            notes = []
            return
        }
        let prefill = String(decoding: found.text, as: UTF8.self)
        self.prefill = prefill
        let repaired = try finder.removingPrefill(among: controlTokens)
        withoutPrefill = repaired ?? source
        wasFixed = fixes
        if fixes {
            guard let repaired else { throw SurgeryError.templateNotFixed(path: input.path, prefill: prefill) }
            text = repaired
            notes = ["removed \(quoted(prefill)) after the assistant's header from the chat template"]
        } else {
            text = source
            notes = [
                "the chat template puts \(quoted(prefill)) after the assistant's header, so the model cannot choose a "
                    + "mode; give --fix-template to remove it"
            ]
        }
    }
}

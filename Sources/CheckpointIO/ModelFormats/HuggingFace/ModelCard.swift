import OrderedJSON

/// The model card (`README.md`) of an exported folder: attribution, lineage, control tokens, prompts, evaluation.
struct ModelCard {
    let text: String

    /// Writes the card of a checkpoint.
    ///
    /// - Parameters:
    ///   - metadata: everything but the tensors.
    ///   - name: the folder's name, which is the title.
    ///   - base: the base model, if the folder has an adapter alone.
    init(_ metadata: CheckpointMetadata, name: String, base: String? = nil) {
        var attribution = ModelAttribution(lineage: metadata.lineage)
        if let base { attribution.baseModels = [base] }
        let library = base == nil ? "transformers" : "peft"
        var lines = ["---"] + Self.frontMatter(attribution, library) + ["---", "", "# \(Self.inline(name))", ""]
        let type = (try? JSON.parse(metadata.config))?["model_type"]?.string ?? "unknown"
        let adapter = base == nil ? "" : "LoRA adapter for a "
        lines.append(
            "A \(adapter)decoder of the family \(Self.inline(type)), exported by \(Self.inline(Tool.name)).")
        lines += Self.section("Lineage", Self.lineage(metadata))
        lines += Self.section("Control tokens", Self.controlTokens(metadata.tokenizer))
        lines += Self.section("Prompts", Self.prompts(metadata, base: base))
        lines += Self.section("Evaluation", Self.evaluation(metadata))
        let license = attribution.licenseName ?? attribution.license
        let link = attribution.licenseLink.map { " (\(Self.inline($0)))" } ?? ""
        lines += Self.section(
            "License",
            [
                license.map { "\(Self.inline($0))\(link), as stated by the model that was imported." }
                    ?? "The model that was imported states no license."
            ])
        text = lines.joined(separator: "\n") + "\n"
    }

    private static func frontMatter(_ attribution: ModelAttribution, _ library: String) -> [String] {
        var lines: [String] = []
        for (key, values) in attribution.fields {
            if values.count == 1 {
                lines.append("\(key): \(FrontMatter.quoted(values[0]))")
            } else {
                lines += ["\(key):"] + values.map { "- \(FrontMatter.quoted($0))" }
            }
        }
        return lines + ["library_name: \(library)", "pipeline_tag: text-generation"]
    }

    private static func section(_ title: String, _ content: [String]) -> [String] {
        content.isEmpty ? [] : ["", "## \(title)", ""] + content
    }

    /// Text for one line of Markdown, with its special characters escaped.
    private static func inline(_ text: String) -> String {
        var result = ""
        for character in text.onOneLine(limit: 200) {
            if "\\`*_[]<>|#".contains(character) { result.append("\\") }
            result.append(character)
        }
        return result
    }

    /// Text as code in a line or a cell of Markdown.
    private static func code(_ text: String) -> String {
        let text = text.onOneLine(limit: 200).replacing("|", with: "\\|")
        return text.contains("`") ? "`` \(text) ``" : "`\(text)`"
    }

    private static func lineage(_ metadata: CheckpointMetadata) -> [String] {
        let entries = metadata.lineage.compactMap { LineageEntry(text: $0) }
        guard !entries.isEmpty else { return [] }
        let rows = entries.enumerated().map { index, entry in
            let parent = entry.parent.map { code(String($0.prefix(12))) } ?? ""
            return "| \(index + 1) | \(code(entry.operation)) | \(parent) | \(inline(entry.tool)) |"
        }
        return ["| | operation | from state | by |", "|---|---|---|---|"] + rows
    }

    private static func controlTokens(_ tokenizer: TokenizerRecord?) -> [String] {
        guard let tokenizer else { return [] }
        let roles = [
            (tokenizer.thinkID, "starts an answer with thinking"), (tokenizer.thinkEndID, "ends the thinking"),
            (tokenizer.shortID, "starts a short answer"),
        ]
        let rows = roles.compactMap { id, role in
            id.map { id in
                let content = tokenizer.addedTokens.first { $0.id == id }?.content ?? ""
                return "| \(code(content)) | \(id) | \(role) |"
            }
        }
        return rows.isEmpty ? [] : ["| token | id | meaning |", "|---|---|---|"] + rows
    }

    private static func prompts(_ metadata: CheckpointMetadata, base: String?) -> [String] {
        guard let tokenizer = metadata.tokenizer, metadata.chatTemplate != nil else { return [] }
        func token(_ id: Int?) -> String? { id.flatMap { id in tokenizer.addedTokens.first { $0.id == id }?.content } }
        var prompt = [
            "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "tokenizer = AutoTokenizer.from_pretrained(folder)",
        ]
        if let base {
            prompt.insert("from peft import PeftModel", at: 1)
            prompt.append("base = AutoModelForCausalLM.from_pretrained(\(JSON.string(base).serialized()))")
            prompt.append("model = PeftModel.from_pretrained(base, folder)")
        } else {
            prompt.append("model = AutoModelForCausalLM.from_pretrained(folder)")
        }
        prompt += [
            "messages = [{\"role\": \"user\", \"content\": \"What is 6*7?\"}]",
            "prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)",
        ]
        let call = [
            "ids = tokenizer(prompt, add_special_tokens=False, return_tensors=\"pt\")",
            "print(tokenizer.decode(model.generate(**ids, max_new_tokens=512)[0]))", "```",
        ]
        guard let think = token(tokenizer.thinkID), let short = token(tokenizer.shortID) else { return prompt + call }
        return [
            "The model's first token chooses the mode. Leave the prompt as it is to let the model choose, or append "
                + "\(code(think)) to have it think and \(code(short)) to have it answer at once.", "",
        ] + prompt + [
            "prompt += \(JSON.string(think).serialized())  # or \(JSON.string(short).serialized()), or nothing"
        ]
            + call
    }

    /// The last values of accuracy and length in the run's history, and the mode preference.
    private static func evaluation(_ metadata: CheckpointMetadata) -> [String] {
        var rows: [String] = []
        for (phase, history) in metadata.history.sorted(by: { $0.key < $1.key }) {
            let steps = history["step"] ?? []
            for name in history.names.sorted() where name.hasPrefix("eval_") || name.hasPrefix("acc_") {
                let values = history[name] ?? []
                guard let last = values.lastIndex(where: \.isFinite) else { continue }
                let step = last < steps.count ? Int(exactly: steps[last]).map(String.init) ?? "" : ""
                rows.append("| \(inline(phase)) | \(code(name)) | \(rounded(values[last])) | \(step) |")
            }
        }
        var lines = rows.isEmpty ? [] : ["| run | metric | last value | step |", "|---|---|---|---|"] + rows
        if let probe = metadata.probes.last, let think = probe.pThink.last, let short = probe.pShort.last,
            !think.isEmpty
        {
            func mean(_ values: [Double]) -> String { rounded(values.reduce(0, +) / Double(values.count)) }
            if !lines.isEmpty { lines.append("") }
            lines.append(
                "Over \(think.count) probe prompts, the first token is the thinking token with probability "
                    + "\(mean(think)) and the short one with \(mean(short)) "
                    + "on average.")
        }
        return lines
    }

    private static func rounded(_ value: Double) -> String {
        value.isFinite ? JSON.double((value * 1e4).rounded() / 1e4).serialized() : "–"
    }
}

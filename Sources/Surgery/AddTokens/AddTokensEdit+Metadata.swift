import CheckpointIO
import OrderedJSON

extension AddTokensEdit {
    /// The metadata of the new file.
    func metadata(report: AddTokensReport, tool: String) -> CheckpointMetadata {
        var metadata = input.metadata
        metadata.createdBy = tool
        if metadata.adapter != nil { metadata.dropTrainingState() }
        if config["vocab_size"]?.int != plan.rowsAfter {
            var config = config
            config["vocab_size"] = .integer(plan.rowsAfter)
            metadata.config = config.serialized(indent: 2)
        }
        metadata.chatTemplate = template.text
        metadata.tokenizer = input.metadata.tokenizer.map(tokenizerRecord)
        metadata.lineage.append(
            LineageEntry(
                operation: "add-tokens",
                arguments: [
                    "tokens": .array(options.tokens.map { .string($0) }),
                    "rename": .array(options.renames.map { .string($0.old + "=" + $0.new) }),
                    "init": .string(options.initialization.argument), "seed": .number(String(options.seed)),
                    "rescale": .bool(options.rescalesMean), "fix_template": .bool(options.fixesTemplate),
                ],
                parent: input.digest, tool: tool, report: report.json
            ).text)
        return metadata
    }

    private func tokenizerRecord(_ old: TokenizerRecord) -> TokenizerRecord {
        var record = old
        let trained = Dictionary(
            record.addedTokens.map { ($0.id, $0.trained) }, uniquingKeysWith: { first, _ in first })
        // The row of a reserved token was never trained, whatever its values.
        let untrained = Set(plan.tokens.filter { $0.origin.needsRow || $0.origin == .renamed }.map(\.id))
        record.json = plan.tokenizerJSON
        record.config = plan.tokenizerConfig
        // Some folders keep a copy of the template in tokenizer_config.json, which readers prefer.
        if template.wasFixed, let text = template.text, let config = record.config,
            var json = try? JSON.parse(config), json["chat_template"]?.string == input.metadata.chatTemplate
        {
            json["chat_template"] = .string(text)
            record.config = json.serialized(indent: 2)
        }
        record.addedTokens = plan.tokenizer.addedTokens.map { token in
            AddedTokenRecord(
                id: token.id, content: token.content, special: token.special,
                trained: untrained.contains(token.id) ? false : trained[token.id] ?? true)
        }
        let ids = Dictionary(
            plan.tokenizer.addedTokens.map { ($0.content, $0.id) }, uniquingKeysWith: { first, _ in first })
        record.thinkID = ids["<think>"] ?? record.thinkID
        record.thinkEndID = ids["</think>"] ?? record.thinkEndID
        record.shortID = ids["<short>"] ?? record.shortID
        return record
    }
}

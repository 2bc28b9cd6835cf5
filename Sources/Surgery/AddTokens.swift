import CheckpointIO
import OrderedJSON
import Synchronization
import Tokenization
import Transformer

/// Gives a model new tokens: tokenizer, matrix rows, optimizer moments, configuration and chat template in one step,
/// checked before anything is written.
///
/// The matrix never shrinks, rows that no token uses are taken before it grows, and every tensor that has no
/// vocabulary dimension is copied as compressed chunks.
public enum AddTokens {
    /// - Returns: what was done, as it also stands in the new file's lineage.
    /// - Throws: `SurgeryError`, or an error of reading, tokenizing or writing; then no output exists.
    public static func run(
        _ input: CheckpointFile, _ options: AddTokensOptions, to output: String, overwrite: Bool,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> AddTokensReport {
        let tensors = try VocabularyTensors(input)
        let vocabulary = Set(tensors.all.map(\.description.name))
        let stored = [TensorGroup.weights, .optimizerM, .optimizerV].flatMap { input.tensors(in: $0) }
        let copies = stored.filter { !vocabulary.contains($0.description.name) }.map { Self.copy($0, of: input) }
        // The disk takes longer over the copies than the cores over the rest.
        let made = Mutex<AddTokensReport?>(nil)
        let written = try CheckpointWriter.write(
            copying: copies, to: output, overwrite: overwrite, progress: progress,
            while: {
                let edit = try Self.edit(
                    input, options, tensors, stored.filter { vocabulary.contains($0.description.name) }, copies.count)
                made.withLock { $0 = edit.report }
                return (edit.metadata, edit.tensors)
            })
        guard var report = made.withLock({ $0 }) else { preconditionFailure("written without a report") }
        report.digest = written.digest
        report.fileByteCount = written.fileByteCount
        return report
    }

    private static func copy(_ tensor: StoredTensor, of input: CheckpointFile) -> TensorToWrite {
        TensorToWrite(group: tensor.group, description: tensor.description, content: .copy(input, tensor))
    }

    /// What becomes of the metadata and of `stored`, the tensors with a vocabulary dimension.
    private static func edit(
        _ input: CheckpointFile, _ options: AddTokensOptions, _ tensors: VocabularyTensors, _ stored: [StoredTensor],
        _ copyCount: Int
    ) throws -> (metadata: CheckpointMetadata, tensors: [TensorToWrite], report: AddTokensReport) {
        guard let record = input.metadata.tokenizer else { throw SurgeryError.noTokenizer(path: input.path) }
        // A tokenizer of many tokens takes one core longer to read than the other one takes to go through the rows.
        let (sums, plan) = try RowSums.all(
            [tensors.embedding, tensors.head].compactMap(\.self).map { TensorRows(input, $0) },
            beside: {
                try VocabularyPlan(
                    record, tokens: options.tokens, renames: options.renames, rows: tensors.rows, path: input.path)
            })
        let checks = try plan.tokens.map { try encodes($0, in: plan.tokenizer) }
        let tokenizerConfig = try parsed(plan.tokenizerConfig, "/tokenizer/config", input)
        let template = try AdjustedTemplate(
            input, fixes: options.fixesTemplate, controlTokens: plan.tokens.map(\.content),
            variables: TemplatePrefill.variables(tokenizerConfig: tokenizerConfig))

        let config = try parsed(input.metadata.config, "/config", input) ?? [:]
        let source = try copiedRow(input, options, plan, template)
        let embedding = try EditedMatrix(sums[0], plan, options, source: source?.id, config: config, stream: 1)
        let head = try sums.dropFirst().first.map {
            try EditedMatrix($0, plan, options, source: source?.id, config: config, stream: 2)
        }

        let changes = plan.tokens.contains { $0.origin.needsRow } || plan.rowsAfter != plan.rowsBefore
        var toWrite: [TensorToWrite] = []
        var extendsOptimizer = false
        for tensor in stored {
            guard changes else {
                toWrite.append(copy(tensor, of: input))
                continue
            }
            let edited: EditedRows
            switch (tensor.group, tensor.description.name) {
            case (.weights, VocabularyTensors.embeddingName): edited = embedding.rows
            case (.weights, VocabularyTensors.headName):
                guard let head else { continue }
                edited = head.rows
            case (.weights, _):
                edited = try biasRows(input, tensor, plan, source: source?.id)
            default:
                // Moments of a fresh row are zero, whatever a reserved row's were.
                let old = TensorRows(input, tensor)
                let zero = [UInt8](repeating: 0, count: old.rowByteCount)
                let fresh = plan.tokens.filter { $0.origin.needsRow }
                edited = EditedRows(
                    old: old, replacements: Dictionary(uniqueKeysWithValues: fresh.map { ($0.id, zero) }),
                    rowCount: plan.rowsAfter)
                extendsOptimizer = true
            }
            toWrite.append(edited.tensorToWrite(in: tensor.group))
        }

        var report = AddTokensReport(
            tokens: try zip(plan.tokens, checks).map { token, encodes in
                AddTokensReport.TokenReport(
                    content: token.content, id: token.id, origin: token.origin,
                    embedding: try embedding.report(of: token.id), head: try head?.report(of: token.id),
                    encodes: encodes == nil)
            },
            rowsBefore: plan.rowsBefore, rowsAfter: plan.rowsAfter, tokenizerSizeBefore: plan.tokenizerSizeBefore,
            tokenizerSizeAfter: plan.tokenizerSizeAfter, isTied: head == nil,
            initialization: options.initialization.argument, source: source,
            norms: [embedding.summary, head?.summary].compactMap(\.self), extendsOptimizer: extendsOptimizer,
            copiedTensorCount: copyCount + (changes ? 0 : toWrite.count),
            writtenTensorCount: changes ? toWrite.count : 0,
            templatePrefill: template.prefill,
            templateWasFixed: template.wasFixed,
            endTokens: try endTokens(input, config: config, tokenizer: plan.tokenizer),
            notes: plan.notes + checks.compactMap(\.self) + template.notes)
        if options.measuresDivergence, changes {
            do {
                report.divergence = try Divergence(
                    input, plan: plan, config: config, embedding: embedding.rows, head: head?.rows
                ).measure(template: template.withoutPrefill, variables: template.variables)
            } catch let error as ConfigurationError {
                report.notes.append("KL not measured: \(error)")
            }
        }
        let metadata = try metadata(of: input, plan, options, template: template, config: config, report: report)
        return (metadata, toWrite, report)
    }

    /// - Returns: nil, or what is wrong with a token that was there before.
    /// - Throws: where it is a token that was just added.
    private static func encodes(_ token: VocabularyPlan.Token, in tokenizer: Tokenizer) throws -> String? {
        guard let failure = EncodingChecks.failure(of: token.content, id: token.id, in: tokenizer) else { return nil }
        guard token.origin == .present else {
            throw SurgeryError.encodingCheck(token: token.content, context: failure.context, reason: failure.reason)
        }
        return "\(token.content) in \(quoted(failure.context)) \(failure.reason)"
    }

    private static func parsed(_ text: String?, _ place: String, _ input: CheckpointFile) throws -> JSON? {
        guard let text else { return nil }
        do {
            return try JSON.parse(text)
        } catch {
            throw SurgeryError.malformed(path: input.path, place: place, reason: error.description)
        }
    }

    private static func copiedRow(
        _ input: CheckpointFile, _ options: AddTokensOptions, _ plan: VocabularyPlan, _ template: AdjustedTemplate
    ) throws -> AddTokensReport.CopiedRow? {
        guard plan.tokens.contains(where: { $0.origin.needsRow }) else { return nil }
        switch options.initialization {
        case .mean, .normal: return nil
        case .copy(let text):
            let ids = plan.tokenizer.id(of: text).map { [$0] } ?? plan.tokenizer.encode(text)
            guard ids.count == 1 else {
                throw SurgeryError.unknownSource(
                    token: text, reason: "is \(ids.count) tokens of this vocabulary; name one that is a single token")
            }
            guard ids[0] < min(plan.rowsBefore, plan.tokenizerSizeBefore) else {
                throw SurgeryError.unknownSource(token: text, reason: "has no row yet; name a token the model knows")
            }
            return AddTokensReport.CopiedRow(id: ids[0], text: text, probability: nil)
        case .automatic:
            let first = try FirstAnswerToken(
                input, tokenizer: plan.tokenizer, template: template.withoutPrefill, variables: template.variables,
                excluded: Set(plan.tokens.map(\.id)))
            return AddTokensReport.CopiedRow(id: first.id, text: first.text, probability: first.probability)
        }
    }

    /// The head's bias: the mean, or the copied token's.
    private static func biasRows(
        _ input: CheckpointFile, _ tensor: StoredTensor, _ plan: VocabularyPlan, source: Int?
    ) throws -> EditedRows {
        let old = TensorRows(input, tensor)
        let used = min(plan.tokenizerSizeBefore, plan.rowsBefore)
        var values = [Float](repeating: 0, count: old.rows)
        try values.withUnsafeMutableBufferPointer { try old.readRows(0..<old.rows, into: $0) }
        let mean = Float(values[..<used].reduce(0.0) { $0 + Double($1) } / Double(max(used, 1)))
        let bytes = try NewRows.stored([source.map { values[$0] } ?? mean], as: old.description)
        let fresh = plan.tokens.filter { $0.origin.needsRow }
        return EditedRows(
            old: old, replacements: Dictionary(uniqueKeysWithValues: fresh.map { ($0.id, bytes) }),
            rowCount: plan.rowsAfter)
    }

    /// The tokens that end a generation, so that the report shows whether the template's end of turn is among them.
    private static func endTokens(_ input: CheckpointFile, config: JSON, tokenizer: Tokenizer) throws -> [String] {
        let generation = try parsed(input.metadata.generationConfig, "/generation_config", input)
        let value = generation?["eos_token_id"] ?? config["eos_token_id"]
        let ids = value?.int.map { [$0] } ?? value?.array?.compactMap(\.int) ?? []
        return ids.map { tokenizer.token(of: $0) ?? "id \($0)" }
    }
}

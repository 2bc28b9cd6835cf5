import CheckpointIO
import OrderedJSON
import Tokenization
import Transformer

/// Everything that one run of `AddTokens` changes, computed and checked before it is written.
struct AddTokensEdit {
    let input: CheckpointFile
    let options: AddTokensOptions
    let plan: VocabularyPlan
    let template: ChatTemplateEdit
    let config: JSON
    /// The token whose row the new rows copy.
    private let source: AddTokensReport.CopiedRow?
    private let embedding: ExtendedMatrix
    /// nil if the head is tied to the embedding.
    private let head: ExtendedMatrix?
    /// For each token, nil or why it does not round-trip.
    private let roundTripProblems: [String?]

    init(_ input: CheckpointFile, _ options: AddTokensOptions, _ tensors: VocabularyTensors) throws {
        guard let record = input.metadata.tokenizer else { throw SurgeryError.noTokenizer(path: input.path) }
        // The model is run to choose and to check the rows.
        try EngineThreads.prepare()
        // Reading a large tokenizer on one core takes longer than reading the rows on another.
        let (sums, plan) = try RowSums.all(
            [tensors.embedding, tensors.head].compactMap(\.self).map { TensorRows(input, $0) },
            beside: {
                try VocabularyPlan(
                    record, tokens: options.tokens, renames: options.renames, rows: tensors.rows, path: input.path)
            })
        self.input = input
        self.options = options
        self.plan = plan
        roundTripProblems = try plan.tokens.map { try Self.roundTripProblem(of: $0, in: plan.tokenizer) }
        let tokenizerConfig = try parsedJSON(plan.tokenizerConfig, at: "/tokenizer/config", path: input.path)
        template = try ChatTemplateEdit(
            input, fixes: options.fixesTemplate, controlTokens: plan.tokens.map(\.content),
            variables: PrefillEditor.variables(tokenizerConfig: tokenizerConfig))
        let config = try parsedJSON(input.metadata.config, at: "/config", path: input.path) ?? [:]
        self.config = config
        let source = try Self.copiedRow(input, options, plan, template)
        self.source = source
        embedding = try ExtendedMatrix(sums[0], plan, options, source: source?.id, config: config, stream: 1)
        head = try sums.dropFirst().first.map {
            try ExtendedMatrix($0, plan, options, source: source?.id, config: config, stream: 2)
        }
    }

    /// Checks that a token round-trips.
    ///
    /// - Returns: nil, or the problem of a token that was already present.
    /// - Throws: `SurgeryError.encodingCheck` for a new token.
    private static func roundTripProblem(of token: PlannedToken, in tokenizer: Tokenizer) throws -> String? {
        let failure = TokenRoundTrip.failure(of: token.content, id: token.id, in: tokenizer)
        try tokenizer.checkPatterns()
        guard let failure else { return nil }
        guard token.origin == .present else {
            throw SurgeryError.encodingCheck(token: token.content, context: failure.context, reason: failure.reason)
        }
        return "\(token.content) in \(quoted(failure.context)) \(failure.reason)"
    }

    private static func copiedRow(
        _ input: CheckpointFile, _ options: AddTokensOptions, _ plan: VocabularyPlan, _ template: ChatTemplateEdit
    ) throws -> AddTokensReport.CopiedRow? {
        guard plan.freshTokens.contains(where: { options.initialization.copies($0.content) }) else { return nil }
        switch options.initialization {
        case .mean, .normal: return nil
        case .copy(let text):
            let ids = plan.tokenizer.id(of: text).map { [$0] } ?? plan.tokenizer.encode(text)
            guard ids.count == 1 else {
                throw SurgeryError.unknownSource(
                    token: text, reason: "is \(ids.count) tokens of this vocabulary; give a single token")
            }
            guard ids[0] < min(plan.rowsBefore, plan.tokenizerSizeBefore) else {
                throw SurgeryError.unknownSource(token: text, reason: "has no row yet; give an existing token")
            }
            return AddTokensReport.CopiedRow(id: ids[0], text: text, probability: nil)
        case .automatic:
            let first = try FirstAnswerToken(
                input, tokenizer: plan.tokenizer, template: template.withoutPrefill, variables: template.variables,
                excluded: Set(plan.tokens.map(\.id)))
            return AddTokensReport.CopiedRow(id: first.id, text: first.text, probability: first.probability)
        }
    }

    /// Whether any row changes; if not, all tensors are copied.
    private var changesRows: Bool { !plan.freshTokens.isEmpty || plan.rowsAfter != plan.rowsBefore }

    /// The new content of the tensors that have a vocabulary dimension.
    func tensorsToWrite(_ stored: [StoredTensor]) throws -> [TensorToWrite] {
        try stored.map { tensor in
            changesRows
                ? try edited(tensor).tensorToWrite(in: tensor.group) : TensorToWrite(copying: tensor, of: input)
        }
    }

    private func edited(_ tensor: StoredTensor) throws -> EditedRows {
        let old = TensorRows(input, tensor)
        guard tensor.group == .weights else {
            // The moments of a fresh row are zero, even if a reserved row had others.
            return withFreshRows(old) { _ in [UInt8](repeating: 0, count: old.rowByteCount) }
        }
        let matrices = [embedding, head].compactMap(\.self)
        return try matrices.first { $0.name == old.description.name }?.rows ?? biasRows(old)
    }

    /// The head's bias, whose new elements are the mean or the copied token's bias.
    private func biasRows(_ old: TensorRows) throws -> EditedRows {
        let used = min(plan.tokenizerSizeBefore, plan.rowsBefore)
        var values = [Float](repeating: 0, count: old.rows)
        try values.withUnsafeMutableBufferPointer { try old.readRows(0..<old.rows, into: $0) }
        let mean = Float(values[..<used].reduce(0.0) { $0 + Double($1) } / Double(max(used, 1)))
        return try withFreshRows(old) { token in
            let copied = options.initialization.copies(token) ? source.map { values[$0.id] } : nil
            return try NewRows.stored([copied ?? mean], as: old.description)
        }
    }

    /// `old` with bytes in every fresh row that depend on its token.
    private func withFreshRows(_ old: TensorRows, _ bytes: (String) throws -> [UInt8]) rethrows -> EditedRows {
        EditedRows(
            old: old,
            replacements: Dictionary(
                uniqueKeysWithValues: try plan.freshTokens.map { ($0.id, try bytes($0.content)) }),
            rowCount: plan.rowsAfter)
    }

    /// Describes the edit and measures how far it moves the model's answers.
    ///
    /// - Parameters:
    ///   - stored: the tensors that have a vocabulary dimension.
    ///   - copyCount: the number of all other tensors.
    /// - Returns: the report, without the new file's digest and size.
    /// - Throws: an error of reading or of the chat template.
    func report(on stored: [StoredTensor], copyCount: Int) throws -> AddTokensReport {
        var report = AddTokensReport(
            tokens: try zip(plan.tokens, roundTripProblems).map { token, problem in
                AddTokensReport.TokenReport(
                    content: token.content, id: token.id, origin: token.origin,
                    embedding: try embedding.report(of: token.id), head: try head?.report(of: token.id),
                    encodes: problem == nil)
            },
            rowsBefore: plan.rowsBefore, rowsAfter: plan.rowsAfter, tokenizerSizeBefore: plan.tokenizerSizeBefore,
            tokenizerSizeAfter: plan.tokenizerSizeAfter, isTied: head == nil,
            initialization: options.initialization.argument, source: source,
            uncopied: source == nil
                ? [] : plan.freshTokens.map(\.content).filter { !options.initialization.copies($0) },
            norms: [embedding.summary, head?.summary].compactMap(\.self),
            extendsOptimizer: changesRows && stored.contains { $0.group != .weights },
            copiedTensorCount: copyCount + (changesRows ? 0 : stored.count),
            writtenTensorCount: changesRows ? stored.count : 0, templatePrefill: template.prefill,
            templateWasFixed: template.wasFixed, endTokens: try endTokens(),
            notes: plan.notes + roundTripProblems.compactMap(\.self) + template.notes
                + (input.metadata.adapter == nil ? [] : [SurgeryOutput.droppedAdapterNote]))
        if options.measuresDivergence, changesRows {
            do {
                report.divergence = try Divergence(
                    input, plan: plan, config: config, embedding: embedding.rows, head: head?.rows
                ).measure(template: template.withoutPrefill, variables: template.variables)
            } catch let error as ConfigurationError {
                report.notes.append("KL not measured: \(error)")
            }
        }
        return report
    }

    /// The tokens that end a generation; the template's end of turn should be among them.
    private func endTokens() throws -> [String] {
        let generation = try parsedJSON(
            input.metadata.generationConfig, at: "/generation_config", path: input.path)
        let value = generation?["eos_token_id"] ?? config["eos_token_id"]
        let ids = value?.int.map { [$0] } ?? value?.array?.compactMap(\.int) ?? []
        return ids.map { plan.tokenizer.token(of: $0) ?? "id \($0)" }
    }
}

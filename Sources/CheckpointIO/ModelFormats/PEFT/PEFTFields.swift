import OrderedJSON

/// The fields of an `adapter_config.json`, read with their types.
struct PEFTFields {
    let path: String
    let json: JSON

    /// A field's value; nil if it is absent or null.
    subscript(key: String) -> JSON? {
        guard let value = json[key], !value.isNull else { return nil }
        return value
    }

    func malformed(_ key: String, _ reason: String) -> ModelFormatError {
        .malformed(path: path, place: key, reason: reason)
    }

    /// Whether a setting is absent, null, false or empty.
    func isOff(_ key: String) -> Bool {
        switch self[key] {
        case nil, .bool(false)?: true
        case .array(let elements)?: elements.isEmpty
        case .object(let members)?: members.isEmpty
        case .string(let text)?: text.isEmpty
        default: false
        }
    }

    func text(_ key: String) throws -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.string else { throw malformed(key, "is \(value.kindName), not a string") }
        return text
    }

    func boolean(_ key: String) throws -> Bool? {
        guard let value = self[key] else { return nil }
        guard let boolean = value.bool else { throw malformed(key, "is \(value.kindName), not a boolean") }
        return boolean
    }

    func number(_ key: String) throws -> Double? {
        guard let value = self[key] else { return nil }
        guard let number = value.double, number.isFinite else { throw malformed(key, "is not a finite number") }
        return number
    }

    func integer(_ key: String) throws -> Int? {
        guard let value = self[key] else { return nil }
        guard let integer = value.int else { throw malformed(key, "is not an integer") }
        return integer
    }

    /// One integer or a list of them.
    func integers(_ key: String) throws -> [Int] {
        guard let value = self[key] else { return [] }
        let elements = value.array ?? [value]
        let integers = elements.compactMap(\.int)
        guard integers.count == elements.count else { throw malformed(key, "must be an integer or a list of integers") }
        return integers
    }

    /// One text or a list of them.
    func texts(_ key: String) throws -> [String] {
        guard let value = self[key] else { return [] }
        let elements = value.array ?? [value]
        let texts = elements.compactMap(\.string)
        guard texts.count == elements.count else { throw malformed(key, "must be a string or a list of strings") }
        return texts
    }

    /// The most regular expressions that a table may have.
    private static let maximumPatternCount = 200

    /// A table of values by the end of a module's name or a regular expression; the first match counts.
    func patterns(_ key: String) throws -> [(key: ModuleKey, value: Double)] {
        guard !isOff(key) else { return [] }
        guard let members = json[key]?.object else { throw malformed(key, "is not an object") }
        var patternCount = 0
        return try members.map { name, value in
            guard let number = value.double, number > 0, number.isFinite else {
                throw malformed(key, "has a value that is not a positive number")
            }
            let entry = try ModuleKey(name, path: path)
            if case .pattern = entry { patternCount += 1 }
            guard patternCount <= Self.maximumPatternCount else {
                throw malformed(key, "has more than \(Self.maximumPatternCount) regular expressions")
            }
            return (entry, number)
        }
    }

    /// Tokens by module: a list, which belongs to the input embedding, or an object of lists.
    func tokens(_ key: String) throws -> [(module: String?, ids: [Int])] {
        guard !isOff(key) else { return [] }
        func ids(_ value: JSON) throws -> [Int] {
            let ids = value.array?.compactMap(\.int) ?? []
            guard !ids.isEmpty, ids.count == value.array?.count, Set(ids).count == ids.count else {
                throw malformed(key, "must be a list of different integers, or an object of such lists")
            }
            return ids
        }
        guard let members = json[key]?.object else { return [(nil, try ids(json[key] ?? .null))] }
        return try members.map { ($0.key, try ids($0.value)) }
    }

    // MARK: - What is not LoRA

    /// Settings that are read, or that do not change what trained tensors mean.
    private static let known: Set<String> = [
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
        "eva_config", "exclude_modules", "inference_mode", "init_lora_weights", "layers_pattern",
        "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout", "lora_ga_config", "megatron_config",
        "megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern",
        "revision", "runtime_config", "target_modules", "task_type", "trainable_token_indices", "use_rslora",
    ]
    /// Ways to initialize A and B that leave the base model unchanged.
    private static let plainInitializations: Set<String> = ["gaussian", "eva", "orthogonal"]

    /// Refuses other kinds of adapters and variants of LoRA.
    func refuseVariants() throws {
        guard let type = try text("peft_type") else {
            throw malformed("peft_type", "is missing; give the folder of a PEFT adapter")
        }
        guard type == "LORA" else { throw unsupported("an adapter of type \(type.onOneLine(limit: 40))") }
        for key in (json.object ?? JSONObject()).keys where !Self.known.contains(key) && !isOff(key) {
            throw unsupported("the setting \(quoted(key)) of an adapter")
        }
        if let text = self["init_lora_weights"]?.string, !Self.plainInitializations.contains(text) {
            throw ModelFormatError.unsupported(
                path: path, what: "init_lora_weights \(quoted(text)), which changes the base model,",
                remedy: "convert the adapter with peft: save_pretrained(…, path_initial_model_for_weight_conversion=…)")
        }
    }

    private func unsupported(_ what: String) -> ModelFormatError {
        .unsupported(
            path: path, what: what,
            remedy: "merge it with peft (merge_and_unload) and import the merged model")
    }
}

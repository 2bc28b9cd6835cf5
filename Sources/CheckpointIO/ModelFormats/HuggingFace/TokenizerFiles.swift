import Foundation
import OrderedJSON

/// The tokenizer of a Hugging Face folder, merged from its files as transformers 4 and 5 do when they load it.
struct TokenizerFiles {
    /// nil if the folder has no tokenizer that is read.
    private(set) var record: TokenizerRecord?
    private(set) var notes: [String] = []

    /// Reads the files.
    ///
    /// - Parameters:
    ///   - folder: the path of the folder.
    ///   - modelType: `model_type` of config.json, which decides where the tokenizer's class is not named.
    ///   - rows: the number of embedding rows; added tokens beyond them are left out.
    /// - Throws: `ModelFormatError`.
    init(folder: String, modelType: String?, rows: Int?) throws {
        let path = { (folder as NSString).appendingPathComponent($0) }
        let configPath = path("tokenizer_config.json")
        let configText = try TextFile.text(configPath, maximumByteCount: TextFile.maximumTokenizerByteCount)
        let original = try configText.map { try TextFile.object(Array($0.utf8), path: configPath) } ?? [:]
        var config = original
        // Without the table of added tokens, the older files count.
        let isOld = config["added_tokens_decoder"] == nil
        if isOld { try Self.merge(path("special_tokens_map.json"), into: &config) }

        var sourcePath = path("tokenizer.json")
        var bytes = try TextFile.bytes(sourcePath, maximumByteCount: TextFile.maximumTokenizerByteCount)
        let tokenizer: JSON
        if let bytes {
            tokenizer = try TextFile.object(bytes, path: sourcePath)
        } else if let source = try TokenizerSourceFiles(folder: folder, config: config, modelType: modelType) {
            tokenizer = source.tokenizer
            sourcePath = source.path
            for (name, value) in source.defaults where config[name] == nil { config[name] = .string(value) }
            notes += source.notes
        } else {
            let others = ["tokenizer.model", "vocab.json", "vocab.txt"].filter { access(path($0), F_OK) == 0 }
            notes.append(
                "no tokenizer.json"
                    + (others.isEmpty ? "" : " (\(others.joined(separator: ", ")) of this kind not read)")
                    + ": imported without a tokenizer")
            return
        }
        var merger = AddedTokenMerger(tokenizer, rows: rows)
        let named = Self.namedTokens(config)
        let table = isOld ? try Self.addedTokens(path("added_tokens.json"), named) : try Self.table(config, configPath)
        let names = Set(named.map(\.key))
        for token in table { merger.add(token, isNamed: names.contains(token.key)) }
        for token in named where !merger.contains(token) { merger.add(token, isNamed: true) }
        notes += merger.notes
        Self.nameTokens(in: &config)
        if bytes == nil || merger.hasChanged { bytes = Array((merger.tokenizer.serialized(indent: 2) + "\n").utf8) }
        let text = config == original ? configText : config.serialized(indent: 2) + "\n"
        record = try TokenizerRecord(json: bytes ?? [], config: text, path: sourcePath)
    }

    /// Lets the members of special_tokens_map.json replace those of the configuration.
    private static func merge(_ path: String, into config: inout JSON) throws {
        guard let bytes = try TextFile.bytes(path, maximumByteCount: TextFile.maximumConfigByteCount) else { return }
        for (name, value) in try TextFile.object(bytes, path: path).object ?? JSONObject() {
            if let list = value.array, let others = config[name]?.array {
                let known = Set(others.compactMap { AddedTokenEntry(json: $0, special: true)?.key })
                config[name] = .array(
                    others + list.filter { !known.contains(AddedTokenEntry(json: $0, special: true)?.key ?? []) })
            } else {
                config[name] = value
            }
        }
    }

    private static let roles = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]
    private static let lists = ["additional_special_tokens", "extra_special_tokens"]

    /// Replaces the objects of special_tokens_map.json, which transformers does not read here, by their texts.
    private static func nameTokens(in config: inout JSON) {
        func named(_ value: JSON) -> JSON { value["__type"] == nil ? value["content"] ?? value : value }
        for role in roles { config[role] = config[role].map(named) }
        for list in lists { if let tokens = config[list]?.array { config[list] = .array(tokens.map(named)) } }
    }

    /// The tokens with a role, in the order in which transformers adds them.
    private static func namedTokens(_ config: JSON) -> [AddedTokenEntry] {
        let lists = lists.flatMap { config[$0]?.array ?? [] }
        return (roles.compactMap { config[$0] } + lists).compactMap { AddedTokenEntry(json: $0, special: true) }
    }

    /// The entries of `added_tokens_decoder`, by id.
    private static func table(_ config: JSON, _ path: String) throws -> [AddedTokenEntry] {
        try (config["added_tokens_decoder"]?.object ?? JSONObject()).map { key, value in
            guard let id = Int(key), var token = AddedTokenEntry(json: value, special: false), value.object != nil
            else {
                throw ModelFormatError.malformed(
                    path: path, place: "added_tokens_decoder", reason: "\(quoted(key)) is not a token with its id")
            }
            token.id = id
            return token
        }.sorted { ($0.id ?? 0) < ($1.id ?? 0) }
    }

    /// The tokens of added_tokens.json, by id.
    private static func addedTokens(_ path: String, _ named: [AddedTokenEntry]) throws -> [AddedTokenEntry] {
        guard let bytes = try TextFile.bytes(path, maximumByteCount: TextFile.maximumConfigByteCount) else { return [] }
        let names = Set(named.map(\.key))
        return try (TextFile.object(bytes, path: path).object ?? JSONObject()).map { content, id in
            guard let id = id.int else {
                throw ModelFormatError.malformed(
                    path: path, place: quoted(content), reason: "is \(id.kindName), not an id")
            }
            return AddedTokenEntry(content: content, id: id, special: names.contains(Array(content.utf8)))
        }.sorted { ($0.id ?? 0) < ($1.id ?? 0) }
    }
}

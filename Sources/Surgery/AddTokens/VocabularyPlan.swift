import CheckpointIO
import OrderedJSON
import Tokenization

/// Where a requested token's id and row come from.
package enum TokenOrigin: String, Sendable {
    /// It already was an added token and keeps its row.
    case present
    /// It was an ordinary token of the vocabulary; it keeps id and row and is now matched before pre-tokenisation.
    case vocabularyPiece = "vocabulary_piece"
    /// A reserved token was renamed and keeps its id and row.
    case renamed
    /// It received an unused row (padding of the matrix).
    case reservedRow = "reserved_row"
    /// The matrix grew by its row.
    case newRow = "new_row"

    /// Whether the row must be initialised.
    var needsRow: Bool { self == .reservedRow || self == .newRow }
}

/// A requested token with its id.
struct PlannedToken: Sendable {
    let content: String
    let id: Int
    let origin: TokenOrigin
}

/// The ids of the requested tokens and the edited tokenizer files; reads no tensor.
struct VocabularyPlan: Sendable {
    let tokens: [PlannedToken]
    /// The highest id + 1.
    let tokenizerSizeBefore: Int
    let tokenizerSizeAfter: Int
    let rowsBefore: Int
    /// At least `rowsBefore`.
    let rowsAfter: Int
    /// The edited tokenizer.json; the original bytes if nothing changed.
    let tokenizerJSON: [UInt8]
    let tokenizerConfig: String?
    /// The edited tokenizer.
    let tokenizer: Tokenizer
    /// Warnings about tokens that already existed.
    let notes: [String]

    /// The tokens whose rows must be initialised.
    var freshTokens: [PlannedToken] { tokens.filter { $0.origin.needsRow } }

    init(
        _ record: TokenizerRecord, tokens wanted: [String], renames: [(old: String, new: String)], rows: Int,
        path: String
    ) throws {
        var editor = try TokenizerEditor(json: record.json)
        let before = try editor.tokenizer()
        try Self.check(wanted, existing: before, renames: renames)
        var config = try parsedJSON(record.config, at: "/tokenizer/config", path: path)
        var notes: [String] = []
        var renamed: Set<String> = []
        for rename in renames {
            guard let old = before.addedTokens.first(where: { $0.content == rename.old }) else {
                throw SurgeryError.badToken(
                    token: rename.old, reason: "is not an added token of this tokenizer, so it cannot be renamed")
            }
            try editor.rename(rename.old, to: rename.new)
            Self.rename(old.id, from: rename.old, to: rename.new, in: &config)
            renamed.insert(rename.new)
        }

        if !renames.isEmpty { editor = try TokenizerEditor(json: Self.madeOrdinary(renamed, in: editor.json)) }
        let current = try editor.tokenizer()
        var planned: [PlannedToken] = []
        for content in wanted {
            if let token = current.addedTokens.first(where: { $0.content == content }) {
                planned.append(
                    PlannedToken(
                        content: content, id: token.id, origin: renamed.contains(content) ? .renamed : .present))
                notes += Self.notes(about: token)
                continue
            }
            let existing = current.id(of: content)
            let id = existing ?? editor.nextID
            let token = AddedToken(id: id, content: content, special: false)
            try editor.add(token)
            Self.add(token, to: &config)
            let origin: TokenOrigin = existing != nil ? .vocabularyPiece : id < rows ? .reservedRow : .newRow
            planned.append(PlannedToken(content: content, id: id, origin: origin))
        }
        let edited = planned.contains { $0.origin != .present }
        self.tokens = planned
        tokenizerSizeBefore = before.vocabularySize
        tokenizerSizeAfter = max(before.vocabularySize, (planned.map(\.id).max() ?? -1) + 1)
        rowsBefore = rows
        rowsAfter = max(rows, tokenizerSizeAfter)
        tokenizerJSON = edited ? editor.json : record.json
        tokenizerConfig = edited ? config?.serialized(indent: 2) ?? record.config : record.config
        tokenizer = try editor.tokenizer()
        self.notes = notes
    }

    /// Clears the flags of renamed tokens.
    ///
    /// Reserved tokens are usually special; a control token must not be, or decoding without special tokens loses the
    /// mode.
    private static func madeOrdinary(_ tokens: Set<String>, in json: [UInt8]) throws -> [UInt8] {
        var root = try JSON.parse(json)
        root["added_tokens"] = .array(
            (root["added_tokens"]?.array ?? []).map { entry in
                guard let content = entry["content"]?.string, tokens.contains(content) else { return entry }
                var entry = entry
                for flag in ["special", "lstrip", "rstrip", "single_word", "normalized"] { entry[flag] = .bool(false) }
                return entry
            })
        return Array(root.serialized(indent: 2).utf8)
    }

    /// Rejects tokens that could not be distinguished in a text.
    private static func check(
        _ wanted: [String], existing: Tokenizer, renames: [(old: String, new: String)]
    ) throws {
        guard !wanted.isEmpty else { throw SurgeryError.badOption(name: "--token", reason: "no token to add") }
        let gone = Set(renames.map(\.old))
        let present = existing.addedTokens.map(\.content).filter { !gone.contains($0) }
        for (position, token) in wanted.enumerated() {
            guard !token.isEmpty else { throw SurgeryError.badToken(token: token, reason: "is empty") }
            guard token.utf8.count <= 256 else {
                throw SurgeryError.badToken(token: String(token.prefix(40)) + "…", reason: "is longer than 256 bytes")
            }
            if wanted[..<position].contains(token) {
                throw SurgeryError.badToken(token: token, reason: "is given twice")
            }
            if present.contains(token) { continue }
            // The longest match wins, so a token that is a prefix of another would be lost there.
            for other in present + wanted where other != token {
                if other.hasPrefix(token) || token.hasPrefix(other) {
                    throw SurgeryError.badToken(
                        token: token,
                        reason: "conflicts with \(quoted(other)): one starts with the other; choose another name")
                }
            }
        }
    }

    private static func notes(about token: AddedToken) -> [String] {
        var notes: [String] = []
        if token.special {
            notes.append("\(token.content) is a special token here; decoding that skips special tokens loses it")
        }
        if token.lstrip || token.rstrip {
            notes.append("\(token.content) absorbs adjacent white space (lstrip or rstrip)")
        }
        if token.normalized { notes.append("\(token.content) is matched after normalisation") }
        return notes
    }

    /// Updates `added_tokens_decoder` in tokenizer_config.json, which transformers 4 writes and 5 does not.
    private static func add(_ token: AddedToken, to config: inout JSON?) {
        guard config?["added_tokens_decoder"]?.object != nil else { return }
        config?["added_tokens_decoder"]?[String(token.id)] = [
            "content": .string(token.content), "lstrip": .bool(token.lstrip), "normalized": .bool(token.normalized),
            "rstrip": .bool(token.rstrip), "single_word": .bool(token.singleWord), "special": .bool(token.special),
        ]
    }

    private static func rename(_ id: Int, from old: String, to new: String, in config: inout JSON?) {
        if config?["added_tokens_decoder"]?[String(id)] != nil {
            config?["added_tokens_decoder"]?[String(id)]?["content"] = .string(new)
            config?["added_tokens_decoder"]?[String(id)]?["special"] = .bool(false)
        }
        for list in ["additional_special_tokens", "extra_special_tokens"] {
            guard let entries = config?[list]?.array else { continue }
            config?[list] = .array(entries.filter { ($0.string ?? $0["content"]?.string) != old })
        }
    }
}

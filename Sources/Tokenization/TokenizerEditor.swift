import OrderedJSON

/// Edits the added tokens of a `tokenizer.json`; all other members and their order are kept.
package struct TokenizerEditor: Sendable {
    private var root: JSON
    /// The bytes of the file until something changes.
    private var original: [UInt8]?
    /// The tokenizer before any edit; its model is reused unless an edit changes it.
    private let base: Tokenizer
    private var changesModel = false

    /// Reads a `tokenizer.json`.
    ///
    /// - Throws: `TokenizerError` if `Tokenizer` cannot read the file.
    package init(json: [UInt8]) throws {
        do {
            root = try JSON.parse(json)
        } catch {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
        original = json
        base = try Tokenizer(root)
    }

    /// Makes the edited tokenizer.
    ///
    /// - Throws: `TokenizerError` if the edited file is not a valid tokenizer.
    package func tokenizer() throws -> Tokenizer {
        original == nil ? try Tokenizer(root, sharingModelOf: changesModel ? nil : base) : base
    }

    /// The edited file; the original bytes if nothing changed.
    package var json: [UInt8] { original ?? Array(root.serialized(indent: 2).utf8) }

    /// The id that the next new token must have.
    ///
    /// When the `tokenizers` library reads a file, it numbers added tokens itself: after the vocabulary and after every
    /// other added token.
    package var nextID: Int {
        let added = (root["added_tokens"]?.array ?? []).compactMap { $0["id"]?.int }
        return max(VocabularyMember(of: root).count, (added.max() ?? -1) + 1)
    }

    /// Adds a new token at the end, or makes a token of the vocabulary an added token.
    ///
    /// - Throws: `TokenizerError.refusedEdit` if it is already an added token or has another id than it would receive.
    package mutating func add(_ token: AddedToken) throws {
        guard (1...AddedTokenMatcher.maximumLength).contains(token.content.utf8.count) else {
            throw TokenizerError.refusedEdit(reason: "an added token needs 1 to 4096 bytes of text")
        }
        var list = root["added_tokens"]?.array ?? []
        if list.contains(where: { isContent($0, token.content) }) {
            throw TokenizerError.refusedEdit(reason: "\"\(token.content)\" is already an added token")
        }
        let vocabulary = VocabularyMember(of: root)
        let expected = vocabulary.id(of: token.content) ?? nextID
        guard token.id == expected else {
            throw TokenizerError.refusedEdit(
                reason: "\"\(token.content)\" would receive id \(expected), not \(token.id); use id \(expected)")
        }
        // The library counts tokens, so if ids have gaps, the count may be the id of another token.
        if let other = vocabulary.token(of: token.id, except: token.content) {
            throw TokenizerError.refusedEdit(
                reason: "\"\(token.content)\" would receive id \(expected), which \"\(other)\" has in model.vocab; "
                    + "the vocabulary has gaps")
        }
        let entry: JSON = [
            "id": .integer(token.id), "content": .string(token.content), "single_word": .bool(token.singleWord),
            "lstrip": .bool(token.lstrip), "rstrip": .bool(token.rstrip), "normalized": .bool(token.normalized),
            "special": .bool(token.special),
        ]
        // Sorted by id, as the library writes them.
        let index = list.firstIndex { ($0["id"]?.int ?? -1) > token.id } ?? list.count
        list.insert(entry, at: index)
        root["added_tokens"] = .array(list)
        original = nil
    }

    /// Renames an added token everywhere in the file; it keeps its id.
    ///
    /// - Throws: `TokenizerError.refusedEdit` if there is no such added token, the new name is taken, or merges use the
    ///   old one.
    package mutating func rename(_ old: String, to new: String) throws {
        var list = root["added_tokens"]?.array ?? []
        guard let index = list.firstIndex(where: { isContent($0, old) }) else {
            throw TokenizerError.refusedEdit(reason: "\"\(old)\" is not an added token")
        }
        guard (1...AddedTokenMatcher.maximumLength).contains(new.utf8.count) else {
            throw TokenizerError.refusedEdit(reason: "an added token needs 1 to 4096 bytes of text")
        }
        guard !list.contains(where: { isContent($0, new) }), VocabularyMember(of: root).id(of: new) == nil else {
            throw TokenizerError.refusedEdit(reason: "\"\(new)\" is already a token")
        }
        list[index]["content"] = .string(new)
        try renameInVocabulary(old, new)
        root["added_tokens"] = .array(list)
        if root["model"]?["unk_token"]?.string.map({ isSame($0, old) }) ?? false {
            root["model"]?["unk_token"] = .string(new)
        }
        if let processor = root["post_processor"] {
            root["post_processor"] = renamed(processor, old, new)
        }
        changesModel = true
        original = nil
    }

    private func isContent(_ entry: JSON, _ content: String) -> Bool {
        entry["content"]?.string.map { isSame($0, content) } ?? false
    }

    private func isSame(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    private mutating func renameInVocabulary(_ old: String, _ new: String) throws {
        let vocabulary = VocabularyMember(of: root)
        guard vocabulary.id(of: old) != nil else { return }
        for merge in root["model"]?["merges"]?.array ?? [] {
            let parts =
                merge.array?.compactMap(\.string)
                ?? merge.string?.split(separator: " ", omittingEmptySubsequences: false).map(String.init) ?? []
            if parts.contains(where: { isSame($0, old) }) || isSame(parts.joined(), old) {
                throw TokenizerError.refusedEdit(reason: "\"\(old)\" is used by merges")
            }
        }
        root["model"]?["vocab"] = vocabulary.renaming(old, to: new)
    }

    /// Renames a special token in a post-processor: in `special_tokens` (keys, `id`, `tokens`) and `SpecialToken`.
    private func renamed(_ json: JSON, _ old: String, _ new: String) -> JSON {
        switch json {
        case .array(let elements): return .array(elements.map { renamed($0, old, new) })
        case .object(let members):
            return .object(
                JSONObject(
                    members.map { member in
                        var value = renamed(member.value, old, new)
                        switch member.key {
                        case "SpecialToken":
                            if value["id"]?.string.map({ isSame($0, old) }) ?? false { value["id"] = .string(new) }
                        case "special_tokens": value = renamedTable(value, old, new)
                        default: break
                        }
                        return (member.key, value)
                    }))
        default: return json
        }
    }

    private func renamedTable(_ json: JSON, _ old: String, _ new: String) -> JSON {
        guard let members = json.object else { return json }
        return .object(
            JSONObject(
                members.map { member in
                    guard isSame(member.key, old) else { return (member.key, member.value) }
                    var value = member.value
                    if value["id"] != nil { value["id"] = .string(new) }
                    if let tokens = value["tokens"]?.array {
                        let names = tokens.map { token -> JSON in
                            token.string.map { isSame($0, old) } ?? false ? .string(new) : token
                        }
                        value["tokens"] = .array(names)
                    }
                    return (new, value)
                }))
    }
}

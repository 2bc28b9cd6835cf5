import OrderedJSON

/// An added token as the files of a folder describe it.
struct AddedTokenEntry {
    let content: String
    /// The id that the file gives.
    var id: Int?
    private var flags: [String: Bool]

    private static let names = ["single_word", "lstrip", "rstrip", "normalized", "special"]

    init(content: String, id: Int?, special: Bool) {
        self.content = content
        self.id = id
        flags = ["normalized": !special, "special": special]
    }

    /// Reads a text or an object with flags; nil for anything else and for an empty text.
    init?(json: JSON, special: Bool) {
        guard let content = json.string ?? json["content"]?.string, !content.isEmpty else { return nil }
        let isSpecial = special || json["special"]?.bool ?? false
        self.init(content: content, id: nil, special: isSpecial)
        for name in Self.names { flags[name] = json[name]?.bool ?? flags[name] }
        flags["special"] = isSpecial
    }

    /// The bytes of the text; Swift considers some different strings equal.
    var key: [UInt8] { Array(content.utf8) }

    mutating func makeSpecial() { flags["special"] = true }

    /// The entry of `added_tokens` with an id.
    func json(id: Int) -> JSON {
        var json: JSON = ["id": .integer(id), "content": .string(content)]
        for name in Self.names { json[name] = .bool(flags[name] ?? false) }
        return json
    }
}

/// Adds tokens to a `tokenizer.json`, with the ids that the `tokenizers` library gives them.
struct AddedTokenMerger {
    private let original: JSON
    private(set) var hasChanged = false
    private var leftOut: [String] = []
    private var renumbered: [String] = []
    private let rows: Int?
    private var entries: [JSON]
    private var places: [[UInt8]: Int] = [:]
    /// The ids of a vocabulary that is a list.
    private var listIDs: [[UInt8]: Int] = [:]
    private var nextID: Int

    init(_ tokenizer: JSON, rows: Int?) {
        original = tokenizer
        self.rows = rows
        entries = tokenizer["added_tokens"]?.array ?? []
        for (index, entry) in entries.enumerated() { places[Array((entry["content"]?.string ?? "").utf8)] = index }
        let vocabulary = tokenizer["model"]?["vocab"]
        for (id, piece) in (vocabulary?.array ?? []).enumerated() {
            listIDs[Array((piece.array?.first?.string ?? "").utf8)] = id
        }
        let highest = entries.compactMap { $0["id"]?.int }.filter { $0 < .max }.max() ?? -1
        nextID = max(vocabulary?.object?.count ?? vocabulary?.array?.count ?? 0, highest + 1)
    }

    /// The file with the tokens, sorted by id.
    var tokenizer: JSON {
        var tokenizer = original
        tokenizer["added_tokens"] = .array(entries.sorted { ($0["id"]?.int ?? 0) < ($1["id"]?.int ?? 0) })
        return tokenizer
    }

    /// Remarks for the user, one line each.
    var notes: [String] {
        var notes: [String] = []
        if !leftOut.isEmpty {
            notes.append("the tokenizer's files name \(listed(leftOut)) without a row in the embedding; left out")
        }
        if !renumbered.isEmpty {
            notes.append("\(listed(renumbered)): other ids than the tokenizer's files say, like in transformers")
        }
        return notes
    }

    func contains(_ token: AddedTokenEntry) -> Bool { places[token.key] != nil }

    /// Adds a token, or gives an existing one the same flags.
    mutating func add(_ token: AddedTokenEntry, isNamed: Bool) {
        var token = token
        if isNamed { token.makeSpecial() }
        if let place = places[token.key] {
            let entry = token.json(id: entries[place]["id"]?.int ?? -1)
            guard entry != entries[place] else { return }
            entries[place] = entry
        } else {
            let id = original["model"]?["vocab"]?.object?[token.content]?.int ?? listIDs[token.key] ?? nextID
            guard id < rows ?? .max else {
                leftOut.append(token.content)
                return
            }
            if let given = token.id, given != id { renumbered.append(token.content) }
            places[token.key] = entries.count
            entries.append(token.json(id: id))
            nextID = max(nextID, id + 1)
        }
        hasChanged = true
    }
}

import OrderedJSON

/// The member `model.vocab`: ids by token (BPE), or a list of tokens with their scores (Unigram).
struct VocabularyMember {
    private let json: JSON?

    init(of root: JSON) { json = root["model"]?["vocab"] }

    var count: Int { json?.object?.count ?? json?.array?.count ?? 0 }

    func id(of token: String) -> Int? {
        json?.object?[token]?.int ?? json?.array?.firstIndex { isToken($0, token) }
    }

    /// The token with an id, unless it is `excluded`.
    func token(of id: Int, except excluded: String) -> String? {
        if let pieces = json?.array {
            return pieces.indices.contains(id) && !isToken(pieces[id], excluded) ? pieces[id].array?.first?.string : nil
        }
        return json?.object?.first { !$0.key.utf8.elementsEqual(excluded.utf8) && $0.value.int == id }?.key
    }

    /// The member with one token renamed.
    func renaming(_ old: String, to new: String) -> JSON? {
        if let pieces = json?.array {
            return .array(
                pieces.map { piece in
                    isToken(piece, old) ? .array([.string(new)] + (piece.array ?? []).dropFirst()) : piece
                })
        }
        return json?.object.map { members in
            .object(JSONObject(members.map { ($0.key.utf8.elementsEqual(old.utf8) ? new : $0.key, $0.value) }))
        }
    }

    private func isToken(_ piece: JSON, _ token: String) -> Bool {
        piece.array?.first?.string?.utf8.elementsEqual(token.utf8) ?? false
    }
}

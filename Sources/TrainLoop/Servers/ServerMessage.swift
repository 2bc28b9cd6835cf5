import OrderedJSON

/// The messages of errors, of which servers have many forms.
enum ServerMessage {
    /// Whether a value is an error, and not a completion.
    static func isError(_ json: JSON) -> Bool {
        let error = first(of: json)["error"] ?? .null
        return !error.isNull || json["object"]?.string == "error" || json["type"]?.string == "error"
    }

    /// The message; nil if the value has none of the known forms.
    static func text(of json: JSON) -> String? {
        let json = first(of: json)
        for key in ["error", "message", "detail", "errors", "msg"] {
            guard let value = json[key], !value.isNull else { continue }
            if let text = value.string { return text }
            // FastAPI says which member is wrong: {"detail": [{"loc": ["body", "seed"], "msg": "…"}]}.
            let inner = first(of: value)
            guard let text = text(of: inner) else { continue }
            let place = (inner["loc"]?.array ?? []).compactMap(\.plainText).joined(separator: ".")
            return place.isEmpty ? text : "\(place): \(text)"
        }
        return nil
    }

    /// The HTTP status that an error states.
    static func status(in json: JSON) -> Int? {
        let error = first(of: json)["error"] ?? first(of: json)
        let code = error["code"] ?? error["status_code"] ?? error["status"]
        return (code?.int ?? code?.string.flatMap { Int($0) }).flatMap { (400...599).contains($0) ? $0 : nil }
    }

    /// The message in the body of a reply, or else the body.
    static func text(of body: [UInt8]) -> String {
        let json = try? JSON.parse(body)
        // Serializing undoes escapes that could hide a key.
        return json.flatMap { text(of: $0) } ?? json?.serialized()
            ?? String(decoding: body.prefix(1 << 16), as: UTF8.self)
    }

    private static func first(of json: JSON) -> JSON { json.array?.first ?? json }
}

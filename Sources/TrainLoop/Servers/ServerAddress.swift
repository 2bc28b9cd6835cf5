import HTTP
import OrderedJSON

/// The flags of a command that its messages about a server name.
package struct ServerFlags: Sendable, Equatable {
    /// Names the environment variable with the key.
    package var key: String
    package var model: String
    /// Adds members to requests.
    package var extra: String

    package init(key: String, model: String, extra: String) { (self.key, self.model, self.extra) = (key, model, extra) }
}

/// The address of a server with OpenAI's API, and its key.
package struct ServerAddress: Sendable, Equatable {
    /// The part before `/chat/completions`.
    package let base: String
    /// Sent as a bearer token.
    private let key: String?

    /// - Throws: `OptionError` if the text is not an HTTP address, or has a part that may hold a key: the address is
    ///   shown and stored.
    package init(_ given: String, key: String? = nil, flags: ServerFlags) throws {
        var text = given
        while text.hasSuffix("/") { text.removeLast() }
        if text.hasSuffix("/chat/completions") { text.removeLast("/chat/completions".count) }
        guard !given.contains(where: { "@?#".contains($0) }) else {
            throw OptionError(
                "the address of a server must have no user name, password or query, where a key would be shown and "
                    + "stored; give one like http://127.0.0.1:8000/v1, and name the environment variable that holds the "
                    + "key with \(flags.key)")
        }
        guard HTTPHost.name(in: text) != nil else {
            throw OptionError(
                "\(given.onOneLine(limit: 200)) is not a server address; give one like http://127.0.0.1:8000/v1")
        }
        base = text
        self.key = key?.trimmed
        guard self.key?.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) ?? true else {
            throw OptionError("the key that \(flags.key) names has a control character; set it to the key alone")
        }
    }

    /// A request to a path below the address, a POST if it has a body.
    func request(_ path: String, body: JSON? = nil) -> HTTPRequest {
        var request = HTTPRequest(url: base + "/" + path)
        if let key { request.headers.append(("Authorization", "Bearer " + key)) }
        if let body {
            request.headers.append(("Content-Type", "application/json"))
            request.body = Array(body.serialized().utf8)
        }
        return request
    }

    /// The text without the key, which a server may send back.
    ///
    /// A key of fewer than eight characters, such as the "none" of a local server, may be a word of an answer.
    func withoutKey(_ text: String, isAnswer: Bool = false) -> String {
        guard let key, !key.isEmpty, !isAnswer || key.utf8.count >= 8, text.containsBytes(of: key) else { return text }
        var rest = 0
        var parts: [String] = []
        for offset in text.byteOffsets(of: key) {
            parts.append(text.bytes(rest..<offset))
            rest = offset + key.utf8.count
        }
        return (parts + [text.bytes(rest..<text.utf8.count)]).joined(separator: "[key]")
    }

    /// A message of the server on one line, without the key, in quotation marks.
    func quoted(_ text: String) -> String {
        // The key goes before the text is cut.
        let line = withoutKey(text).trimmed.onOneLine(limit: 200)
        return line.isEmpty ? "empty reply" : "\"\(line)\""
    }
}

import OrderedJSON

/// The metadata at the start of a model card (`README.md`), between two lines of three dashes.
///
/// Of YAML it reads what model cards use: keys with a text or a list of texts, on one line or one item a line. Anything
/// else, nested objects above all, is passed over.
enum FrontMatter {
    static let maximumByteCount = 1 << 20

    /// The texts by key; empty if the card has no front matter.
    static func parse(_ card: String) -> [String: [String]] {
        let lines = card.split(separator: "\n", maxSplits: 2000, omittingEmptySubsequences: false).map(trimmingEnd)
        guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else { return [:] }
        var result: [String: [String]] = [:]
        var key: String?
        for line in lines[1..<end] {
            if let item = item(line) {
                guard let key, result[key, default: []].count < ModelAttribution.limits.count else { continue }
                if let text = text(item) { result[key, default: []].append(text) }
                continue
            }
            key = nil
            guard let colon = line.firstIndex(of: ":"), line.first?.isLetter ?? false else { continue }
            let name = String(line[..<colon])
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if value.isEmpty {
                key = name
            } else if value.hasPrefix("["), value.hasSuffix("]") {
                result[name] = value.dropFirst().dropLast().split(separator: ",")
                    .prefix(ModelAttribution.limits.count).compactMap { text($0.drop { $0 == " " }) }
            } else if let text = text(value) {
                result[name] = [text]
            }
        }
        return result
    }

    private static func trimmingEnd(_ line: Substring) -> Substring {
        var line = line
        while let last = line.last, last.isWhitespace { line.removeLast() }
        return line
    }

    /// The text after the dash of an item of a list.
    private static func item(_ line: Substring) -> Substring? {
        let start = line.drop { $0 == " " }
        return start.hasPrefix("- ") ? start.dropFirst(2).drop { $0 == " " } : nil
    }

    /// A plain or quoted text; nil for other kinds of value.
    private static func text(_ value: Substring) -> String? {
        var value = value
        while value.last == " " { value.removeLast() }
        for quote in ["\"", "'"] where value.count >= 2 && value.hasPrefix(quote) && value.hasSuffix(quote) {
            value = value.dropFirst().dropLast()
            return value.isEmpty ? nil : String(value.prefix(ModelAttribution.limits.length))
        }
        guard let first = value.first, !"[]{}&*!|>%@`\"'#".contains(first), !value.contains(": ") else { return nil }
        if ["null", "~"].contains(String(value)) { return nil }
        return String(value.prefix(ModelAttribution.limits.length))
    }

    /// A text as a value of YAML.
    static func quoted(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || "0123456789-_./+".unicodeScalars.contains($0))
        }
        let isWord =
            text.first?.isLetter ?? false
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
                .contains(text.lowercased())
        return isPlain && isWord ? text : JSON.string(text.onOneLine()).serialized()
    }
}

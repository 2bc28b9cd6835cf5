import Foundation
import OrderedJSON

/// The chat templates of a Hugging Face folder: one, or several with names.
///
/// transformers reads `chat_template.jinja` (the default) and `additional_chat_templates/NAME.jinja`, or else the
/// member `chat_template` of `tokenizer_config.json`: a text, a list of `{name, template}`, or an object.
struct ChatTemplateFiles {
    private let folder: String
    private var templates: [(name: String, text: String)] = []

    private static let defaultName = "default"

    init(folder: String) throws {
        self.folder = folder
        let path = { (folder as NSString).appendingPathComponent($0) }
        func text(_ path: String) throws -> String? {
            try TextFile.text(path, maximumByteCount: TextFile.maximumConfigByteCount)
        }
        if let text = try text(path("chat_template.jinja")) { templates.append((Self.defaultName, text)) }
        let more = path("additional_chat_templates")
        for file in ((try? FileManager.default.contentsOfDirectory(atPath: more)) ?? []).sorted()
        where file.hasSuffix(".jinja") {
            guard let text = try text((more as NSString).appendingPathComponent(file)) else { continue }
            templates.append((String(file.dropLast(6)), text))
        }
        let configPath = path("tokenizer_config.json")
        guard templates.isEmpty,
            let config = try TextFile.text(configPath, maximumByteCount: TextFile.maximumTokenizerByteCount),
            let value = try TextFile.object(Array(config.utf8), path: configPath)["chat_template"], !value.isNull
        else { return }
        if let text = value.string {
            templates = [(Self.defaultName, text)]
        } else if let members = value.object {
            templates = members.compactMap { member in member.value.string.map { (member.key, $0) } }
        } else {
            for entry in value.array ?? [] {
                if let name = entry["name"]?.string, let text = entry["template"]?.string {
                    templates.append((name, text))
                }
            }
        }
        guard !templates.isEmpty else {
            throw ModelFormatError.malformed(
                path: configPath, place: "chat_template", reason: "is neither a text nor a list of named templates")
        }
    }

    /// The template with a name; if that is nil the default one, or none with a note.
    func template(named name: String?, _ notes: inout [String]) throws -> String? {
        let names = templates.map(\.name)
        if let found = templates.first(where: { $0.name == name ?? Self.defaultName }) {
            let others = names.filter { $0 != found.name }
            if !others.isEmpty { notes.append("chat template \(quoted(found.name)); left out: \(listed(others))") }
            return found.text
        }
        if let name {
            throw ModelFormatError.missing(
                path: folder, what: "chat template named \(quoted(name))",
                remedy: templates.isEmpty ? "the folder has no chat template" : "it has \(listed(names))")
        }
        if !templates.isEmpty {
            notes.append(
                "imported without a chat template: the folder has \(listed(names)) and none named default; "
                    + "choose one with --chat-template")
        }
        return nil
    }
}

import CheckpointIO

/// What is to be said about a config.json.
enum ConfigurationNote {
    /// The fields that the model's class does not read; nil if there are none, or if the configuration is refused.
    static func text(_ config: String) -> String? {
        guard let configuration = try? ModelConfiguration(json: config), !configuration.unreadFields.isEmpty else {
            return nil
        }
        let fields = configuration.unreadFields.prefix(60).map { $0.onOneLine(limit: 80) }.joined(separator: ", ")
        let rest = configuration.unreadFields.count > 60 ? " and \(configuration.unreadFields.count - 60) more" : ""
        return "config.json: kept for export, but not read by \(configuration.className): \(fields)\(rest)"
    }

    /// Writes the note or, for a configuration that is refused, a warning.
    static func write(_ config: String) {
        if let text = text(config) { Terminal.writeError("ckpt: note: \(text)") }
        do {
            _ = try ModelConfiguration(json: config)
        } catch {
            Terminal.warn("\(error)")
        }
    }
}

/// The groups, datasets and attributes that a checkpoint may have; a file with any other is refused.
enum CheckpointShape {
    static func allowsGroup(_ path: String) -> Bool {
        switch path {
        case "/weights", "/tokenizer", "/tokenizer/added_tokens", "/optimizer", "/optimizer/m", "/optimizer/v",
            "/adapter", "/base", "/training", "/history", "/probe", "/lineage":
            true
        default:
            TensorGroup.allCases.contains { path.hasPrefix($0.path + "/") } || isChild(path, of: "/history")
                || isNumbered(path, of: "/probe") || DeltaRecord.allowsGroup(path)
        }
    }

    static func allowsDataset(_ path: String) -> Bool {
        switch path {
        case "/config", "/generation_config", "/chat_template", "/tokenizer/json", "/tokenizer/config",
            "/tokenizer/added_tokens/id", "/tokenizer/added_tokens/content", "/tokenizer/added_tokens/special",
            "/tokenizer/added_tokens/trained", AdapterRecord.path,
            AdapterRecord.adaptedWeightsPath, "/training/state":
            true
        default:
            isNumbered(path, of: "/lineage") || isMetric(path) || isProbeColumn(path) || DeltaRecord.allowsDataset(path)
        }
    }

    static func allowsAttribute(_ name: String, of path: String) -> Bool {
        switch path {
        case "/": ["format", "format_version", "kind", "created_by", "step", "digest", "record_digest"].contains(name)
        case "/weights": name == "tied"
        case "/tokenizer": ["think_id", "think_end_id", "short_id"].contains(name)
        case "/optimizer": ["step", "betas", "eps", "moments"].contains(name)
        default:
            isChild(path, of: "/history") && name == "order" || DeltaRecord.allowsAttribute(name, of: path)
        }
    }

    private static func isChild(_ path: String, of parent: String) -> Bool {
        path.hasPrefix(parent + "/") && !path.utf8.dropFirst(parent.utf8.count + 1).contains(UInt8(ascii: "/"))
    }

    private static func isNumbered(_ path: String, of parent: String) -> Bool {
        guard isChild(path, of: parent) else { return false }
        let digits = path.utf8.dropFirst(parent.utf8.count + 1)
        return digits.count >= 4 && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func isMetric(_ path: String) -> Bool {
        guard path.hasPrefix("/history/"), let slash = path.lastIndex(of: "/") else { return false }
        return isChild(String(path[..<slash]), of: "/history")
    }

    private static func isProbeColumn(_ path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/") else { return false }
        let table = String(path[..<slash])
        let column = path[path.index(after: slash)...]
        return (table == "/probe" || isNumbered(table, of: "/probe"))
            && ["prompt", "level", "step", "p_think", "p_short"].contains(column)
    }
}

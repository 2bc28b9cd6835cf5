import CheckpointIO
import OrderedJSON

/// The lineage of a state as a list, oldest entry first.
enum PageLineage {
    static func html(_ entries: [LineageEntry], _ digest: String) -> String {
        guard !entries.isEmpty else { return "" }
        let items = entries.map { entry in
            let parent = entry.parent.map { " from \(HTML.digest($0))" } ?? ""
            let options = entry.arguments.serialized(indent: 2)
            let details =
                options.count > 2
                ? HTML.folded(
                    "options of \(entry.operation)",
                    "<pre tabindex=\"0\" role=\"region\" aria-label=\"options of \(HTML.escape(entry.operation))\">"
                        + "\(HTML.escape(options))</pre>"
                ) : ""
            return "<li><strong>\(HTML.escape(entry.operation))</strong>\(parent), \(HTML.escape(entry.tool))"
                + "\(details)</li>"
        }
        return "<ol class=\"timeline\">\(items.joined())<li>this state: \(HTML.digest(digest))</li></ol>"
    }
}

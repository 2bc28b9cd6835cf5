import CheckpointIO
import OrderedJSON

/// The lineage of a state as a list, oldest entry first.
enum PageLineage {
    static func html(_ entries: [LineageEntry], _ digest: String) -> String {
        guard !entries.isEmpty else { return "" }
        let items = entries.map { entry in
            let parent = entry.parent.map { " from <code>\(HTML.escape(Format.shortDigest($0)))</code>" } ?? ""
            let options = entry.arguments.serialized(indent: 2)
            let details =
                options.count > 2
                ? "<details><summary>options</summary><pre>\(HTML.escape(options))</pre></details>" : ""
            return "<li><strong>\(HTML.escape(entry.operation))</strong>\(parent), \(HTML.escape(entry.tool))"
                + "\(details)</li>"
        }
        return
            "<ol class=\"timeline\">\(items.joined())<li>this state: <code>\(HTML.escape(Format.shortDigest(digest)))"
            + "</code></li></ol>"
    }
}

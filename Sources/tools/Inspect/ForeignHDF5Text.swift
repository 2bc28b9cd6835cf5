import CheckpointIO
import OrderedJSON

/// The objects of an HDF5 file of another program, as lines or JSON.
struct ForeignHDF5Text {
    private let file: ForeignHDF5File
    private let entries: [HDF5Entry]

    /// The objects at or below `path`, or all.
    ///
    /// - Throws: `InspectError.absent` if there is no such object.
    init(_ file: ForeignHDF5File, at path: String?) throws {
        self.file = file
        guard let path else {
            entries = file.entries
            return
        }
        let wanted = path.split(separator: "/").joined(separator: "/")
        entries = file.entries.filter { wanted.isEmpty || $0.path == wanted || $0.path.hasPrefix(wanted + "/") }
        guard !entries.isEmpty else { throw InspectError.absent(file: file.path, path: path) }
    }

    var json: JSON { .object(JSONObject([("objects", .array(entries.map(\.json)))])) }

    var lines: [String] {
        let datasets = entries.count { $0.kind == .dataset }
        let byteCount = entries.reduce(0) { sum, entry in
            guard let type = entry.elementType else { return sum }
            return sum + TensorDescription(name: "", elementType: type, shape: entry.shape).byteCount
        }
        var lines = [
            "\(file.path): HDF5, not a checkpoint; \(Format.counted(datasets, "dataset")) with \(Format.bytes(byteCount))"
        ]
        for entry in entries {
            lines.append(("/" + entry.path).onOneLine(limit: 400) + Self.details(entry).onOneLine(limit: 600))
            lines += entry.attributes.map {
                "    @\($0.name.onOneLine(limit: 200)) = \($0.value.onOneLine(limit: 400))"
            }
        }
        return lines
    }

    private static func details(_ entry: HDF5Entry) -> String {
        let remark = entry.remark.map { "  (\($0))" } ?? ""
        guard entry.kind == .dataset, !entry.typeText.isEmpty else { return remark }
        let shape = entry.shape.isEmpty ? "scalar" : entry.shape.map(String.init).joined(separator: " × ")
        return "  \(entry.typeText)  \(shape)  \(entry.storage)\(remark)"
    }
}

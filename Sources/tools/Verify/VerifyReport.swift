import CheckpointIO
import OrderedJSON

/// The result for one file or folder.
struct VerifyReport {
    /// A manifest that was written, or that the files were compared with.
    struct Manifest {
        var path: String
        var isWritten: Bool
        var fileCount: Int
        var tensorCount: Int

        var line: String {
            "manifest \(path) \(isWritten ? "written" : "compared"): \(Format.counted(fileCount, "file")), "
                + Format.counted(tensorCount, "tensor")
        }
    }

    var path: String
    var isDeep: Bool
    /// nil for files of another format, and if the file cannot be opened because of damage.
    var digest: String?
    var tensorCount = 0
    var byteCount = 0
    var damages: [Damage] = []
    var remarks: [ModelCheck.Remark] = []
    var manifest: Manifest?

    /// Damage listed on the screen before the rest is only counted.
    private static let longest = 20

    var lines: [String] {
        verdict + remarks.map { "  \($0.line)" } + (manifest.map { ["  \($0.line)"] } ?? [])
    }

    private var verdict: [String] {
        guard damages.isEmpty else {
            var lines = ["\(Style.bold(path))  \(Style.red("damaged"))"]
            lines += damages.prefix(Self.longest).map { "  \($0)" }
            if damages.count > Self.longest {
                lines.append("  … \(damages.count - Self.longest) more; --json lists all")
            }
            return lines + ["  restore the file from a copy, or create it again"]
        }
        let extent = isDeep ? "every byte" : "structure"
        let digest = digest.map { ", digest \(Format.shortDigest($0))" } ?? ""
        let tensors =
            tensorCount == 0 && manifest != nil
            ? "" : "  \(extent) of \(Format.counted(tensorCount, "tensor")), \(Format.bytes(byteCount))\(digest)"
        return ["\(Style.bold(path))  \(Style.green("intact"))\(tensors)"]
    }

    var json: JSON {
        var json: JSON = [
            "path": .string(path), "depth": .string(isDeep ? "bytes" : "structure"), "whole": .bool(damages.isEmpty),
            "digest": digest.map(JSON.string) ?? .null, "tensors": .integer(tensorCount), "bytes": .integer(byteCount),
            "damages": .array(
                damages.map { damage in
                    [
                        "place": .string(damage.place), "tensor": damage.tensor.map(JSON.string) ?? .null,
                        "chunk": damage.chunk.map(JSON.integer) ?? .null,
                        "offset": damage.fileOffset.map(JSON.integer) ?? .null, "problem": .string(damage.problem),
                    ]
                }),
            "remarks": .array(
                remarks.map {
                    [
                        "kind": .string($0.kind.rawValue), "tensors": .array($0.tensors.map(JSON.string)),
                        "text": .string($0.text),
                    ]
                }),
        ]
        if let manifest {
            json["manifest"] = [
                "path": .string(manifest.path), "written": .bool(manifest.isWritten),
                "files": .integer(manifest.fileCount), "tensors": .integer(manifest.tensorCount),
            ]
        }
        return json
    }
}

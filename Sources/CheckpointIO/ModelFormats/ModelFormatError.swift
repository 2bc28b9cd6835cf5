import OrderedJSON

/// Why a model in another program's format cannot be read or written; `description` is one line.
///
/// If the operating system refuses to write, exports throw `CheckpointError.system`.
public enum ModelFormatError: Error, Equatable, CustomStringConvertible {
    /// The operating system refused to open, read or list a file or folder.
    case cannotRead(path: String, reason: String)
    /// The input is neither a folder with weights, nor a safetensors file, nor a GGUF file.
    case unrecognised(path: String)
    /// The input consists of PyTorch's pickled weights, which can run code when loaded.
    case pickle(path: String)
    /// The file ends before the end of the data that it declares.
    case truncated(path: String, place: String, needed: Int, available: Int)
    /// The file violates its format.
    case malformed(path: String, place: String, reason: String)
    /// The file is well-formed but has a feature that is not supported.
    case unsupported(path: String, what: String, remedy: String)
    /// A required file or field is missing.
    case missing(path: String, what: String, remedy: String)
    /// The output already exists.
    case exists(path: String, remedy: String)

    /// Weights of an adapter, which are no model.
    static func adapter(path: String) -> ModelFormatError {
        .unsupported(
            path: path, what: "a LoRA adapter as a model",
            remedy: "import it together with its base model: ckpt import BASE --adapter FOLDER")
    }

    /// The error in one line; names from files are shortened, and control characters escaped.
    public var description: String { text.onOneLine(limit: 4000) }

    private var text: String {
        switch self {
        case .cannotRead(let path, let reason):
            "\(path): cannot read: \(reason)" + (reason == "no such file or directory" ? "; check the path" : "")
        case .unrecognised(let path):
            "\(path): not a model that ckpt reads; give a Hugging Face folder, a .safetensors file or a .gguf file"
        case .pickle(let path):
            "\(path): PyTorch pickle files can run code and are never read; "
                + "save the model as safetensors first (transformers: save_pretrained(folder, safe_serialization=True))"
        case .truncated(let path, let place, let needed, let available):
            "\(path): \(place): the file ends too early (\(needed) bytes needed, \(available) there); "
                + "download or copy it again"
        case .malformed(let path, let place, let reason): "\(path): \(place): \(reason)"
        case .unsupported(let path, let what, let remedy): "\(path): \(what) is not supported; \(remedy)"
        case .missing(let path, let what, let remedy): "\(path): no \(what); \(remedy)"
        case .exists(let path, let remedy): "\(path): already exists; \(remedy)"
        }
    }
}

/// A name from a file for an error message: quoted, at most 80 characters, control characters escaped.
func quoted(_ name: String) -> String { "\"\(name.onOneLine(limit: 80))\"" }

/// A list of names for an error message: the first three, and the number of the others.
func listed(_ names: some Collection<String>) -> String {
    let shown = names.prefix(3).map(quoted).joined(separator: ", ")
    return names.count > 3 ? shown + " and \(names.count - 3) more" : shown
}

import OrderedJSON

/// Why a model in another program's format cannot be read or written.
///
/// Names that come from a file are shown shortened and with control characters escaped.
public enum ModelFormatError: Error, Equatable, CustomStringConvertible {
    /// The operating system refused to open, read or list it.
    case cannotRead(path: String, reason: String)
    /// The operating system refused to write it.
    case cannotWrite(path: String, reason: String)
    /// Neither a folder with weights, a safetensors file nor a GGUF file.
    case unrecognised(path: String)
    /// PyTorch's pickled weights, which run code when they are loaded.
    case pickle(path: String)
    /// The file ends before what it announces.
    case truncated(path: String, place: String, needed: Int, available: Int)
    /// The file breaks its own format at that place.
    case malformed(path: String, place: String, reason: String)
    /// Well formed, but nothing `ckpt` works with.
    case unsupported(path: String, what: String, remedy: String)
    /// A file or field that must be there is not.
    case missing(path: String, what: String, remedy: String)
    /// The output is already there.
    case exists(path: String, remedy: String)

    /// One line, whatever the path holds.
    public var description: String { text.onOneLine(limit: 4000) }

    private var text: String {
        switch self {
        case .cannotRead(let path, let reason):
            "\(path): cannot read: \(reason)" + (reason == "no such file or directory" ? "; check the path" : "")
        case .cannotWrite(let path, let reason): "\(path): cannot write: \(reason)"
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

/// A name from a file as an error message shows it: quoted, at most 80 characters, nothing that moves a terminal.
func quoted(_ name: String) -> String { "\"\(name.onOneLine(limit: 80))\"" }

/// A list of names for an error message: the first three, and how many more there are.
func listed(_ names: some Collection<String>) -> String {
    let shown = names.prefix(3).map(quoted).joined(separator: ", ")
    return names.count > 3 ? shown + " and \(names.count - 3) more" : shown
}

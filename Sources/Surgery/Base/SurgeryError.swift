import CheckpointIO
import OrderedJSON

/// Why an operation on a checkpoint failed; each description is one line that names the place and the remedy.
///
/// Nothing has been written when one of these is thrown.
public enum SurgeryError: Error, Equatable, CustomStringConvertible {
    /// The checkpoint has no tokenizer.
    case noTokenizer(path: String)
    /// A required tensor is missing.
    case noTensor(path: String, tensor: String)
    /// A tensor has an unsupported shape, type or value.
    case unsuitableTensor(path: String, tensor: String, reason: String)
    /// A JSON text inside the checkpoint is malformed.
    case malformed(path: String, place: String, reason: String)
    /// A token cannot be added or renamed.
    case badToken(token: String, reason: String)
    /// The token whose row is to be copied is not a single existing token.
    case unknownSource(token: String, reason: String)
    /// An option has an invalid value.
    case badOption(name: String, reason: String)
    /// A new token does not encode to its id or decode to its text.
    case encodingCheck(token: String, context: String, reason: String)
    /// New rows are equal after rounding to the storage type.
    case equalRows(tensor: String, tokens: [String])
    /// No edit removes what the chat template puts after the assistant's header.
    case templateNotFixed(path: String, prefill: String)
    /// The files cannot be compared, or a folder has no checkpoint with a history.
    case notComparable(path: String, reason: String)

    /// The error in one line.
    public var description: String {
        switch self {
        case .noTokenizer(let path):
            "\(path): has no tokenizer; import the model together with its tokenizer.json"
        case .noTensor(let path, let tensor):
            "\(path): has no tensor \(tensor); `ckpt inspect` lists the tensors"
        case .unsuitableTensor(let path, let tensor, let reason):
            "\(path): tensor \(tensor): \(reason)"
        case .malformed(let path, let place, let reason):
            "\(path): \(place): \(reason)"
        case .badToken(let token, let reason):
            "token \(quoted(token)): \(reason)"
        case .unknownSource(let token, let reason):
            "--init copy=\(token): \(reason)"
        case .badOption(let name, let reason):
            "\(name): \(reason)"
        case .encodingCheck(let token, let context, let reason):
            "token \(quoted(token)) in \(quoted(context)): \(reason)"
        case .equalRows(let tensor, let tokens):
            "\(tensor): the new rows of \(tokens.map(quoted).joined(separator: " and ")) are equal in the stored type; "
                + "use another --seed or --init"
        case .templateNotFixed(let path, let prefill):
            "\(path): cannot remove \(quoted(prefill)), which the chat template puts after the assistant's header; "
                + "edit the template by hand and import the model again"
        case .notComparable(let path, let reason):
            "\(path): \(reason)"
        }
    }
}

extension SurgeryError {
    /// Checks that each pattern matches a weight of a checkpoint, or one of the additional names.
    ///
    /// - Throws: `badOption` with the first pattern that matches nothing.
    static func require(
        _ patterns: [NamePattern], toMatchTensorOf file: CheckpointFile, andNames others: [String] = [], option: String
    ) throws {
        let names = file.tensors().map(\.description.name) + others
        if let pattern = NamePatterns(patterns).firstWithoutMatch(in: names) {
            throw badOption(
                name: option, reason: "no tensor of \(file.path) matches \(pattern.text); `ckpt inspect` lists them")
        }
    }
}

/// Quotes a text for a message and escapes line breaks, tabs and quotation marks.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case "\"": result += "\\\""
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// Parses a JSON text of a checkpoint.
///
/// - Throws: `SurgeryError.malformed` with the path and the place in the file.
func parsedJSON(_ text: String?, at place: String, path: String) throws -> JSON? {
    guard let text else { return nil }
    do {
        return try JSON.parse(text)
    } catch {
        throw SurgeryError.malformed(path: path, place: place, reason: error.description)
    }
}

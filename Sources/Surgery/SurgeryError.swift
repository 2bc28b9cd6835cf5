/// Why an operation on a checkpoint could not be done. Every description is one line that names the place and the
/// remedy; nothing has been written when one of these is thrown.
public enum SurgeryError: Error, Equatable, CustomStringConvertible {
    /// The file carries no tokenizer.
    case noTokenizer(path: String)
    /// A tensor that the operation needs is absent.
    case noTensor(path: String, tensor: String)
    /// A tensor has a shape or type the operation cannot work on.
    case unsuitableTensor(path: String, tensor: String, reason: String)
    /// A JSON text inside the checkpoint is not what it should be.
    case malformed(path: String, place: String, reason: String)
    /// A token cannot be added.
    case badToken(token: String, reason: String)
    /// The token whose row is to be copied is not one token of this vocabulary.
    case unknownSource(token: String, reason: String)
    /// An option does not make sense.
    case badOption(name: String, reason: String)
    /// A new token does not come back as one id, or not as its own text.
    case encodingCheck(token: String, context: String, reason: String)
    /// New rows came out equal in the type they are stored in.
    case equalRows(tensor: String, tokens: [String])
    /// The chat template's prefilled control token could not be taken out by a local edit.
    case templateNotFixed(path: String)
    /// The two files cannot be compared, or a folder holds nothing to compare.
    case notComparable(path: String, reason: String)

    public var description: String {
        switch self {
        case .noTokenizer(let path):
            "\(path): no tokenizer in the file; import the model together with its tokenizer.json"
        case .noTensor(let path, let tensor):
            "\(path): no tensor \(tensor); `ckpt inspect` lists what the file holds"
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
        case .templateNotFixed(let path):
            "\(path): the chat template's prefilled <think> comes from more than one place; edit the template by hand "
                + "and import it again"
        case .notComparable(let path, let reason):
            "\(path): \(reason)"
        }
    }
}

/// A text between quotation marks with line breaks and quotation marks escaped, for one line of a message.
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

import OrderedJSON

/// What turns a pre-token into ids.
enum TokenModel: Sendable {
    case bytePair(BytePairModel)
    case unigram(UnigramModel)

    /// Reads the `model` of a `tokenizer.json`.
    ///
    /// - Parameters:
    ///   - json: the object `model`.
    ///   - isByteLevel: whether the vocabulary is written in the GPT-2 alphabet.
    /// - Throws: `TokenizerError` if the model is malformed or unsupported.
    init(_ json: JSON, isByteLevel: Bool) throws {
        // Old files do not name the type.
        let type = json["type"]?.string ?? (json["vocab"]?.array == nil ? "BPE" : "Unigram")
        switch type {
        case "Unigram":
            guard !isByteLevel else {
                throw TokenizerError.unsupported(place: "model", what: "a Unigram model after ByteLevel")
            }
            self = .unigram(try UnigramModel(json))
        default: self = .bytePair(try BytePairModel(json, isByteLevel: isByteLevel))
        }
    }

    /// Texts of the vocabulary as written in the file, by id; nil for unused ids.
    var tokens: [String?] {
        switch self {
        case .bytePair(let model): model.tokens
        case .unigram(let model): model.tokens
        }
    }

    /// Buffers reused across pre-tokens.
    struct Scratch {
        fileprivate var bytePair = BytePairModel.Scratch()
        fileprivate var unigram = UnigramModel.Scratch()
    }

    /// Appends the ids of one pre-token; no id in `banned` is produced.
    @inline(__always)
    func encode(
        _ preToken: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        switch self {
        case .bytePair(let model): model.encode(preToken, banned: banned, &scratch.bytePair, into: &output)
        case .unigram(let model): model.encode(preToken, banned: banned, &scratch.unigram, into: &output)
        }
    }
}

/// The role of a piece, with SentencePiece's and ggml's number.
enum PieceType: Int {
    case normal = 1
    case unknown = 2
    case control = 3
    case userDefined = 4
    case unused = 5
    case byte = 6
}

/// A SentencePiece tokenizer: its pieces with scores, and how it treats spaces.
///
/// From a `tokenizer.model` or a GGUF file; `tokenizerJSON` gives the form of `tokenizer.json`.
struct SentencePieceVocabulary {
    struct Piece {
        var text: String
        var score: Float
        var type: PieceType
    }

    enum Model {
        case bytePair, unigram
    }

    /// How a user-defined piece is found in a text.
    enum UserDefinedPieces {
        /// As an added token, before the text between them is treated; as llama.cpp does.
        case addedTokens
        /// As SentencePiece does, after the whole text has been treated: BPE splits them off, Unigram prefers them.
        case ownModel
    }

    /// For errors.
    let path: String
    var model: Model
    /// By id.
    var pieces: [Piece]
    var unknownID: Int
    var fallsBackToBytes: Bool
    /// SentencePiece's table of replaced characters; empty for none.
    var charsmap: [UInt8] = []
    var addsPrefix = true
    /// Whether the prefix is put only before the start of a text, not after added tokens too.
    var prefixesOnlyStart = false
    var removesExtraSpaces = false
    var escapesSpaces = true
    var userDefinedPieces = UserDefinedPieces.addedTokens

    static let mark = "\u{2581}"
    /// The longest piece in bytes; SentencePiece's trainer makes 16 characters by default.
    static let maximumPieceByteCount = 4096
    static let maximumPieceCount = 1 << 21

    func malformed(_ place: String, _ reason: String) -> ModelFormatError {
        .malformed(path: path, place: place, reason: reason)
    }

    /// Checks the pieces: their number and lengths, no two with the same text, and the unknown piece.
    func check() throws {
        guard pieces.count <= Self.maximumPieceCount else { throw malformed("pieces", "are more than 2^21") }
        guard pieces.indices.contains(unknownID), pieces[unknownID].type != .unused else {
            throw malformed("unk_id", "\(unknownID) is not one of the \(pieces.count) pieces")
        }
        var seen: Set<[UInt8]> = []
        for (id, piece) in pieces.enumerated() where piece.type != .unused {
            guard (1...Self.maximumPieceByteCount).contains(piece.text.utf8.count), piece.score.isFinite else {
                throw malformed(
                    "piece \(id)", "has no text of 1 to \(Self.maximumPieceByteCount) bytes or no finite score")
            }
            guard seen.insert(Array(piece.text.utf8)).inserted else {
                throw malformed("piece \(id)", "\(quoted(piece.text)) occurs twice")
            }
        }
    }
}

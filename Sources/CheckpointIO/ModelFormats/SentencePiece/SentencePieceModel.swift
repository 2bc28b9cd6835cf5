import OrderedJSON

/// SentencePiece's `tokenizer.model`, read as `sentencepiece_model.proto` of google/sentencepiece describes it.
struct SentencePieceModel {
    let vocabulary: SentencePieceVocabulary
    /// The names of the beginning, end, unknown and padding token in `tokenizer_config.json`, where the model has them.
    let named: [String: String]

    private struct Specification {
        var modelType = 1
        var fallsBackToBytes = false
        var hasSpaceSuffix = false
        var ids = ["unk_token": 0, "bos_token": 1, "eos_token": 2, "pad_token": -1]
        var charsmap: Range<Int>?
        var addsPrefix = true
        var removesExtraSpaces = true
        var escapesSpaces = true
        var hasDenormalizer = false
    }

    /// Reads a model.
    ///
    /// - Parameters:
    ///   - bytes: the file.
    ///   - path: for errors.
    /// - Throws: `ModelFormatError` if the file is malformed or has a feature that is not supported.
    init(_ bytes: [UInt8], path: String) throws {
        var pieces: [SentencePieceVocabulary.Piece] = []
        var specification = Specification()
        var reader = ProtobufReader(bytes, path: path)
        while let field = try reader.next() {
            guard case .bytes(let range) = field.value else { continue }
            let message = ProtobufReader(bytes, range, path: path)
            switch field.number {
            case 1:
                guard pieces.count < SentencePieceVocabulary.maximumPieceCount else {
                    throw ModelFormatError.malformed(path: path, place: "pieces", reason: "are more than 2^21")
                }
                pieces.append(try Self.piece(message, bytes, id: pieces.count, path: path))
            case 2: try Self.readTrainer(message, into: &specification)
            case 3: try Self.readNormalizer(message, into: &specification)
            case 5:
                var denormalizer = Specification()
                try Self.readNormalizer(message, into: &denormalizer)
                specification.hasDenormalizer = denormalizer.charsmap?.isEmpty == false
            default: break
            }
        }
        guard !pieces.isEmpty else {
            throw ModelFormatError.malformed(path: path, place: "pieces", reason: "there are none")
        }
        vocabulary = try Self.vocabulary(pieces, specification, bytes, path: path)
        named = specification.ids.compactMapValues { pieces.indices.contains($0) ? pieces[$0].text : nil }
    }

    private static func vocabulary(
        _ pieces: [SentencePieceVocabulary.Piece], _ specification: Specification, _ bytes: [UInt8], path: String
    ) throws -> SentencePieceVocabulary {
        func unsupported(_ what: String) -> ModelFormatError {
            .unsupported(path: path, what: what, remedy: "save the tokenizer as tokenizer.json with transformers")
        }
        let model: SentencePieceVocabulary.Model
        switch specification.modelType {
        case 1: model = .unigram
        case 2: model = .bytePair
        default: throw unsupported("a SentencePiece model of words or characters")
        }
        if specification.hasSpaceSuffix { throw unsupported("treat_whitespace_as_suffix") }
        if specification.hasDenormalizer { throw unsupported("a denormalizer") }
        // Old models do not have the id in their specification.
        let unknownID = pieces.firstIndex { $0.type == .unknown } ?? specification.ids["unk_token"] ?? 0
        var vocabulary = SentencePieceVocabulary(
            path: path, model: model, pieces: pieces, unknownID: unknownID,
            fallsBackToBytes: specification.fallsBackToBytes)
        vocabulary.charsmap = specification.charsmap.map { Array(bytes[$0]) } ?? []
        vocabulary.addsPrefix = specification.addsPrefix
        vocabulary.removesExtraSpaces = specification.removesExtraSpaces
        vocabulary.escapesSpaces = specification.escapesSpaces
        vocabulary.userDefinedPieces = .ownModel
        try vocabulary.check()
        return vocabulary
    }

    private static func piece(
        _ message: ProtobufReader, _ bytes: [UInt8], id: Int, path: String
    ) throws -> SentencePieceVocabulary.Piece {
        var message = message
        var piece = SentencePieceVocabulary.Piece(text: "", score: 0, type: .normal)
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let range)):
                guard let text = String(validating: bytes[range], as: UTF8.self) else {
                    throw ModelFormatError.malformed(path: path, place: "piece \(id)", reason: "is not UTF-8")
                }
                piece.text = text
            case (2, .fixed32(let bits)): piece.score = Float(bitPattern: bits)
            case (3, .varint(let value)):
                guard let type = Int(exactly: value).flatMap(PieceType.init) else {
                    throw ModelFormatError.malformed(
                        path: path, place: "piece \(id)", reason: "has the unknown type \(value)")
                }
                piece.type = type
            default: break
            }
        }
        return piece
    }

    private static func readTrainer(_ message: ProtobufReader, into specification: inout Specification) throws {
        var message = message
        while let field = try message.next() {
            guard case .varint(let value) = field.value else { continue }
            switch field.number {
            case 3: specification.modelType = Int(truncatingIfNeeded: value)
            case 24: specification.hasSpaceSuffix = value != 0
            case 35: specification.fallsBackToBytes = value != 0
            case 40: specification.ids["unk_token"] = Int(truncatingIfNeeded: value)
            case 41: specification.ids["bos_token"] = Int(truncatingIfNeeded: value)
            case 42: specification.ids["eos_token"] = Int(truncatingIfNeeded: value)
            case 43: specification.ids["pad_token"] = Int(truncatingIfNeeded: value)
            default: break
            }
        }
    }

    private static func readNormalizer(_ message: ProtobufReader, into specification: inout Specification) throws {
        var message = message
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (2, .bytes(let range)): specification.charsmap = range
            case (3, .varint(let value)): specification.addsPrefix = value != 0
            case (4, .varint(let value)): specification.removesExtraSpaces = value != 0
            case (5, .varint(let value)): specification.escapesSpaces = value != 0
            default: break
            }
        }
    }
}

extension ModelImport {
    /// The `tokenizer.json` of a SentencePiece model alone.
    ///
    /// - Parameters:
    ///   - bytes: a `tokenizer.model`.
    ///   - path: for errors.
    /// - Returns: the file's bytes.
    /// - Throws: `ModelFormatError`.
    package static func tokenizerJSON(sentencePieceModel bytes: [UInt8], path: String) throws -> [UInt8] {
        let vocabulary = try SentencePieceModel(bytes, path: path).vocabulary
        return Array(try vocabulary.tokenizerJSON(processor: .null).serialized(indent: 2).utf8)
    }
}

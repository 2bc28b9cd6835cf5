import OrderedJSON

/// A tokenizer read from a `tokenizer.json`, giving the ids that the `tokenizers` library gives.
///
/// Immutable: copies share one storage and any number of threads may use it. `truncation` and `padding` of the file
/// are the caller's affair, as they are in transformers, and are not applied.
public struct Tokenizer: Sendable {
    private let storage: Storage

    /// - Parameter json: the bytes of a `tokenizer.json`.
    /// - Throws: `TokenizerError`, which names whatever the file asks for and this program does not do.
    public init(json: [UInt8]) throws {
        let root: JSON
        do {
            root = try JSON.parse(json)
        } catch {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
        storage = try Storage(root)
    }

    /// - Parameter base: where given, a tokenizer whose `model` is the same, which is then shared.
    init(_ root: JSON, sharingModelOf base: Tokenizer? = nil) throws {
        storage = try Storage(root, model: base?.storage.model)
    }

    /// The ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecialTokens: whether the post-processor puts its tokens around the text.
    ///   - parsingAddedTokens: false for text from outside: what looks like an added token is then encoded as the
    ///     characters it is written with, and no id of an added token comes out. (An added token of one single
    ///     character that is also in the vocabulary is a character like any other.)
    /// - Complexity: O(n log n) in the length of the text.
    public func encode(_ text: String, addSpecialTokens: Bool = false, parsingAddedTokens: Bool = true) -> [Int] {
        storage.encode(Array(text.utf8), addSpecialTokens: addSpecialTokens, parsingAddedTokens: parsingAddedTokens)
    }

    /// The ids of a text in UTF-8; whatever is not UTF-8 counts as U+FFFD, one for each maximal ill-formed part.
    public func encode(utf8 bytes: [UInt8], addSpecialTokens: Bool = false, parsingAddedTokens: Bool = true) -> [Int] {
        let isValid = String(validating: bytes, as: UTF8.self) != nil
        return storage.encode(
            isValid ? bytes : Array(String(decoding: bytes, as: UTF8.self).utf8),
            addSpecialTokens: addSpecialTokens, parsingAddedTokens: parsingAddedTokens)
    }

    /// The text of ids. Ids without a token give nothing; bytes that are not UTF-8 give U+FFFD.
    public func decode(_ ids: some Sequence<Int>, skippingSpecialTokens: Bool = false) -> String {
        storage.decode(ids, skippingSpecialTokens: skippingSpecialTokens)
    }

    /// The id of a token by its text in the file (`Ġthe`, `<think>`).
    public func id(of token: String) -> Int? { storage.id(of: token) }

    /// The text of a token as the file has it.
    public func token(of id: Int) -> String? { storage.token(of: id) }

    /// The bytes that one token adds to the text, before they become characters; nil where the tokenizer is not one of
    /// bytes, or there is no such token.
    public func bytes(of id: Int) -> [UInt8]? { storage.bytes(of: id) }

    /// The highest id + 1.
    public var vocabularySize: Int { storage.vocabularySize }

    /// In order of id.
    public var addedTokens: [AddedToken] { storage.addedTokens }

    /// A decoder for ids that come one by one.
    public func streamingDecoder(skippingSpecialTokens: Bool) -> StreamingDecoder {
        StreamingDecoder(storage, skippingSpecialTokens: skippingSpecialTokens)
    }
}

extension Tokenizer {
    /// What the file says, made ready for use.
    final class Storage: Sendable {
        private let normalizers: [Normalizer]
        private let preTokenizers: [PreTokenizer]
        let model: BytePairModel
        private let postProcessor: PostProcessor
        /// Empty where the file has no decoder: tokens are then joined by spaces.
        let decoders: [TokenDecoder]
        let addedTokens: [AddedToken]
        private let addedByID: [Int: AddedToken]
        /// What added tokens that are looked for in normalized text decode to: their normalized text, as in the
        /// `tokenizers` library.
        private let decodedAsNormalized: [Int: String]
        private let ids: TokenTable
        let vocabularySize: Int
        /// Found before normalization, and in normalized text.
        private let rawMatcher: AddedTokenMatcher
        private let normalizedMatcher: AddedTokenMatcher
        /// Ids that text from outside must not yield; nil where the model cannot make any of them.
        private let banned: [Bool]?

        init(_ json: JSON, model shared: BytePairModel? = nil) throws {
            var component = try Component(json, at: "the file")
            component.ignore("version", "truncation", "padding")
            normalizers = try component.optional("normalizer").map { try Normalizer.read($0, at: "normalizer") } ?? []
            preTokenizers =
                try component.optional("pre_tokenizer").map { try PreTokenizer.read($0, at: "pre_tokenizer") } ?? []
            decoders = try component.optional("decoder").map { try TokenDecoder.read($0, at: "decoder") } ?? []
            postProcessor = try PostProcessor(component.optional("post_processor") ?? .null)
            let added = try component.optional("added_tokens")?.array.map(Self.readAddedTokens) ?? []
            guard let modelJSON = component.optional("model") else {
                throw TokenizerError.malformed(place: "model", reason: "is missing")
            }
            try component.finish()
            var isByteLevel = false
            if case .byteLevel? = preTokenizers.last { isByteLevel = true }
            model = try shared ?? BytePairModel(modelJSON, isByteLevel: isByteLevel)

            var ids = TokenTable(capacity: added.count + model.tokens.count)
            var addedByID: [Int: AddedToken] = [:]
            for token in added {
                let inModel = model.tokens.indices.contains(token.id) ? model.tokens[token.id] : nil
                if addedByID.updateValue(token, forKey: token.id) != nil {
                    throw TokenizerError.malformed(place: "added_tokens", reason: "id \(token.id) is given twice")
                }
                if let inModel, !inModel.utf8.elementsEqual(token.content.utf8) {
                    throw TokenizerError.malformed(
                        place: "added_tokens",
                        reason: "\"\(token.content)\" has the id \(token.id) of \"\(inModel)\" in model.vocab")
                }
                if ids.insert(Array(token.content.utf8), id: UInt32(token.id)) != nil {
                    throw TokenizerError.malformed(
                        place: "added_tokens", reason: "\"\(token.content)\" is given twice")
                }
            }
            for (id, token) in model.tokens.enumerated() {
                guard let token, let other = ids.insert(Array(token.utf8), id: UInt32(id)), Int(other) != id else {
                    continue
                }
                throw TokenizerError.malformed(
                    place: "added_tokens", reason: "\"\(token)\" has id \(other), but \(id) in model.vocab")
            }
            self.ids = ids
            self.addedByID = addedByID
            addedTokens = added.sorted { $0.id < $1.id }
            vocabularySize = max(model.tokens.count, (addedTokens.last?.id ?? -1) + 1)
            rawMatcher = AddedTokenMatcher(added.filter { !$0.normalized }.map { (Array($0.content.utf8), $0) })
            let normalized = added.filter(\.normalized).map { [normalizers] token in
                (text: normalizers.reduce(Array(token.content.utf8)) { $1.apply(to: $0) }, token: token)
            }
            normalizedMatcher = AddedTokenMatcher(normalized)
            decodedAsNormalized = Dictionary(
                uniqueKeysWithValues: normalized.map { ($0.token.id, String(decoding: $0.text, as: UTF8.self)) })
            banned = Self.bannedIDs(added, model)
        }

        static func readAddedTokens(_ list: [JSON]) throws -> [AddedToken] {
            try list.enumerated().map { index, json in
                var component = try Component(json, at: "added_tokens[\(index)]")
                let token = AddedToken(
                    id: try component.integer("id"), content: try component.string("content"),
                    singleWord: try component.bool("single_word", default: false),
                    lstrip: try component.bool("lstrip", default: false),
                    rstrip: try component.bool("rstrip", default: false),
                    normalized: try component.bool("normalized", default: true),
                    special: try component.bool("special", default: false))
                try component.finish()
                guard (0...VocabularyReader.highestID).contains(token.id) else {
                    throw TokenizerError.malformed(place: component.place, reason: "the id is not from 0 to 2^21")
                }
                guard (1...AddedTokenMatcher.maximumLength).contains(token.content.utf8.count) else {
                    throw TokenizerError.malformed(
                        place: component.place, reason: "the content is empty or over 4096 bytes")
                }
                return token
            }
        }

        /// Added tokens that are also in the model's vocabulary, so that merging could make them.
        private static func bannedIDs(_ added: [AddedToken], _ model: BytePairModel) -> [Bool]? {
            var banned = [Bool](repeating: false, count: model.tokens.count)
            var isAny = false
            for token in added where banned.indices.contains(token.id) && model.tokens[token.id] != nil {
                guard token.content.unicodeScalars.count > 1 else { continue }
                banned[token.id] = true
                isAny = true
            }
            return isAny ? banned : nil
        }

        func id(of token: String) -> Int? { ids.id(of: Array(token.utf8)).map(Int.init) }

        func token(of id: Int) -> String? {
            if let added = addedByID[id] { return added.content }
            return model.tokens.indices.contains(id) ? model.tokens[id] : nil
        }

        func bytes(of id: Int) -> [UInt8]? {
            guard let token = token(of: id) else { return nil }
            if addedByID[id] != nil { return Array(token.utf8) }
            if case .byteLevel? = decoders.first { return ByteLevelAlphabet.bytes(of: token) }
            return TokenDecoder.byte(of: token).map { [$0] }
        }

        /// The text of an id for decoding; nil where it has none or is to be skipped.
        func text(of id: Int, skippingSpecialTokens: Bool) -> String? {
            if let added = addedByID[id] {
                return skippingSpecialTokens && added.special ? nil : decodedAsNormalized[id] ?? added.content
            }
            return model.tokens.indices.contains(id) ? model.tokens[id] : nil
        }

        /// - Parameter text: valid UTF-8.
        func encode(_ text: [UInt8], addSpecialTokens: Bool, parsingAddedTokens: Bool) -> [Int] {
            var output: [Int] = addSpecialTokens ? postProcessor.prefix : []
            var scratch = BytePairModel.Scratch()
            if parsingAddedTokens, !rawMatcher.isEmpty {
                let parts = text.withUnsafeBufferPointer { rawMatcher.parts(of: $0, in: 0..<text.count) }
                for part in parts {
                    switch part {
                    case .token(let id): output.append(id)
                    case .text(let range):
                        let isWhole = range.count == text.count
                        encodeRaw(isWhole ? text : Array(text[range]), parsing: true, &scratch, into: &output)
                    }
                }
            } else {
                encodeRaw(text, parsing: parsingAddedTokens, &scratch, into: &output)
            }
            if addSpecialTokens { output += postProcessor.suffix }
            return output
        }

        private func encodeRaw(
            _ text: [UInt8], parsing: Bool, _ scratch: inout BytePairModel.Scratch, into output: inout [Int]
        ) {
            let normalized = normalizers.reduce(text) { $1.apply(to: $0) }
            guard parsing, !normalizedMatcher.isEmpty else {
                return encodePlain(normalized, parsing: parsing, &scratch, into: &output)
            }
            let parts = normalized.withUnsafeBufferPointer {
                normalizedMatcher.parts(of: $0, in: 0..<normalized.count)
            }
            for part in parts {
                switch part {
                case .token(let id): output.append(id)
                case .text(let range):
                    encodePlain(Array(normalized[range]), parsing: true, &scratch, into: &output)
                }
            }
        }

        private func encodePlain(
            _ text: [UInt8], parsing: Bool, _ scratch: inout BytePairModel.Scratch, into output: inout [Int]
        ) {
            var pieces = Pieces(text)
            for step in preTokenizers { step.apply(to: &pieces) }
            let banned = parsing ? nil : banned
            pieces.bytes.withUnsafeBufferPointer { buffer in
                for range in pieces.ranges {
                    model.encode(UnsafeBufferPointer(rebasing: buffer[range]), banned: banned, &scratch, into: &output)
                }
            }
        }

        func decode(_ ids: some Sequence<Int>, skippingSpecialTokens: Bool) -> String {
            var tokens: [String] = []
            for id in ids {
                if let text = text(of: id, skippingSpecialTokens: skippingSpecialTokens) { tokens.append(text) }
            }
            guard !decoders.isEmpty else { return tokens.joined(separator: " ") }
            return decoders.reduce(tokens) { $1.apply(to: $0) }.joined()
        }
    }
}

import OrderedJSON

/// A BPE or Unigram tokenizer read from a `tokenizer.json`; its ids equal those of the `tokenizers` library.
///
/// Immutable: copies share their storage, and any number of threads may use one. As in transformers, the file's
/// `truncation` and `padding` are not applied.
public struct Tokenizer: Sendable {
    private let storage: Storage

    /// Reads a tokenizer.
    ///
    /// - Parameter json: the bytes of a `tokenizer.json`.
    /// - Throws: `TokenizerError` that names the unsupported or malformed member.
    public init(json: [UInt8]) throws {
        let root: JSON
        do {
            root = try JSON.parse(json)
        } catch {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
        storage = try Storage(root)
    }

    /// Reads a parsed `tokenizer.json` and shares the model of `base`, whose `model` must be equal.
    init(_ root: JSON, sharingModelOf base: Tokenizer? = nil) throws {
        storage = try Storage(root, model: base?.storage.model)
    }

    /// Encodes a text.
    ///
    /// - Parameters:
    ///   - text: the text to encode.
    ///   - addSpecialTokens: whether the post-processor adds its tokens around the text.
    ///   - parsingAddedTokens: false for untrusted text: the text of an added token is then encoded as ordinary
    ///     characters, and no added token's id is produced, except that of a one-character token of the vocabulary.
    ///   - position: what stands before the text.
    /// - Returns: the ids.
    /// - Complexity: O(n log n) in the length of the text.
    public func encode(
        _ text: String, addSpecialTokens: Bool = false, parsingAddedTokens: Bool = true, position: TextPosition = .start
    ) -> [Int] {
        storage.encode(
            Array(text.utf8), addSpecialTokens: addSpecialTokens, parsingAddedTokens: parsingAddedTokens,
            position: position)
    }

    /// Encodes a text in UTF-8; each maximal ill-formed sequence counts as one U+FFFD.
    ///
    /// - Parameters:
    ///   - bytes: the text to encode.
    ///   - addSpecialTokens: whether the post-processor adds its tokens around the text.
    ///   - parsingAddedTokens: see `encode(_:addSpecialTokens:parsingAddedTokens:)`.
    /// - Returns: the ids.
    public func encode(utf8 bytes: [UInt8], addSpecialTokens: Bool = false, parsingAddedTokens: Bool = true) -> [Int] {
        let isValid = String(validating: bytes, as: UTF8.self) != nil
        return storage.encode(
            isValid ? bytes : Array(String(decoding: bytes, as: UTF8.self).utf8),
            addSpecialTokens: addSpecialTokens, parsingAddedTokens: parsingAddedTokens, position: .start)
    }

    /// The text of one token inside a longer text: unlike `decode`, it keeps a leading space.
    public func text(of id: Int) -> String { storage.text(of: id) }

    /// Decodes ids; unused ids yield nothing, bytes that are not valid UTF-8 yield U+FFFD.
    public func decode(_ ids: some Sequence<Int>, skippingSpecialTokens: Bool = false) -> String {
        storage.decode(ids, skippingSpecialTokens: skippingSpecialTokens)
    }

    /// The id of a token as written in the file (`Ġthe`, `<think>`).
    public func id(of token: String) -> Int? { storage.id(of: token) }

    /// The token of an id as written in the file, or nil for an unused id.
    public func token(of id: Int) -> String? { storage.token(of: id) }

    /// The bytes of one token's text; nil for an unused id or if the tokenizer is not byte-level.
    public func bytes(of id: Int) -> [UInt8]? { storage.bytes(of: id) }

    /// The highest id + 1.
    public var vocabularySize: Int { storage.vocabularySize }

    /// The added tokens, sorted by id.
    public var addedTokens: [AddedToken] { storage.addedTokens }

    /// The first added token whose text occurs in a text; nil if there is none.
    package func addedToken(in text: String) -> AddedToken? {
        var text = text
        return text.withUTF8 { storage.contentMatcher.first(in: $0) }
    }

    /// Checks that the patterns of the file handled every text so far within their limits.
    ///
    /// If not, ids and texts since then are not those of the `tokenizers` library.
    ///
    /// - Throws: `TokenizerError`, which names the pattern.
    package func checkPatterns() throws {
        for pattern in storage.patterns { try pattern.check() }
    }

    /// Makes a decoder for ids that arrive one at a time.
    public func streamingDecoder(skippingSpecialTokens: Bool) -> StreamingDecoder {
        StreamingDecoder(storage, skippingSpecialTokens: skippingSpecialTokens)
    }
}

extension Tokenizer {
    /// The compiled contents of a `tokenizer.json`, shared by copies of a tokenizer.
    final class Storage: Sendable {
        private let normalizers: [Normalizer]
        private let preTokenizers: [PreTokenizer]
        let model: TokenModel
        private let postProcessor: PostProcessor
        /// Empty if the file has no decoder; tokens are then joined with spaces.
        let decoders: [TokenDecoder]
        let addedTokens: [AddedToken]
        private let addedByID: [Int: AddedToken]
        /// The text of added tokens with `normalized`, which decode to their normalized text as in the `tokenizers`
        /// library.
        private let decodedAsNormalized: [Int: String]
        private let ids: TokenTable
        /// Texts of the model's vocabulary by id.
        private let tokens: [String?]
        /// Whether the start of a text is treated differently from what follows an added token.
        private let dependsOnStart: Bool
        let vocabularySize: Int
        /// Matches added tokens before normalization.
        private let rawMatcher: AddedTokenMatcher
        /// Matches added tokens in the normalized text.
        private let normalizedMatcher: AddedTokenMatcher
        /// Matches the texts of all added tokens as written.
        let contentMatcher: AddedTokenMatcher
        /// The patterns of all steps.
        let patterns: [SplitPattern]
        /// Ids that untrusted text must not produce; nil if merges cannot produce any of them.
        private let banned: [Bool]?

        init(_ json: JSON, model shared: TokenModel? = nil) throws {
            var reader = try StrictObjectReader(json, at: "the file")
            reader.ignore("version", "truncation", "padding")
            normalizers = try reader.optional("normalizer").map { try Normalizer.read($0, at: "normalizer") } ?? []
            try Normalizer.checkGrowth(normalizers, at: "normalizer")
            preTokenizers =
                try reader.optional("pre_tokenizer").map { try PreTokenizer.read($0, at: "pre_tokenizer") } ?? []
            dependsOnStart = preTokenizers.contains(where: \.dependsOnStart)
            decoders = try reader.optional("decoder").map { try TokenDecoder.read($0, at: "decoder") } ?? []
            try Normalizer.checkGrowth(decoders.compactMap(\.replacement), at: "decoder")
            patterns =
                (normalizers + decoders.compactMap(\.replacement)).compactMap(\.splitPattern)
                + preTokenizers.compactMap(\.splitPattern)
            guard normalizers.count + preTokenizers.count + decoders.count <= Self.maximumSteps else {
                throw TokenizerError.unsupported(
                    place: "the file",
                    what: "a normalizer, pre-tokenizer and decoder of more than \(Self.maximumSteps) steps together")
            }
            postProcessor = try PostProcessor(reader.optional("post_processor") ?? .null)
            let added = try reader.optional("added_tokens")?.array.map(Self.readAddedTokens) ?? []
            guard let modelJSON = reader.optional("model") else {
                throw TokenizerError.malformed(place: "model", reason: "is missing")
            }
            try reader.finish()
            var isByteLevel = false
            if case .byteLevel? = preTokenizers.last { isByteLevel = true }
            model = try shared ?? TokenModel(modelJSON, isByteLevel: isByteLevel)

            let tokens = model.tokens
            var ids = TokenTable(capacity: added.count + tokens.count)
            var addedByID: [Int: AddedToken] = [:]
            for token in added {
                let inModel = tokens.indices.contains(token.id) ? tokens[token.id] : nil
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
            for (id, token) in tokens.enumerated() {
                guard let token, let other = ids.insert(Array(token.utf8), id: UInt32(id)), Int(other) != id else {
                    continue
                }
                throw TokenizerError.malformed(
                    place: "added_tokens", reason: "\"\(token)\" has id \(other), but \(id) in model.vocab")
            }
            self.ids = ids
            self.tokens = tokens
            self.addedByID = addedByID
            addedTokens = added.sorted { $0.id < $1.id }
            vocabularySize = max(tokens.count, (addedTokens.last?.id ?? -1) + 1)
            rawMatcher = AddedTokenMatcher(added.filter { !$0.normalized }.map { (Array($0.content.utf8), $0) })
            let normalized = added.filter(\.normalized).map { [normalizers] token in
                (text: normalizers.reduce(Array(token.content.utf8)) { $1.apply(to: $0) }, token: token)
            }
            normalizedMatcher = AddedTokenMatcher(normalized)
            contentMatcher = AddedTokenMatcher(added.map { (Array($0.content.utf8), $0) })
            decodedAsNormalized = Dictionary(
                uniqueKeysWithValues: normalized.map { ($0.token.id, String(decoding: $0.text, as: UTF8.self)) })
            banned = Self.bannedIDs(added, tokens)
        }

        /// Steps of normalizer, pre-tokenizer and decoder, each a pass over the text; real files have under 20.
        private static let maximumSteps = 64
        /// More than any published tokenizer has.
        private static let maximumAddedTokens = 1 << 18
        /// The texts of all added tokens, in bytes; bounds the memory of their matchers.
        private static let maximumAddedBytes = 4 << 20

        static func readAddedTokens(_ list: [JSON]) throws -> [AddedToken] {
            guard list.count <= maximumAddedTokens else {
                throw TokenizerError.malformed(
                    place: "added_tokens", reason: "has \(list.count) tokens; at most \(maximumAddedTokens) are read")
            }
            var byteCount = 0
            return try list.enumerated().map { index, json in
                var reader = try StrictObjectReader(json, at: "added_tokens[\(index)]")
                let token = AddedToken(
                    id: try reader.integer("id"), content: try reader.string("content"),
                    singleWord: try reader.bool("single_word", default: false),
                    lstrip: try reader.bool("lstrip", default: false),
                    rstrip: try reader.bool("rstrip", default: false),
                    normalized: try reader.bool("normalized", default: true),
                    special: try reader.bool("special", default: false))
                try reader.finish()
                guard VocabularyReader.ids.contains(token.id) else {
                    throw TokenizerError.malformed(place: reader.place, reason: "the id is not between 0 and 2^21")
                }
                guard (1...AddedTokenMatcher.maximumLength).contains(token.content.utf8.count) else {
                    throw TokenizerError.malformed(
                        place: reader.place,
                        reason: "the content is empty or over \(AddedTokenMatcher.maximumLength) bytes")
                }
                byteCount += token.content.utf8.count
                guard byteCount <= maximumAddedBytes else {
                    throw TokenizerError.malformed(
                        place: "added_tokens",
                        reason: "has texts of more than \(maximumAddedBytes) bytes together")
                }
                return token
            }
        }

        /// Added tokens that are also in the model's vocabulary, so that merges could produce them.
        private static func bannedIDs(_ added: [AddedToken], _ tokens: [String?]) -> [Bool]? {
            var banned = [Bool](repeating: false, count: tokens.count)
            var isAny = false
            for token in added where banned.indices.contains(token.id) && tokens[token.id] != nil {
                guard token.content.unicodeScalars.count > 1 else { continue }
                banned[token.id] = true
                isAny = true
            }
            return isAny ? banned : nil
        }

        func id(of token: String) -> Int? { ids.id(of: Array(token.utf8)).map(Int.init) }

        func token(of id: Int) -> String? {
            if let added = addedByID[id] { return added.content }
            return tokens.indices.contains(id) ? tokens[id] : nil
        }

        func bytes(of id: Int) -> [UInt8]? {
            guard let token = token(of: id) else { return nil }
            if addedByID[id] != nil { return Array(token.utf8) }
            if case .byteLevel? = decoders.first { return ByteLevelAlphabet.bytes(of: token) }
            return TokenDecoder.byte(of: token).map { [$0] }
        }

        func text(of id: Int) -> String {
            guard addedByID[id] == nil, let token = token(of: id) else {
                return decode([id], skippingSpecialTokens: false)
            }
            return decoders.isEmpty ? token : TokenDecoder.text(of: token, decoders)
        }

        /// The text of an id for decoding; nil if it is unused or skipped.
        func text(of id: Int, skippingSpecialTokens: Bool) -> String? {
            if let added = addedByID[id] {
                return skippingSpecialTokens && added.special ? nil : decodedAsNormalized[id] ?? added.content
            }
            return tokens.indices.contains(id) ? tokens[id] : nil
        }

        /// Encodes valid UTF-8.
        func encode(
            _ text: [UInt8], addSpecialTokens: Bool, parsingAddedTokens: Bool, position: TextPosition
        ) -> [Int] {
            var output: [Int] = addSpecialTokens ? postProcessor.prefix : []
            var scratch = TokenModel.Scratch()
            if parsingAddedTokens, !rawMatcher.isEmpty {
                let segments = text.withUnsafeBufferPointer { rawMatcher.segments(of: $0, in: 0..<text.count) }
                for segment in segments {
                    switch segment {
                    case .token(let id): output.append(id)
                    case .text(let range):
                        let part = range.count == text.count ? text : Array(text[range])
                        encodeRaw(
                            part, range.lowerBound == 0 ? position : .afterAddedToken, parsing: true, &scratch,
                            into: &output)
                    }
                }
            } else {
                encodeRaw(text, position, parsing: parsingAddedTokens, &scratch, into: &output)
            }
            if addSpecialTokens { output += postProcessor.suffix }
            return output
        }

        private func encodeRaw(
            _ text: [UInt8], _ position: TextPosition, parsing: Bool, _ scratch: inout TokenModel.Scratch,
            into output: inout [Int]
        ) {
            var normalized = text
            // How many leading bytes stem from the first character of the whole text.
            var leading = position == .start && !text.isEmpty ? UTF8Scan.length(ofLead: text[0]) : 0
            for step in normalizers {
                if case .prepend = step, position == .afterText { continue }
                if dependsOnStart { leading = step.leadingCount(in: normalized, leading) }
                normalized = step.apply(to: normalized)
            }
            let others = position == .start ? .afterAddedToken : position
            guard parsing, !normalizedMatcher.isEmpty else {
                let position = leading > 0 ? .start : others
                return encodePlain(normalized, position, parsing: parsing, &scratch, into: &output)
            }
            let segments = normalized.withUnsafeBufferPointer {
                normalizedMatcher.segments(of: $0, in: 0..<normalized.count)
            }
            for segment in segments {
                switch segment {
                case .token(let id): output.append(id)
                case .text(let range):
                    let position =
                        range.lowerBound < leading ? .start : range.lowerBound == 0 ? others : .afterAddedToken
                    encodePlain(Array(normalized[range]), position, parsing: true, &scratch, into: &output)
                }
            }
        }

        private func encodePlain(
            _ text: [UInt8], _ position: TextPosition, parsing: Bool, _ scratch: inout TokenModel.Scratch,
            into output: inout [Int]
        ) {
            var preTokens = PreTokens(text, position)
            for step in preTokenizers { step.apply(to: &preTokens) }
            let banned = parsing ? nil : banned
            preTokens.bytes.withUnsafeBufferPointer { buffer in
                for range in preTokens.ranges {
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

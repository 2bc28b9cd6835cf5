import OrderedJSON

/// Byte-pair encoding of one pre-token: its characters (or bytes), merged by rank until no merge applies.
struct BytePairModel: Sendable {
    /// What stands for one byte (byte-level) or one character (otherwise) before merging.
    private enum Unit: Sendable {
        case token(UInt32)
        case fallback([UInt32])
        case unknown
    }

    /// Texts of the vocabulary as written in the file, by id; nil where an id has none.
    let tokens: [String?]
    /// Keyed by what a pre-token consists of: raw bytes where the pre-tokenizer is byte-level, else UTF-8.
    private let table: TokenTable
    private let pairs: PairTable
    /// The id that the merge of each rank makes.
    private let mergedIDs: [UInt32]
    /// Ids that the model makes of their own text, so that no merging is needed for them.
    private let whole: WholeTokens
    private let isByteLevel: Bool
    private let byteUnits: [Unit]
    /// Ids of `<0x00>` to `<0xFF>`, where the model falls back to bytes.
    private let fallbackIDs: [UInt32?]
    private let unknownID: UInt32?
    private let fusesUnknown: Bool
    private let ignoresMerges: Bool

    /// - Parameter isByteLevel: whether pre-tokens arrive as bytes that stand for the GPT-2 alphabet.
    init(_ json: JSON, isByteLevel: Bool) throws {
        var component = try Component(json, at: "model")
        if let type = component.optional("type"), type.string != "BPE" {
            throw component.unsupported("a model of type \"\(type.string ?? type.kindName)\"")
        }
        if component.optional("dropout").map({ $0.double != 0 }) ?? false {
            throw component.unsupported("dropout")
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = component.optional(key), affix.string != "" {
                throw component.unsupported("a \(key) other than the empty one")
            }
        }
        let vocabulary = try component.object("vocab")
        let merges = try component.array("merges")
        ignoresMerges = try component.bool("ignore_merges", default: false)
        fusesUnknown = try component.bool("fuse_unk", default: false)
        let fallsBack = try component.bool("byte_fallback", default: false)
        let unknown = component.optional("unk_token")
        try component.finish()

        let vocabularyReader = try VocabularyReader(vocabulary, isByteLevel: isByteLevel)
        tokens = vocabularyReader.tokens
        table = vocabularyReader.table
        (pairs, mergedIDs) = try vocabularyReader.readMerges(merges)
        self.isByteLevel = isByteLevel

        if let unknown {
            guard let text = unknown.string, let id = vocabularyReader.ids.id(of: Array(text.utf8)) else {
                throw TokenizerError.malformed(place: "model.unk_token", reason: "is not in the vocabulary")
            }
            unknownID = id
        } else {
            unknownID = nil
        }
        fallbackIDs = (0..<256).map { byte in
            let hexadecimal = String(byte, radix: 16, uppercase: true)
            let text = "<0x\(byte < 16 ? "0" : "")\(hexadecimal)>"
            return fallsBack ? vocabularyReader.ids.id(of: Array(text.utf8)) : nil
        }
        var units: [Unit] = []
        if isByteLevel {
            for byte in UInt8.min...UInt8.max {
                let text = Array(String(ByteLevelAlphabet.scalars[Int(byte)]).utf8)
                let fallback = text.compactMap { [fallbackIDs] in fallbackIDs[Int($0)] }
                if let id = table.id(of: [byte]) {
                    units.append(.token(id))
                } else {
                    units.append(fallback.count == text.count ? .fallback(fallback) : .unknown)
                }
            }
        }
        byteUnits = units

        whole = WholeTokens(count: tokens.count)
    }

    func id(ofUnit bytes: UnsafeBufferPointer<UInt8>) -> UInt32? { table.id(of: bytes) }

    /// Appends the ids of one pre-token.
    ///
    /// Takes O(n log n) time for n bytes.
    /// - Parameter banned: ids that must not come out, whatever the text; nil for none.
    @inline(__always)
    func encode(
        _ piece: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        if let id = table.id(of: piece), !(banned?[Int(id)] ?? false),
            ignoresMerges || isWhole(Int(id), piece, &scratch)
        {
            output.append(Int(id))
            return
        }
        merge(piece, banned: banned, &scratch, into: &output)
    }

    /// Whether merging the text of a token gives that token; found out once.
    @inline(__always)
    private func isWhole(_ id: Int, _ piece: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch) -> Bool {
        if let known = whole[id] { return known }
        var merged: [Int] = []
        merge(piece, banned: nil, &scratch, into: &merged)
        let isWhole = merged == [id]
        whole.set(id, isWhole)
        return isWhole
    }

    /// The memory of `merge`, kept from one pre-token to the next.
    struct Scratch {
        fileprivate var symbols: [UInt32] = []
        fileprivate var next: [Int32] = []
        fileprivate var previous: [Int32] = []
        /// Rank in the upper half, position in the lower one.
        fileprivate var queue = MergeQueue()
    }

    private static let dead = UInt32.max

    private func merge(
        _ piece: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        scratch.symbols.removeAll(keepingCapacity: true)
        if isByteLevel {
            appendByteUnits(piece, to: &scratch.symbols)
        } else {
            appendCharacterUnits(piece, to: &scratch.symbols)
        }
        let count = scratch.symbols.count
        if count > 1 {
            scratch.next.removeAll(keepingCapacity: true)
            scratch.previous.removeAll(keepingCapacity: true)
            scratch.queue.removeAll()
            for index in 0..<count {
                scratch.next.append(index + 1 < count ? Int32(truncatingIfNeeded: index + 1) : -1)
                scratch.previous.append(Int32(truncatingIfNeeded: index - 1))
                if index + 1 < count { offer(index, index + 1, banned, &scratch) }
            }
            // An entry whose pair has changed still counts when the new pair makes the same token: that is what the
            // `tokenizers` library does, and some tokenizers reach one token by two merges.
            while let (rank, position) = scratch.queue.popLowest() {
                let left = scratch.symbols[position]
                let rightPosition = Int(scratch.next[position])
                guard left != Self.dead, rightPosition >= 0,
                    let current = pairs.rank(left, scratch.symbols[rightPosition]),
                    mergedIDs[Int(current)] == mergedIDs[rank]
                else { continue }
                scratch.symbols[position] = mergedIDs[rank]
                scratch.symbols[rightPosition] = Self.dead
                let following = Int(scratch.next[rightPosition])
                scratch.next[position] = Int32(truncatingIfNeeded: following)
                if following >= 0 { scratch.previous[following] = Int32(truncatingIfNeeded: position) }
                let before = Int(scratch.previous[position])
                if before >= 0 { offer(before, position, banned, &scratch) }
                if following >= 0 { offer(position, following, banned, &scratch) }
            }
        }
        for symbol in scratch.symbols where symbol != Self.dead { output.append(Int(symbol)) }
    }

    @inline(__always)
    private func offer(_ left: Int, _ right: Int, _ banned: [Bool]?, _ scratch: inout Scratch) {
        guard let rank = pairs.rank(scratch.symbols[left], scratch.symbols[right]) else { return }
        if let banned, banned[Int(mergedIDs[Int(rank)])] { return }
        scratch.queue.insert(rank: rank, position: left)
    }

    @inline(__always)
    private func appendByteUnits(_ piece: UnsafeBufferPointer<UInt8>, to symbols: inout [UInt32]) {
        var pendingUnknown = false
        for byte in piece { append(byteUnits[Int(byte)], to: &symbols, &pendingUnknown) }
        if pendingUnknown, let unknownID { symbols.append(unknownID) }
    }

    private func appendCharacterUnits(_ piece: UnsafeBufferPointer<UInt8>, to symbols: inout [UInt32]) {
        var pendingUnknown = false
        var start = 0
        while start < piece.count {
            let end = min(start + UTF8Scan.length(ofLead: piece[start]), piece.count)
            let character = UnsafeBufferPointer(rebasing: piece[start..<end])
            if let id = table.id(of: character) {
                append(.token(id), to: &symbols, &pendingUnknown)
            } else {
                let fallback = character.compactMap { fallbackIDs[Int($0)] }
                append(
                    fallback.count == character.count ? .fallback(fallback) : .unknown, to: &symbols, &pendingUnknown)
            }
            start = end
        }
        if pendingUnknown, let unknownID { symbols.append(unknownID) }
    }

    /// An unknown unit waits for the next known one, so that a run of them can become one token. A unit that falls
    /// back to bytes goes ahead of a waiting one, as it does in the `tokenizers` library.
    @inline(__always)
    private func append(_ unit: Unit, to symbols: inout [UInt32], _ pendingUnknown: inout Bool) {
        switch unit {
        case .token(let id):
            if pendingUnknown, let unknownID { symbols.append(unknownID) }
            pendingUnknown = false
            symbols.append(id)
        case .fallback(let ids): symbols.append(contentsOf: ids)
        case .unknown:
            guard let unknownID else { return }
            if pendingUnknown, !fusesUnknown { symbols.append(unknownID) }
            pendingUnknown = true
        }
    }
}

/// A binary heap of merges that wait, lowest rank first, leftmost first among equals.
struct MergeQueue {
    private var heap: [UInt64] = []

    mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

    @inline(__always)
    mutating func insert(rank: UInt32, position: Int) {
        let entry = UInt64(rank) << 32 | UInt64(truncatingIfNeeded: position)
        var index = heap.count
        heap.append(entry)
        while index > 0 {
            let parent = (index - 1) / 2
            if heap[parent] <= entry { break }
            heap[index] = heap[parent]
            index = parent
        }
        heap[index] = entry
    }

    @inline(__always)
    mutating func popLowest() -> (rank: Int, position: Int)? {
        guard let lowest = heap.first, let last = heap.popLast() else { return nil }
        let count = heap.count
        if count > 0 {
            var index = 0
            while true {
                var child = 2 * index + 1
                if child >= count { break }
                if child + 1 < count, heap[child + 1] < heap[child] { child += 1 }
                if heap[child] >= last { break }
                heap[index] = heap[child]
                index = child
            }
            heap[index] = last
        }
        return (Int(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
    }
}

/// Mode preference over a fixed set of prompts: the probabilities of `<think>` and `<short>` as first response token.
///
/// The probabilities are those at temperature 1 over the whole vocabulary, not renormalised.
public struct ProbeTable: Sendable, Equatable {
    public var prompts: [String]
    /// The difficulty of each prompt, or an empty text if unknown.
    public var levels: [String]
    /// The step of each snapshot.
    public var steps: [Int]
    /// P(`<think>`), `[snapshots][prompts]`; NaN if the model's logits were not numbers.
    public var pThink: [[Double]]
    /// P(`<short>`), `[snapshots][prompts]`; NaN if the model's logits were not numbers.
    public var pShort: [[Double]]

    public init(
        prompts: [String], levels: [String], steps: [Int] = [], pThink: [[Double]] = [], pShort: [[Double]] = []
    ) {
        self.prompts = prompts
        self.levels = levels
        self.steps = steps
        self.pThink = pThink
        self.pShort = pShort
    }

    /// Whether all columns have the length that prompts and steps require.
    private var isRectangular: Bool {
        levels.count == prompts.count && pThink.count == steps.count && pShort.count == steps.count
            && pThink.allSatisfy { $0.count == prompts.count } && pShort.allSatisfy { $0.count == prompts.count }
    }
}

extension ProbeTable {
    /// The path of a table: the first is `/probe` itself, later ones are numbered groups in it.
    private static func path(_ index: Int) -> String {
        index == 0 ? "/probe" : "/probe/" + zeroPadded(index + 1, digits: 4)
    }

    static func all(from records: RecordReader) throws -> [ProbeTable] {
        var tables: [ProbeTable] = []
        while records.groups.contains(path(tables.count)) {
            tables.append(try ProbeTable(from: records, path(tables.count)))
        }
        guard records.groups.filter({ $0.hasPrefix("/probe") }).count == tables.count else {
            throw records.damaged("/probe", "its tables are not numbered consecutively")
        }
        return tables
    }

    private init(from records: RecordReader, _ path: String) throws {
        let prompts = try records.texts(path + "/prompt")
        let steps = try records.counters(path + "/step")
        func rows(_ column: String) throws -> [[Double]] {
            let all = try records.doubles(path + column, rank: 2)
            guard records.values[path + column]?.shape == [steps.count, prompts.count] else {
                throw records.damaged(path + column, "its shape is not snapshots by prompts")
            }
            guard all.allSatisfy({ (0...1).contains($0) || $0.isNaN }) else {
                throw records.damaged(path + column, "has a probability outside 0...1")
            }
            return steps.indices.map { Array(all[$0 * prompts.count..<($0 + 1) * prompts.count]) }
        }
        let (think, short) = (try rows("/p_think"), try rows("/p_short"))
        let levels = try records.texts(path + "/level")
        guard levels.count == prompts.count else { throw records.damaged(path, "its columns differ in length") }
        self.init(prompts: prompts, levels: levels, steps: steps, pThink: think, pShort: short)
    }

    static func write(_ tables: [ProbeTable], to records: inout RecordWriter) throws {
        for (index, table) in tables.enumerated() {
            guard table.isRectangular else {
                throw CheckpointError.invalid(name: "probe table \(index + 1)", problem: "its columns differ in length")
            }
            let path = path(index)
            records.group(path)
            records.dataset(path + "/prompt", texts: table.prompts)
            records.dataset(path + "/level", texts: table.levels)
            records.dataset(path + "/step", .integers(table.steps))
            let shape = [table.steps.count, table.prompts.count]
            records.dataset(path + "/p_think", .doubles(table.pThink.flatMap { $0 }, shape: shape))
            records.dataset(path + "/p_short", .doubles(table.pShort.flatMap { $0 }, shape: shape))
        }
    }
}

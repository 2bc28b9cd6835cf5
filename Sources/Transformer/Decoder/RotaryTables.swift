import CheckpointIO
import Foundation

/// Rotary tables, created when first needed and kept.
final class RotaryTables: @unchecked Sendable {
    // Sendable because the tables are accessed under the lock only.
    private let configuration: ModelConfiguration
    private let lock = NSLock()
    private var common: RotaryTable?
    /// Tables for sequences longer than the model was first trained with, by the length that decides the frequencies.
    private var scaled: [Int: RotaryTable] = [:]

    init(_ configuration: ModelConfiguration) { self.configuration = configuration }

    /// A table of at least `length` positions, for a sequence of that length.
    func table(_ length: Int) -> RotaryTable {
        lock.withLock {
            if let deciding = configuration.ropeScaling.decidingLength(length, configuration.maxPositionEmbeddings) {
                if let table = scaled[deciding], table.length >= length { return table }
                if scaled.count > 64 { scaled = [:] }
                let reach = max(length, (scaled[deciding]?.length ?? 0) * 2)
                let table = RotaryTable(configuration, length: reach, sequenceLength: deciding)
                scaled[deciding] = table
                return table
            }
            if let common, common.length >= length { return common }
            let reach = max(length, (common?.length ?? 128) * 2)
            let table = RotaryTable(configuration, length: reach, sequenceLength: 1)
            common = table
            return table
        }
    }

    /// One table per segment; segments that share keys share the table of the longest.
    func tables(_ layout: BatchLayout) -> [RotaryTable] {
        var result = [RotaryTable?](repeating: nil, count: layout.segments.count)
        for tree in layout.trees {
            let table = table(tree.reduce(1) { max($0, layout.segments[$1].keyCount) })
            for index in tree { result[index] = table }
        }
        return result.compactMap { $0 }
    }
}

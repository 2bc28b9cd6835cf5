import Foundation

/// Rotary tables, created when first needed and kept.
final class RotaryTables: @unchecked Sendable {
    // Sendable because the tables are accessed under the lock only.
    private let configuration: ModelConfiguration
    private let lock = NSLock()
    private var common: RotaryTable?
    /// The table of LongRoPE for sequences beyond its original length.
    private var long: RotaryTable?
    /// Tables of dynamic scaling by sequence length.
    private var scaled: [Int: RotaryTable] = [:]

    init(_ configuration: ModelConfiguration) { self.configuration = configuration }

    /// A table of at least `length` positions, for a sequence of that length.
    func table(_ length: Int) -> RotaryTable {
        lock.withLock {
            if case .longrope(_, _, _, let originalLength) = configuration.ropeScaling, length > originalLength {
                return grown(&long, to: length, sequenceLength: length)
            }
            // Dynamic scaling depends on the length beyond the length the model was trained with.
            if case .dynamic = configuration.ropeScaling, length > configuration.maxPositionEmbeddings {
                if let table = scaled[length] { return table }
                if scaled.count > 64 { scaled = [:] }
                let table = RotaryTable(configuration, length: length, sequenceLength: length)
                scaled[length] = table
                return table
            }
            return grown(&common, to: length, sequenceLength: 1)
        }
    }

    /// `table`, replaced by a longer one if it has fewer than `length` positions.
    private func grown(_ table: inout RotaryTable?, to length: Int, sequenceLength: Int) -> RotaryTable {
        if let table, table.length >= length { return table }
        let reach = max(length, (table?.length ?? 128) * 2)
        let longer = RotaryTable(configuration, length: reach, sequenceLength: sequenceLength)
        table = longer
        return longer
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

import CheckpointIO
import Parallel

/// Rows of new tokens for one vocabulary matrix, in its storage type.
struct NewRows: Sendable {
    /// Stored bytes by row index.
    let bytes: [Int: [UInt8]]
    /// Norms by row index.
    let norms: [Int: Float]

    /// The norm of the noise relative to the row.
    ///
    /// Large enough to survive rounding to bfloat16 (relative step 2⁻⁸), small enough not to change the logits.
    static let noise = 0.01

    /// Makes the rows.
    ///
    /// - Parameters:
    ///   - rows: the index and token of each new row.
    ///   - matrix: the matrix before the edit.
    ///   - statistics: those of its used rows.
    ///   - initialization: where the values come from.
    ///   - source: the row to copy, for `copy` and `automatic`.
    ///   - rescalesMean: whether `mean` rows are rescaled to the median norm.
    ///   - standardDeviation: for `normal`.
    ///   - seed: the seed of the noise.
    ///   - stream: the random stream, different for each matrix.
    /// - Throws: `SurgeryError.equalRows` if two rows remain equal after rounding to the storage type.
    init(
        for rows: [(index: Int, token: String)], in matrix: TensorRows, statistics: RowStatistics,
        initialization: RowInitialization, source: Int?, rescalesMean: Bool, standardDeviation: Double,
        seed: UInt64, stream: UInt64
    ) throws {
        let sourceRow: [Float]? = try source.map { try matrix.row($0) }
        var bytes: [Int: [UInt8]] = [:]
        var norms: [Int: Float] = [:]
        var seen: [[UInt8]: String] = [:]
        if let source {
            seen[try Self.stored(try matrix.row(source), as: matrix.description)] = "the copied token"
        }
        for (position, row) in rows.enumerated() {
            var noise = Self.noise
            for attempt in 0... {
                var random = SeededNormal(
                    seed: seed, stream: stream &* 0x1_0000_0000 &+ UInt64(position) &* 64 &+ UInt64(attempt))
                let values: [Float]
                if initialization == .normal {
                    values = (0..<matrix.columns).map { _ in Float(random.next() * standardDeviation) }
                } else if initialization.copies(row.token) {
                    values = Self.perturbed(sourceRow ?? statistics.mean, toNorm: nil, noise, &random)
                } else {
                    values = Self.perturbed(
                        statistics.mean, toNorm: rescalesMean ? statistics.norm(atQuantile: 0.5) : nil, noise, &random)
                }
                let stored = try Self.stored(values, as: matrix.description)
                if let other = seen[stored] {
                    guard attempt < 8 else {
                        throw SurgeryError.equalRows(tensor: matrix.description.name, tokens: [other, row.token])
                    }
                    noise *= 2
                    continue
                }
                seen[stored] = row.token
                bytes[row.index] = stored
                norms[row.index] = euclideanNorm(try Self.values(stored, of: matrix.description))
                break
            }
        }
        self.bytes = bytes
        self.norms = norms
    }

    /// `row`, rescaled to the norm `target` if given, plus normal noise of relative norm `noise`.
    private static func perturbed(
        _ row: [Float], toNorm target: Float?, _ noise: Double, _ random: inout SeededNormal
    ) -> [Float] {
        let norm = Double(euclideanNorm(row))
        let scale = norm > 0 ? target.map { Double($0) / norm } ?? 1 : 1
        // A zero row gets noise of the size of an ordinary initialisation.
        let step = norm > 0 ? noise * norm * scale / Double(row.count).squareRoot() : 0.02
        return row.map { Float(Double($0) * scale + random.next() * step) }
    }

    static func stored(_ values: [Float], as description: TensorDescription) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: values.count * description.elementType.byteCount)
        try values.withUnsafeBufferPointer { values in
            try bytes.withUnsafeMutableBytes {
                try ElementConversion.fromFloat32(values, description.elementType, into: $0)
            }
        }
        return bytes
    }

    private static func values(_ bytes: [UInt8], of description: TensorDescription) throws -> [Float] {
        var values = [Float](repeating: 0, count: bytes.count / description.elementType.byteCount)
        try bytes.withUnsafeBytes { bytes in
            try values.withUnsafeMutableBufferPointer {
                try ElementConversion.toFloat32(bytes, description.elementType, into: $0)
            }
        }
        return values
    }
}

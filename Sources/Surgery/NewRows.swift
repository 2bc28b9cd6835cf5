import CheckpointIO
import Parallel

/// Rows for new tokens in one vocabulary matrix, already in the type the matrix is stored in.
struct NewRows: Sendable {
    /// Row index to stored bytes.
    let bytes: [Int: [UInt8]]
    /// Row index to norm.
    let norms: [Int: Float]

    /// Length of the noise relative to the row it is added to. Large enough to survive rounding to bfloat16 (relative
    /// step 2⁻⁸), small enough to leave the logits where they are.
    static let noise = 0.01

    /// - Parameters:
    ///   - rows: the indices to make, with the token each is for.
    ///   - source: index of the row to copy, for `copy` and `automatic`.
    ///   - standardDeviation: for `normal`.
    ///   - stream: keeps the noise of different matrices apart.
    /// - Throws: `SurgeryError.equalRows` where two rows stay equal in the stored type.
    init(
        for rows: [(index: Int, token: String)], in matrix: TensorRows, statistics: VocabularyRows,
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
                switch initialization {
                case .normal:
                    values = (0..<matrix.columns).map { _ in Float(random.next() * standardDeviation) }
                case .mean:
                    values = Self.perturbed(
                        statistics.mean, toNorm: rescalesMean ? statistics.norm(atQuantile: 0.5) : nil, noise, &random)
                case .copy, .automatic:
                    values = Self.perturbed(sourceRow ?? statistics.mean, toNorm: nil, noise, &random)
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

    /// `row`, brought to a length if one is given, plus normal noise of a length relative to it.
    private static func perturbed(
        _ row: [Float], toNorm target: Float?, _ noise: Double, _ random: inout SeededNormal
    ) -> [Float] {
        let norm = Double(euclideanNorm(row))
        let scale = norm > 0 ? target.map { Double($0) / norm } ?? 1 : 1
        // A row of zeros (a model that was just made) gets noise of the size of an ordinary initialisation.
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

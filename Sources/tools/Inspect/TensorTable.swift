import CheckpointIO
import OrderedJSON

/// A table of tensors and the statistics of their values.
struct TensorTable {
    let rows: [(tensor: StoredTensor, statistics: TensorStatistics)]

    var lines: [String] {
        let nameWidth = rows.map { label($0.tensor).count }.max() ?? 4
        let heading =
            Format.column("tensor", nameWidth) + "  " + Format.column("shape", 16) + Format.column("dtype", 10)
            + ["mean", "std", "min", "max", "norm", "NaN", "infinite", "zero", "chunks", "stored"]
            .map { Format.column($0, 10, alignRight: true) }.joined()
        return [Style.bold(heading)] + rows.map { line($0.tensor, $0.statistics, nameWidth) }
    }

    /// The name of a weight, or the HDF5 path of a moment of the optimizer.
    private func label(_ tensor: StoredTensor) -> String {
        tensor.group == .weights ? tensor.description.name : tensor.path
    }

    private func line(_ tensor: StoredTensor, _ values: TensorStatistics, _ nameWidth: Int) -> String {
        let shape =
            tensor.description.shape.isEmpty
            ? "scalar" : tensor.description.shape.map(String.init).joined(separator: "×")
        let ratio = Double(tensor.storedByteCount) / Double(tensor.description.byteCount)
        let hasValues = values.finiteCount > 0
        let numbers = [
            values.mean, values.standardDeviation, hasValues ? values.minimum : .nan, hasValues ? values.maximum : .nan,
            values.norm,
        ].map(Format.number)
        let columns =
            numbers + [
                Format.grouped(values.nanCount), Format.grouped(values.infiniteCount),
                Format.percent(values.zeroShare, decimals: 1), String(tensor.chunkCount),
                Format.percent(ratio, decimals: 1),
            ]
        let line =
            Format.column(label(tensor), nameWidth) + "  " + Format.column(shape, 16)
            + Format.column(tensor.description.elementType.rawValue, 10)
            + columns.map { Format.column($0, 10, alignRight: true) }.joined()
        return values.nanCount + values.infiniteCount > 0 ? Style.red(line) : line
    }

    var json: JSON {
        .array(
            rows.map { tensor, values in
                var members = JSONObject()
                members["name"] = .string(tensor.description.name)
                members["path"] = .string(tensor.path)
                members["dtype"] = .string(tensor.description.elementType.rawValue)
                members["shape"] = .array(tensor.description.shape.map(JSON.integer))
                members["sha256"] = .string(tensor.sha256)
                members["bytes"] = .integer(tensor.description.byteCount)
                members["stored_bytes"] = .integer(tensor.storedByteCount)
                members["chunks"] = .integer(tensor.chunkCount)
                members["chunk_shape"] = tensor.chunkShape.map { .array($0.map(JSON.integer)) } ?? .null
                members["mean"] = .double(values.mean)
                members["std"] = .double(values.standardDeviation)
                members["min"] = .double(values.minimum)
                members["max"] = .double(values.maximum)
                members["norm"] = .double(values.norm)
                members["nan"] = .integer(values.nanCount)
                members["infinite"] = .integer(values.infiniteCount)
                members["zero_share"] = .double(values.zeroShare)
                return .object(members)
            })
    }
}

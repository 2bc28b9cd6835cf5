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
            + Format.column(tensor.quantization?.name ?? tensor.description.elementType.rawValue, 10)
            + columns.map { Format.column($0, 10, alignRight: true) }.joined()
        return values.nanCount + values.infiniteCount > 0 ? Style.red(line) : line
    }

    var json: JSON {
        .array(
            rows.map { tensor, values in
                var json: JSON = [
                    "name": .string(tensor.description.name), "path": .string(tensor.path),
                    "dtype": .string(tensor.description.elementType.rawValue),
                    "shape": .array(tensor.description.shape.map(JSON.integer)),
                    "sha256": tensor.sha256.map(JSON.string) ?? .null,
                    "bytes": .integer(tensor.description.byteCount), "stored_bytes": .integer(tensor.storedByteCount),
                    "chunks": .integer(tensor.chunkCount),
                    "chunk_shape": tensor.chunkShape.map { .array($0.map(JSON.integer)) } ?? .null,
                    "mean": .double(values.mean), "std": .double(values.standardDeviation),
                    "min": .double(values.minimum), "max": .double(values.maximum), "norm": .double(values.norm),
                    "nan": .integer(values.nanCount), "infinite": .integer(values.infiniteCount),
                    "zero_share": .double(values.zeroShare),
                ]
                if let quantization = tensor.quantization { json["quantization"] = .string(quantization.name) }
                return json
            })
    }
}

import Surgery

/// The error of quantised tensors on one screen.
struct QuantizationText {
    private let tensors: [TensorComparison]

    /// nil if neither side has quantised tensors.
    init?(_ report: ComparisonReport) {
        tensors = report.tensors.filter { $0.quantizationA != nil || $0.quantizationB != nil }
        if tensors.isEmpty { return nil }
    }

    /// The number of tensors shown before the rest is only counted.
    private static let longest = 10

    var lines: [String] {
        var lines = ["", Style.bold("Quantisation"), "  \(types)"]
        let compared = tensors.filter { $0.statistics != nil }.sorted { error($0) > error($1) }
        guard !compared.isEmpty else { return lines }
        lines.append(
            "  "
                + Style.faint(
                    Format.column("largest error", 34) + Format.column("type", 6)
                        + Self.columns(["‖Δ‖/‖A‖", "cosine", "worst block"])))
        for tensor in compared.prefix(Self.longest) {
            let name = tensor.name.replacing("model.", with: "").replacing(".weight", with: "")
            lines.append(
                "  " + Format.column(name, 34) + Format.column(tensor.quantizationB ?? tensor.quantizationA ?? "", 6)
                    + Self.columns([
                        Format.number(error(tensor)), ComparisonText.cosine(tensor.statistics?.cosine ?? .nan),
                        tensor.worstBlock.map { Format.number($0.relativeError) } ?? "–",
                    ]))
        }
        if compared.count > Self.longest { lines.append("  … \(compared.count - Self.longest) more; --json lists all") }
        if let worst = compared.filter({ $0.worstBlock != nil }).max(by: { blockError($0) < blockError($1) }),
            let block = worst.worstBlock
        {
            lines.append(
                "  worst block: \(worst.name)\(block.index), \(block.elementCount) elements, error "
                    + "\(Format.number(block.relativeError)) of an average block's norm")
        }
        return lines
    }

    private static func columns(_ texts: [String]) -> String {
        texts.map { Format.column($0, 12, alignRight: true) }.joined()
    }

    /// The number of tensors of each type.
    private var types: String {
        var counts: [String: Int] = [:]
        for tensor in tensors {
            let names = [tensor.quantizationA, tensor.quantizationB].compactMap(\.self)
            let other = (tensor.quantizationA == nil ? tensor.typeA : tensor.typeB)?.rawValue
            let text: String
            if names.count == 2 {
                text = names[0] == names[1] ? names[0] : names.joined(separator: " → ")
            } else {
                text =
                    tensor.quantizationA == nil
                    ? [other, names[0]].compactMap(\.self).joined(separator: " → ")
                    : [names[0], other].compactMap(\.self).joined(separator: " → ")
            }
            counts[text, default: 0] += 1
        }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Format.counted($0.value, "tensor")) \($0.key)" }.joined(separator: ", ")
    }

    private func error(_ tensor: TensorComparison) -> Double { tensor.statistics?.relativeChange ?? 0 }

    private func blockError(_ tensor: TensorComparison) -> Double { tensor.worstBlock?.relativeError ?? 0 }
}

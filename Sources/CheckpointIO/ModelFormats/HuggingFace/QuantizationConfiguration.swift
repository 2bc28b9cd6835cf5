import OrderedJSON

/// What `quantization_config` in `config.json` says about FP8 weights.
struct QuantizationConfiguration {
    /// Rows and columns that share a scale; nil if it does not say so.
    let block: (rows: Int, columns: Int)?

    /// Takes the configuration of FP8 weights apart, from DeepSeek and Qwen (`fp8`), llm-compressor
    /// (`compressed-tensors`), ModelOpt (`modelopt`) and FBGEMM (`fbgemm_fp8`).
    ///
    /// - Throws: `ModelFormatError.unsupported` for every other quantisation.
    init(_ json: JSON, path: String) throws {
        let method = json["quant_method"]?.string ?? "unknown method"
        var sizes: [JSON] = []
        var isFloat8 = false
        switch method {
        case "fp8", "fbgemm_fp8":
            isFloat8 = true
            sizes = [json["weight_block_size"] ?? .null]
        case "modelopt":
            isFloat8 = (json["quant_algo"] ?? json["quantization"]?["quant_algo"])?.string == "FP8"
        case "compressed-tensors":
            let groups = (json["config_groups"]?.object).map { $0.map(\.value) } ?? []
            let weights = groups.compactMap { $0["weights"] }
            isFloat8 =
                !weights.isEmpty
                && weights.allSatisfy {
                    $0["type"]?.string == "float" && $0["num_bits"]?.int == 8 && $0["symmetric"]?.bool != false
                }
            sizes = weights.map { $0["block_structure"] ?? .null }
        default: break
        }
        guard isFloat8 else {
            throw ModelFormatError.unsupported(
                path: path, what: "a quantised model (\(quoted(method)))",
                remedy: "give the model's bfloat16 or float16 version; of quantised ones, ckpt reads FP8 and GGUF")
        }
        let blocks = sizes.compactMap { $0.isNull ? nil : $0 }
        guard let first = blocks.first else {
            block = nil
            return
        }
        guard blocks.allSatisfy({ $0 == first }), let sides = first.array?.compactMap(\.int), sides.count == 2,
            sides.allSatisfy({ (1...65_536).contains($0) })
        else {
            throw ModelFormatError.malformed(
                path: path, place: "quantization_config", reason: "the size of its blocks is not [rows, columns]")
        }
        block = (sides[0], sides[1])
    }
}

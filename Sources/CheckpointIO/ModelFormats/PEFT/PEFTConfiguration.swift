import OrderedJSON

/// The `adapter_config.json` of a LoRA adapter, as PEFT 0.4 to 0.21 write it.
///
/// Settings that make of an adapter something else than LoRA on whole matrices are refused by name.
struct PEFTConfiguration: Sendable {
    let path: String
    /// `base_model_name_or_path`.
    let baseModel: String?
    let rank: Int
    let alpha: Double
    let usesRankStabilizedScaling: Bool
    /// Whether modules that the base ties stay tied (`ensure_weight_tying`).
    let keepsTies: Bool
    private let rankPatterns: [(key: ModuleKey, value: Double)]
    private let alphaPatterns: [(key: ModuleKey, value: Double)]
    private let targets: PEFTTargets
    /// Trained tokens by the name of the module, or for the key nil those of the input embedding.
    private let tokens: [(module: String?, ids: [Int])]

    init(path: String) throws {
        self.path = path
        let json = try TextFile.json(path, maximumByteCount: TextFile.maximumConfigByteCount)
        let fields = PEFTFields(path: path, json: json)
        try fields.refuseVariants()
        baseModel = try fields.text("base_model_name_or_path")
        guard let rank = try fields.integer("r"), (1...1 << 16).contains(rank) else {
            throw fields.malformed("r", "must be an integer in 1...65536")
        }
        guard let alpha = try fields.number("lora_alpha") else {
            throw fields.malformed("lora_alpha", "must be a number")
        }
        self.rank = rank
        self.alpha = alpha
        usesRankStabilizedScaling = try fields.boolean("use_rslora") ?? false
        keepsTies = try fields.boolean("ensure_weight_tying") ?? false
        rankPatterns = try fields.patterns("rank_pattern")
        alphaPatterns = try fields.patterns("alpha_pattern")
        targets = try PEFTTargets(fields)
        tokens = try fields.tokens("trainable_token_indices")
    }

    /// Whether PEFT puts an adapter on the module.
    func targets(_ module: String) throws -> Bool { try targets.contains(module) }

    /// The rank of a module's matrices.
    func rank(of module: String) throws -> Int {
        guard let value = try Self.value(of: module, in: rankPatterns) else { return rank }
        guard let rank = Int(exactly: value) else {
            throw ModelFormatError.malformed(path: path, place: "rank_pattern", reason: "has a rank that is no integer")
        }
        return rank
    }

    /// The factor of a module's product B·A.
    func scaling(of module: String) throws -> Double {
        let rank = Double(try rank(of: module))
        let alpha = try Self.value(of: module, in: alphaPatterns) ?? alpha
        return alpha / (usesRankStabilizedScaling ? rank.squareRoot() : rank)
    }

    /// The rows of a module that `trainable_token_indices` lists, in the order of their tensor.
    func tokens(of module: String) -> [Int]? {
        tokens.first { entry in
            guard let name = entry.module else { return module == "model.embed_tokens" }
            return module == name || module.hasSuffix("." + name)
        }?.ids
    }

    var tokenModuleCount: Int { tokens.count }

    private static func value(of module: String, in patterns: [(key: ModuleKey, value: Double)]) throws -> Double? {
        try patterns.first { try $0.key.matches(module) }?.value
    }
}

/// A key of `rank_pattern` or `alpha_pattern`: the end of a module's name, literally or as a regular expression.
enum ModuleKey: Sendable {
    case name(String)
    case pattern(ModulePattern)

    init(_ text: String, path: String) throws {
        let isName = text.unicodeScalars.allSatisfy {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "_" || $0 == "."
        }
        self = isName ? .name(text) : .pattern(try ModulePattern("(?:.*\\.)?(?:\(text))", path: path))
    }

    func matches(_ module: String) throws -> Bool {
        switch self {
        case .name(let name): module == name || module.hasSuffix("." + name)
        case .pattern(let pattern): try pattern.matches(module)
        }
    }
}

import ArgumentParser
import Parallel
import TrainLoop
import Transformer

/// The key-value cache of sampling, for commands whose runs do not record it.
struct CacheArguments: ParsableArguments {
    @Option(help: "Precision of cached keys and values: fp32, or bf16 for half the memory.")
    var cache = CachePrecision.fp32

    @Option(
        help: ArgumentHelp(
            "Memory for cached keys and values, like 8GiB; when it is full, answers wait and are computed again. "
                + "Default: three quarters of the free memory.",
            valueName: "size"),
        transform: ByteSize.parsed)
    var cacheSize: ByteSize?

    /// The bytes of the cache; read after the model is loaded.
    var byteLimit: Int {
        cacheSize?.bytes ?? SystemMemory.available().map { $0 / 4 * 3 } ?? Generator.standardCacheByteLimit
    }

    func generator(_ model: Model) -> Generator {
        var generator = Generator(model)
        generator.cachePrecision = cache
        generator.cacheByteLimit = byteLimit
        return generator
    }
}

/// Lengths beyond the positions of a model.
struct LengthArguments: ParsableArguments {
    @Flag(help: "Go on beyond the model's positions (max_position_embeddings, or more with rope_scaling).")
    var allowLong = false

    /// The largest number of tokens of an answer: what was given, or else a default that the positions may shorten.
    ///
    /// - Parameters:
    ///   - given: what was given; nil: the default.
    ///   - standard: the default.
    ///   - prompts: the path and the positions of each model, and the tokens of its longest prompt.
    /// - Returns: the number of tokens.
    /// - Throws: `FileError` if a prompt with its answer may exceed the positions and `--allow-long` is not given.
    func newTokens(
        _ given: Int?, default standard: Int, after prompts: [(path: String, limit: LengthLimit, longest: Int)]
    ) throws -> Int {
        if let given {
            for (path, limit, longest) in prompts {
                if !allowLong {
                    try FileError.naming(path) { try limit.check(prompt: longest, newTokens: given) }
                } else if let excess = limit.excess(prompt: longest, newTokens: given) {
                    Terminal.warn("\(path): \(excess); answers beyond them are rarely sensible")
                }
            }
            return given
        }
        if allowLong { return standard }
        return try prompts.reduce(standard) { shortest, prompt in
            try FileError.naming(prompt.path) { try prompt.limit.check(prompt: prompt.longest, newTokens: 1) }
            return min(shortest, prompt.limit.longestAnswer(after: prompt.longest))
        }
    }
}

extension CachePrecision: ExpressibleByArgument {}

extension ByteSize {
    static func parsed(_ text: String) throws -> Self {
        guard let size = Self(text) else { throw ValidationError("give \(requirement)") }
        return size
    }
}

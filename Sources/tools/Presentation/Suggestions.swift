/// Guesses which word of ckpt a mistyped word, or a word of another program, stands for.
enum Suggestions {
    /// The names of other programs for what a command does.
    private static let commandSynonyms: [String: [String]] = [
        "add": ["add-tokens"], "ask": ["generate"], "benchmark": ["eval"], "cat": ["inspect"], "chat": ["generate"],
        "check": ["verify", "check-data"], "compare": ["diff"], "convert": ["import", "export"],
        "create": ["init"], "evaluate": ["eval"], "fine-tune": ["train-sft"], "finetune": ["train-sft"],
        "grpo": ["train-rl"], "info": ["inspect"], "infer": ["generate"], "load": ["import"], "ls": ["inspect"],
        "new": ["init"], "quantize": ["cast"], "resize": ["resize-vocab"], "rl": ["train-rl"], "run": ["generate"],
        "sample": ["generate"], "save": ["export"], "score": ["grade"], "sft": ["train-sft"], "show": ["inspect"],
        "test": ["eval"], "train": ["train-sft", "train-rl"], "validate": ["verify"], "view": ["inspect"],
    ]

    /// Our flags and other programs' names for them; a command's flags are suggested in this order.
    private static let flagSynonyms: [(ours: String, theirs: [String])] = [
        (
            "max-new-tokens",
            [
                "max-tokens", "max-length", "max-new", "max-output-tokens", "max-completion-tokens", "num-tokens",
                "new-tokens", "n-predict", "tokens", "max-response-length", "max-completion-length",
            ]
        ),
        (
            "max-length",
            [
                "max-tokens", "max-seq-len", "max-seq-length", "max-sequence-length", "seq-len", "seq-length",
                "sequence-length", "context", "context-length", "cutoff-len", "block-size",
            ]
        ),
        ("max-prompt-tokens", ["max-prompt-length", "max-prompt-len", "max-seq-len", "max-seq-length"]),
        ("max-positions", ["max-length", "max-position-embeddings", "context", "context-length", "seq-len"]),
        ("think-max-tokens", ["max-tokens", "max-new-tokens"]),
        ("short-max-tokens", ["max-tokens", "max-new-tokens"]),
        ("max-short-tokens", ["short-max-tokens"]),
        ("eval-max-new-tokens", ["max-new-tokens"]),
        ("temperature", ["temp", "t"]),
        ("think-temperature", ["temp", "temperature"]),
        ("short-temperature", ["temp", "temperature"]),
        ("think-top-p", ["top-p"]),
        ("short-top-p", ["top-p"]),
        ("top-p", ["nucleus", "p"]),
        ("top-k", ["k"]),
        ("batch-pairs", batchSizes),
        ("prompts", batchSizes + ["prompts-per-step", "num-prompts", "batch-pairs"]),
        ("concurrency", batchSizes + ["parallel", "workers", "jobs", "threads", "num-workers"]),
        (
            "samples",
            [
                "group-size", "num-generations", "num-samples", "num-return-sequences", "generations", "rollouts", "n",
                "k", "best-of",
            ]
        ),
        ("micro-batch-tokens", ["micro-batch-size", "micro-batch", "gradient-accumulation-steps", "grad-accum"]),
        ("mini-batches", ["mini-batch-size", "mini-batch", "minibatches", "num-mini-batches"]),
        ("updates-per-batch", ["ppo-epochs", "num-iterations", "inner-epochs"]),
        ("lr", ["learning-rate", "lrate", "learningrate", "peak-lr", "max-lr"]),
        ("schedule", ["lr-scheduler", "lr-schedule", "scheduler", "lr-scheduler-type", "scheduler-type"]),
        ("final-lr-share", ["min-lr", "min-lr-ratio", "final-lr", "min-lr-share"]),
        ("warmup", ["warmup-steps", "num-warmup-steps", "warmup-ratio", "warm-up", "lr-warmup-steps"]),
        ("epochs", ["num-epochs", "num-train-epochs", "n-epochs", "passes"]),
        (
            "steps",
            [
                "max-steps", "num-steps", "iterations", "iters", "max-iters", "train-steps", "total-steps", "updates",
                "epochs", "num-epochs", "num-train-epochs",
            ]
        ),
        ("save-every", ["save-steps", "save-interval", "checkpoint-every", "checkpoint-interval", "save-freq"]),
        ("keep-last", ["save-total-limit", "keep", "max-checkpoints"]),
        ("eval-every", ["eval-steps", "eval-interval", "evaluate-every", "test-freq"]),
        ("clip-norm", ["grad-clip", "max-grad-norm", "gradient-clipping", "clip", "clip-grad", "grad-norm"]),
        ("epsilon-low", ["epsilon", "eps", "clip-eps", "clip-epsilon", "clip-range", "cliprange", "clip-ratio"]),
        ("epsilon-high", ["epsilon", "eps", "clip-eps", "clip-epsilon", "clip-range", "cliprange", "clip-ratio"]),
        ("weight-decay", ["wd", "decay"]),
        ("beta1", ["adam-beta1", "beta-1"]),
        ("beta2", ["adam-beta2", "beta-2"]),
        ("kl-coefficient", ["kl", "kl-coef", "kl-coeff", "kl-loss-coef", "beta", "kl-weight", "kl-beta"]),
        ("entropy-coefficient", ["entropy", "entropy-coef", "entropy-coeff", "ent-coef", "entropy-bonus"]),
        ("reference", ["ref", "ref-model", "reference-model", "reference-policy"]),
        ("reward", ["reward-fn", "reward-function", "reward-func", "reward-funcs", "reward-program"]),
        ("output", ["out", "output-dir", "outdir", "out-dir", "output-file", "outfile", "out-file", "save-dir"]),
        ("output", ["output-path", "outpath", "dest", "destination", "save-path", "save-to", "run-dir"]),
        ("data", ["dataset", "train-data", "train-file", "data-file", "train-files", "problems", "input-data"]),
        ("eval-data", ["eval-dataset", "eval-file", "val-data", "validation-data", "val-file", "validation-file"]),
        ("eval-data", ["test-data", "held-out", "valid-data"]),
        ("resume", ["resume-from", "resume-from-checkpoint", "resume-run", "continue"]),
        ("force", ["overwrite", "overwrite-output-dir", "replace", "yes", "clobber"]),
        ("seed", ["random-seed", "rng-seed", "random-state"]),
        ("dtype", precisions),
        ("weights", ["dtype"] + precisions),
        ("products", ["dtype"] + precisions),
        ("freeze", ["freeze-layers", "frozen", "freeze-parameters", "freeze-params"]),
        ("tensor", ["tensors", "pattern", "name", "include", "filter", "key"]),
        ("weight", ["weights", "alpha", "ratio", "coefficient"]),
        ("prompt", ["question", "message", "text", "input", "p"]),
        ("budget", ["thinking-budget", "think-budget", "max-thinking-tokens", "max-think-tokens"]),
        ("mode", ["thinking", "think", "reasoning"]),
        ("limit", ["num-problems", "max-problems", "max-samples", "num-examples", "n"]),
        ("answers", ["log", "log-samples", "responses", "output", "out"]),
        ("layers", ["num-layers", "n-layers", "n-layer", "num-hidden-layers", "depth"]),
        ("heads", ["num-heads", "n-heads", "n-head", "num-attention-heads"]),
        ("key-value-heads", ["kv-heads", "num-key-value-heads", "n-kv-heads", "num-kv-heads"]),
        ("hidden-size", ["hidden", "hidden-dim", "d-model", "dim", "n-embd", "width"]),
        ("intermediate-size", ["ffn-size", "ffn-dim", "d-ff", "intermediate", "mlp-size"]),
        ("max-shard-size", ["shard-size"]),
        ("pad-to-multiple-of", ["multiple", "pad-to", "multiple-of", "pad"]),
        ("think-teacher", ["teacher", "teacher-model"]),
        ("html", ["report", "page", "html-report"]),
        ("token", ["tokens", "add", "special-tokens"]),
    ]

    private static let batchSizes = [
        "batch-size", "batch", "bs", "batchsize", "train-batch-size", "per-device-train-batch-size",
        "global-batch-size",
    ]

    private static let precisions = [
        "precision", "type", "torch-dtype", "data-type", "quantization", "bf16", "fp16", "half",
    ]

    /// Names of one thing, of which a flag accepts one at most.
    private static let valueSynonyms: [Set<String>] = [
        ["fp32", "float32", "f32", "float", "single", "torch.float32"],
        ["fp16", "float16", "f16", "half", "torch.float16"],
        ["bf16", "bfloat16", "bfloat", "torch.bfloat16"], ["q8_0", "q8", "int8", "8bit"],
        ["hf", "huggingface", "hugging-face", "safetensors", "transformers"],
        ["think", "thinking", "long", "reason"], ["short", "nothink", "no-think", "direct"],
        ["linear", "average", "mean"], ["task-arithmetic", "task_arithmetic"],
    ]

    /// The commands that `word` probably means.
    static func commands(for word: String, among commands: [String]) -> [String] {
        let word = normalized(word)
        if commands.contains(word) { return [word] }
        if let synonyms = commandSynonyms[word] { return synonyms }
        if word.count >= 3 {
            let related = commands.filter { $0.hasPrefix(word) || word.hasPrefix($0) }
            if !related.isEmpty { return related }
        }
        return nearest(to: word, among: commands).map { [$0] } ?? []
    }

    /// The flags that `word` probably means; all names are without leading dashes.
    static func flags(for word: String, among flags: some Collection<String>) -> [String] {
        let word = normalized(word)
        if flags.contains(word) { return [word] }
        for prefix in ["", "think-", "short-", "eval-"] where word.hasPrefix(prefix) {
            let theirs = String(word.dropFirst(prefix.count))
            let synonyms = flagSynonyms.filter { $0.theirs.contains(theirs) }.map { prefix + $0.ours }
            let known = synonyms.filter(flags.contains)
            if !known.isEmpty { return Array(known.prefix(3)) }
        }
        if let nearest = nearest(to: word, among: flags) { return [nearest] }
        let related = word.count < 3 ? [] : flags.filter { $0.hasPrefix(word) || word.hasPrefix($0 + "-") }.sorted()
        return related.count <= 3 ? related : []
    }

    /// The value that `word` probably means.
    static func value(for word: String, among values: [String]) -> String? {
        let lowered = word.lowercased()
        if let synonyms = valueSynonyms.first(where: { $0.contains(lowered) }),
            let value = values.first(where: synonyms.contains)
        {
            return value
        }
        return nearest(to: lowered, among: values)
    }

    /// The question that names suggestions, after "; "; an empty text without suggestions.
    static func question(_ suggestions: [String]) -> String {
        suggestions.isEmpty ? "" : "; did you mean \(suggestions.joined(separator: " or "))?"
    }

    /// The question whether `word` means one of `values`; an empty text if it is not similar to any.
    static func question(ofValue word: String, among values: [String]) -> String {
        question(value(for: word, among: values).map { [$0] } ?? [])
    }

    /// A word in lower case with dashes for underscores, without leading dashes.
    private static func normalized(_ word: String) -> String {
        String(word.lowercased().replacing("_", with: "-").drop { $0 == "-" })
    }

    /// The choice that differs from a word least, if at most a third of the word's characters differ.
    private static func nearest(to word: String, among choices: some Collection<String>) -> String? {
        // Longer words are not typing errors, and their distance would take long to compute.
        guard (2...64).contains(word.count) else { return nil }
        let limit = max(1, word.count / 3)
        return choices.map { (distance(word, $0), $0) }.filter { $0.0 <= limit }.min { $0 < $1 }?.1
    }

    /// The number of characters to insert, remove, replace or swap with a neighbour to get `b` from `a`.
    private static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
        var rows = [Array(0...b.count)]
        for i in 1..<a.count + 1 {
            var row = [i]
            for j in 1..<b.count + 1 {
                var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, rows[i - 2][j - 2] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}

// Measures the engine on models with given shapes and random weights, together with the sgemm rate and the copy rate of
// the machine. Prints one line per measurement.
//
//   engine-bench train   --shape tiny|smol|… --batch 64 --length 40 [--repeats 5] [--recompute]
//   engine-bench decode  --shape tiny|smol|… --rows 256 --prompt 20 --new 40 [--groups 8] [--bfloat16]
//   engine-bench sampling --shape smol|… [--rows 64] [--new 256] [--limits 256,2048,16384] [--cache-mb 4096]
//                [--bfloat16-cache]             answers of about --new tokens with several largest lengths
//   engine-bench score   --shape … --batch 1 --length 4096 [--bfloat16]
//   engine-bench products                       few rows times weights [3072, 576] from memory, one thread
//   engine-bench layers                         a layer's products, forward and back, all threads
//   engine-bench limits
//
// With --bfloat16-products, train, decode, score and logits round the factors of products to bfloat16. --file model.h5
// uses the weights of a checkpoint instead of a shape, --threads N sets the number of threads, and --json prints the
// figures as one line of JSON.
//
// For comparisons with other engines on the same weights, logits writes the logits [tokens, vocabulary] as float32:
//
//   engine-bench logits  --file model.h5 --tokens 1,2,3 --output logits.f32
import COpenBLAS
import CheckpointIO
import Foundation
import Parallel
import Transformer

let arguments = Array(CommandLine.arguments.dropFirst())

func option(_ name: String) -> String? {
    guard let index = arguments.firstIndex(of: "--" + name), index + 1 < arguments.count else { return nil }
    return arguments[index + 1]
}

func number(_ name: String, _ fallback: Int) -> Int { option(name).flatMap(Int.init) ?? fallback }

func seconds(_ body: () -> Void) -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    body()
    return Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
}

/// Processor time of all threads so far in seconds, which does not depend on the load of the machine.
func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec) + Double(usage.ru_utime.tv_usec) * 1e-6
}

/// All measurements but the first, which includes touching fresh memory, unless it is the only one.
func warm<T>(_ values: [T]) -> [T] { values.count > 1 ? Array(values.dropFirst()) : values }

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func peakMegabytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss / 1024
}

/// Uninitialised memory for floats, in huge pages if it is large.
func allocateFloats(_ count: Int) -> UnsafeMutablePointer<Float> {
    let memory = LargeAllocation.allocate(byteCount: 4 * max(1, count)).bindMemory(to: Float.self)
    guard let start = memory.baseAddress else { fatalError("no memory") }
    return start
}

/// Sizes by name, or `vocabulary,hidden,intermediate,layers,heads,keyValueHeads`.
func configuration(_ shape: String) throws -> ModelConfiguration {
    let named = [
        "tiny": "64,128,352,3,4,4", "smol": "49152,576,1536,30,9,3", "qwen1.5b": "151936,1536,8960,28,12,2",
        "0.5b": "49152,960,2560,32,15,5",
    ]
    let sizes = (named[shape] ?? shape).split(separator: ",").map(String.init)
    guard sizes.count == 6 else { throw ConfigurationError.inconsistent("a shape has six numbers") }
    return try ModelConfiguration(
        json: """
            {"model_type": "\(shape == "qwen1.5b" ? "qwen2" : "llama")", "vocab_size": \(sizes[0]),
             "hidden_size": \(sizes[1]), "intermediate_size": \(sizes[2]), "num_hidden_layers": \(sizes[3]),
             "num_attention_heads": \(sizes[4]), "num_key_value_heads": \(sizes[5]), "tie_word_embeddings": true,
             "max_position_embeddings": 131072}
            """)
}

/// The configuration of the chosen file or shape.
func chosenConfiguration(_ fallback: String) throws -> ModelConfiguration {
    guard let file = option("file") else { return try configuration(option("shape") ?? fallback) }
    return try ModelConfiguration(json: try CheckpointFile(path: file).metadata.config)
}

/// The weights of the chosen file, or random weights of the chosen shape.
func chosenParameters(_ fallback: String) throws -> ModelParameters {
    guard let file = option("file") else {
        return ModelParameters(try configuration(option("shape") ?? fallback), randomSeed: 1)
    }
    return try ModelParameters(try CheckpointFile(path: file))
}

func chosenCompactParameters(_ fallback: String) throws -> CompactParameters {
    guard let file = option("file") else { return CompactParameters(rounding: try chosenParameters(fallback)) }
    return try CompactParameters(try CheckpointFile(path: file))
}

/// The precision of matrix products.
let products: ProductPrecision = arguments.contains("--bfloat16-products") ? .bf16 : .fp32

/// The name of the chosen file or shape.
func name(_ fallback: String) -> String { option("file") ?? option("shape") ?? fallback }

/// Prints a measurement as text, or its figures with `--json`.
func report(_ text: String, _ figures: KeyValuePairs<String, Double>) {
    guard arguments.contains("--json") else { return print(text) }
    print("{" + figures.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}")
}

func sequences(_ count: Int, _ length: Int, _ vocabulary: Int) -> [[Int]] {
    (0..<count).map { row in (0..<length).map { ($0 * 7919 + row * 104_729 + $0 * $0 * 31) % vocabulary } }
}

/// The rate of a large matrix product on all threads in operations per second: the best of eight measurements, or the
/// median of 16 as an estimate of the machine's current speed.
func sgemmRate(size: Int = 1536, takesMedian: Bool = false) -> Double {
    let count = size * size
    nonisolated(unsafe) let a = allocateFloats(count)
    nonisolated(unsafe) let c = allocateFloats(count)
    a.initialize(repeating: 0.5, count: count)
    defer {
        a.deallocate()
        c.deallocate()
    }
    let times = (0..<(takesMedian ? 16 : 8)).map { _ in
        seconds {
            DispatchQueue.concurrentPerform(iterations: EngineThreads.count) { part in
                let first = size * part / EngineThreads.count
                let rows = size * (part + 1) / EngineThreads.count - first
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(size), Int32(size), 1,
                    a + first * size, Int32(size), a, Int32(size), 0, c + first * size, Int32(size))
            }
        }
    }
    return 2 * Double(size) * Double(size) * Double(size) / (takesMedian ? median(times) : times.min() ?? 0)
}

/// Bytes read and written per second when copying a buffer much larger than the caches.
func copyRate() -> Double {
    let bytes = 256 << 20
    let from = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    let to = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    defer {
        from.deallocate()
        to.deallocate()
    }
    memset(from, 1, bytes)
    memset(to, 1, bytes)
    var best = Double.infinity
    for _ in 0..<5 {
        best = min(best, seconds { memcpy(to, from, bytes) })
    }
    return 2 * Double(bytes) / best
}

func train() throws {
    let configuration = try chosenConfiguration("tiny")
    let parameters = try chosenParameters("tiny")
    let gradients = ModelParameters(configuration)
    let model = Model(parameters, products: products)
    model.recomputesActivations = arguments.contains("--recompute")
    var optimizer = AdamW(configuration, weightDecay: 0.01)
    let rows = sequences(number("batch", 64), number("length", 40), configuration.vocabularySize)
    let batch = PackedBatch(rows)
    var positions: [ScoredPosition] = []
    for segment in 0..<batch.segmentCount {
        for index in batch.range(of: segment).dropLast() {
            positions.append(ScoredPosition(position: index, target: batch.tokens[index + 1]))
        }
    }
    var times: [(gradients: Double, update: Double)] = []
    var processor: [Double] = []
    var shares: [Double] = []
    // The speed of a shared machine varies, so the sgemm rate is measured before and after every step.
    var sgemm = sgemmRate(takesMedian: true)
    for _ in 0..<number("repeats", 5) {
        let before = processorSeconds()
        let forwardBackward = seconds {
            gradients.clear()
            model.accumulateGradients(batch, positions, into: gradients) { range, _ in
                ([Float](repeating: -1 / Float(positions.count), count: range.count), [])
            }
        }
        let update = seconds {
            let scale = clipScale(norm: gradientNorm(gradients), limit: 1)
            optimizer.update(parameters, gradients: gradients, learningRate: 1e-4, gradientScale: scale)
        }
        times.append((forwardBackward, update))
        processor.append(processorSeconds() - before)
        let operations = 6 * Double(configuration.parameterCount) * Double(batch.tokens.count)
        let after = sgemmRate(takesMedian: true)
        shares.append(operations / (forwardBackward + update) / ((sgemm + after) / 2))
        sgemm = after
    }
    let total = median(warm(times).map { $0.gradients + $0.update })
    let rate = Double(batch.tokens.count) / total
    let share = median(warm(shares))
    report(
        "train \(name("tiny")) \(rows.count)x\(rows[0].count): \(Int(rate)) tokens/s,"
            + " step \(String(format: "%.1f", total * 1e3)) ms"
            + " (update \(String(format: "%.1f", median(warm(times).map(\.update)) * 1e3))),"
            + " processor \(String(format: "%.1f", median(warm(processor)) * 1e3)) ms,"
            + " \(String(format: "%.0f", share * 100)) % of sgemm \(Int(sgemm * 1e-9)) GFLOP/s,"
            + " peak \(peakMegabytes()) MB",
        [
            "tokens_per_second": rate, "sgemm_share": share, "sgemm_flops": sgemm,
            "processor_seconds": median(warm(processor)),
            "peak_megabytes": Double(peakMegabytes()),
        ])
}

func decode() throws {
    let configuration = try chosenConfiguration("tiny")
    var generator =
        arguments.contains("--bfloat16")
        ? Generator(Model(try chosenCompactParameters("tiny"), products: products))
        : Generator(Model(try chosenParameters("tiny"), products: products))
    generator.favorsFewRows = arguments.contains("--favor-few-rows")
    let rows = number("rows", 256)
    let group = number("groups", 8)
    let prompts = sequences(max(1, rows / group), number("prompt", 20), configuration.vocabularySize)
    let requests = prompts.enumerated().map {
        GenerationRequest(prompt: $1, promptKey: $0, sampleCount: min(group, rows))
    }
    let new = number("new", 40)
    let samples = requests.reduce(0) { $0 + $1.sampleCount }
    var times: [Double] = []
    var processor: [Double] = []
    for repeated in 0..<number("repeats", 3) {
        let before = processorSeconds()
        times.append(
            seconds {
                _ = generator.generate(
                    requests, SamplingOptions(maximumNewTokens: new, seed: UInt64(repeated)))
            })
        processor.append(processorSeconds() - before)
    }
    let time = median(warm(times))
    report(
        "decode \(name("tiny")) \(samples) rows, groups of \(group), prompt \(prompts[0].count), new \(new):"
            + " \(Int(Double(samples * new) / time)) tokens/s,"
            + " processor \(String(format: "%.1f", median(warm(processor)) * 1e6 / Double(samples * new))) us a token,"
            + " peak \(peakMegabytes()) MB",
        [
            "tokens_per_second": Double(samples * new) / time, "processor_seconds": median(warm(processor)),
            "peak_megabytes": Double(peakMegabytes()),
        ])
}

/// Samples the same rows with several limits on their length, in turns; a callback ends them after 3/4 to 5/4 of
/// `--new` tokens, but at most at the least limit.
func sampling() throws {
    var generator = Generator(Model(try chosenParameters("smol"), products: products))
    generator.cacheByteLimit = number("cache-mb", 4096) << 20
    if arguments.contains("--bfloat16-cache") { generator.cachePrecision = .bf16 }
    let limits = (option("limits") ?? "256,2048,16384").split(separator: ",").compactMap { Int($0) }
    let (rows, new) = (number("rows", 64), number("new", 256))
    let vocabulary = try chosenConfiguration("smol").vocabularySize
    let requests = sequences(rows, number("prompt", 20), vocabulary).enumerated().map {
        GenerationRequest(prompt: $1, promptKey: $0)
    }
    let ends = (0..<rows).map { min(limits.min() ?? new, new * 3 / 4 + new / 2 * ($0 * 37 % rows) / rows) }
    var rates = [[Double]](repeating: [], count: limits.count)
    var processor = [[Double]](repeating: [], count: limits.count)
    var uses = [CacheUse?](repeating: nil, count: limits.count)
    for _ in 0..<number("repeats", 3) {
        for (index, limit) in limits.enumerated() {
            var counts = [Int](repeating: 0, count: rows)
            let before = processorSeconds()
            let time = seconds {
                _ = generator.generate(
                    requests, SamplingOptions(maximumNewTokens: limit, seed: 1),
                    onToken: { row, _, _ in
                        counts[row] += 1
                        return counts[row] < ends[row]
                    }, onCacheUse: { uses[index] = $0 })
            }
            rates[index].append(Double(counts.reduce(0, +)) / time)
            processor[index].append((processorSeconds() - before) * 1e6 / Double(counts.reduce(0, +)))
        }
    }
    for (index, limit) in limits.enumerated() {
        let rate = median(rates[index])
        let ratio = median(zip(rates[index], rates[0]).map { $0 / $1 })
        report(
            "sampling \(name("smol")) \(rows) rows of about \(new) tokens, limit \(limit): \(Int(rate)) tokens/s,"
                + " \(String(format: "%.3f", ratio)) of limit \(limits[0]), processor"
                + " \(String(format: "%.0f", median(processor[index]))) us a token, cache"
                + " \((uses[index]?.peakBytes ?? 0) >> 20) MiB, \(uses[index]?.rowsTakenBack ?? 0) rows taken back,"
                + " peak \(peakMegabytes()) MB",
            [
                "limit": Double(limit), "tokens_per_second": rate, "ratio": ratio,
                "processor_microseconds": median(processor[index]),
                "rows_taken_back": Double(uses[index]?.rowsTakenBack ?? 0),
            ])
    }
}

func score() throws {
    let configuration = try chosenConfiguration("smol")
    let model =
        arguments.contains("--bfloat16")
        ? Model(try chosenCompactParameters("smol"), products: products)
        : Model(try chosenParameters("smol"), products: products)
    let rows = sequences(number("batch", 1), number("length", 4096), configuration.vocabularySize)
    let batch = PackedBatch(rows)
    let positions = (0..<(batch.tokens.count - 1)).map {
        ScoredPosition(position: $0, target: batch.tokens[$0 + 1])
    }
    var times: [Double] = []
    for _ in 0..<number("repeats", 3) { times.append(seconds { _ = model.score(batch, positions) }) }
    let rate = Double(batch.tokens.count) / median(warm(times))
    report(
        "score \(name("smol")) \(rows.count)x\(rows[0].count): \(Int(rate)) tokens/s, peak \(peakMegabytes()) MB",
        ["tokens_per_second": rate, "peak_megabytes": Double(peakMegabytes())])
}

/// Writes the logits of one sequence, row after row, as little-endian float32.
func logits() throws {
    guard let file = option("file"), let output = option("output"), let list = option("tokens") else {
        throw CocoaError(.fileNoSuchFile)
    }
    let tokens = list.split(separator: ",").compactMap { Int($0) }
    let model = Model(try ModelParameters(try CheckpointFile(path: file)), products: products)
    let rows = model.logits(PackedBatch([tokens]), positions: Array(tokens.indices))
    try rows.reduce(into: Data()) { data, row in row.withUnsafeBytes { data.append(contentsOf: $0) } }
        .write(to: URL(fileURLWithPath: output))
}

/// Compares OpenBLAS with the engine's products, with float32 and bfloat16 weights, on too many matrices to stay in a
/// cache.
func fewRows() {
    let (n, k, count) = (3072, 576, 60)
    let w = allocateFloats(n * k * count)
    let h = UnsafeMutableRawPointer(allocateFloats(n * k * count / 2)).bindMemory(
        to: UInt16.self, capacity: n * k * count)
    for index in 0..<n * k * count {
        w[index] = Float(index &* 7919 % 1000 - 500) / 5000
        h[index] = UInt16(w[index].bitPattern >> 16)
    }
    print("GFLOP/s on one thread:  rows  OpenBLAS  engine  bf16 weights  bf16 products  bf16 weights and products")
    for m in [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256] {
        let a = allocateFloats(m * k)
        defer { a.deallocate() }
        for index in 0..<m * k { a[index] = Float(index &* 104_729 % 1000 - 500) / 500 }
        let c = allocateFloats(m * n)
        defer { c.deallocate() }
        let rows = Matrix(a, rows: m, columns: k)
        func gemm(_ c: UnsafeMutablePointer<Float>, _ weights: Matrix.Elements, _ precision: ProductPrecision) {
            gemmNT(
                rows, Matrix(weights, rows: n, columns: k), into: Matrix(c, rows: m, columns: n), team: .alone,
                precision: precision)
        }
        let products: [(UnsafeMutablePointer<Float>, Int) -> Void] = [
            { c, index in
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, blasint(m), blasint(n), blasint(k), 1, a, blasint(k),
                    w + index * n * k, blasint(k), 0, c, blasint(n))
            },
            { c, index in gemm(c, .float32(w + index * n * k), .fp32) },
            { c, index in gemm(c, .bfloat16(h + index * n * k), .fp32) },
            { c, index in gemm(c, .float32(w + index * n * k), .bf16) },
            { c, index in gemm(c, .bfloat16(h + index * n * k), .bf16) },
        ]
        let rates = products.map { product in
            let times = (0..<3).map { _ in
                seconds {
                    for index in 0..<count { product(c, index) }
                }
            }
            return Int(2e-9 * Double(m * n * k * count) / median(times))
        }
        print("\(m)  \(rates.map(String.init).joined(separator: "  "))")
    }
}

/// Measures a layer's three products on all threads: forward, gradient of the input, gradient of the weights.
func layers() {
    print(
        "GFLOP/s on \(EngineThreads.count) threads:  rows × outputs × inputs"
            + "  forward  input gradient  weight gradient  (the same in bfloat16)")
    for (rows, outputs, inputs) in [
        (1024, 3072, 576), (2048, 3072, 576), (2048, 576, 1536), (2048, 960, 576), (1024, 49152, 576),
    ] {
        let memory = [rows * inputs, outputs * inputs, rows * outputs].map { count in
            let memory = allocateFloats(count)
            for index in 0..<count { memory[index] = Float(index &* 7919 % 1000 - 500) / 5000 }
            return memory
        }
        let x = Matrix(memory[0], rows: rows, columns: inputs)
        let w = Matrix(memory[1], rows: outputs, columns: inputs)
        let y = Matrix(memory[2], rows: rows, columns: outputs)
        let rates = ProductPrecision.allCases.filter(\.isAvailable).flatMap { precision -> [Int] in
            let products: [() -> Void] = [
                { gemmNT(x, w, into: y, team: .everyone, precision: precision) },
                { gemmNN(y, w, into: x, team: .everyone, precision: precision) },
                { gemmTN(y, x, into: w, team: .everyone, precision: precision) },
            ]
            return products.map { product in
                let times = (0..<7).map { _ in seconds(product) }
                return Int(2e-9 * Double(rows * outputs * inputs) / median(times))
            }
        }
        print("\(rows) × \(outputs) × \(inputs)  \(rates.map(String.init).joined(separator: "  "))")
        for memory in memory { memory.deallocate() }
    }
}

if let threads = option("threads").flatMap(Int.init) { EngineThreads.configure(count: threads) }
switch arguments.first {
case "train": try train()
case "decode": try decode()
case "sampling": try sampling()
case "score": try score()
case "logits": try logits()
case "layers": layers()
case "products":
    EngineThreads.configure(count: 1)
    openblas_set_num_threads(1)
    fewRows()
default:
    print(
        "sgemm \(Int(sgemmRate() * 1e-9)) GFLOP/s on \(EngineThreads.count) threads,"
            + " copy \(Int(copyRate() * 1e-9)) GB/s"
    )
}

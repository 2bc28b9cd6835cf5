import CheckpointIO
import Parallel
import Testing
import Transformer

/// LoRA adapters beside the model with merged weights, whose numbers `ReferenceTests` compares with PyTorch.
@Suite struct AdapterTests {
    private static let fixtures = Fixture.all.filter { $0.json["gradients"] != nil }

    /// A model with random adapters on all projections and two trained rows, and its merged weights.
    private struct Adapted {
        let base: ModelParameters
        let adapters: Adapters
        let merged: ModelParameters

        init(_ fixture: Fixture, dropout: Double = 0) throws {
            base = try fixture.parameters()
            let configuration = base.configuration
            let modules = configuration.parameters.filter { $0.name.contains("_proj.weight") }
                .map { String($0.name.split(separator: ".").dropLast().last ?? "") }
            let record = AdapterRecord(
                rank: 3, alpha: 5, usesRankStabilizedScaling: true, dropout: dropout, targets: Set(modules).sorted(),
                rows: [1, 5], baseDigest: "", basePath: "")
            let values = ModelParameters(configuration, TrainedLayout(configuration, adapters: record))
            for (index, parameter) in values.layout.enumerated() {
                let view = try #require(values[parameter.name])
                let deviation: Float = parameter.name.contains(".lora_") ? 0.2 : 0.02
                for i in view.indices {
                    view[i] = deviation * CounterRandom.normal(seed: 7, stream: index, counter: i)
                }
            }
            adapters = Adapters(record, values)
            merged = ModelParameters(copying: base)
            for parameter in configuration.parameters {
                let target = try #require(merged[parameter.name])
                if let rows = values.rows[parameter.name], let own = values[parameter.name] {
                    let width = parameter.shape[1]
                    for (place, row) in rows.enumerated() {
                        for i in 0..<width { target[row * width + i] = own[place * width + i] }
                    }
                }
                guard let (a, b) = matrices(of: parameter) else { continue }
                let inputs = parameter.shape[1]
                for output in 0..<parameter.shape[0] {
                    for input in 0..<inputs {
                        var sum: Float = 0
                        for k in 0..<record.rank { sum += b[output * record.rank + k] * a[k * inputs + input] }
                        target[output * inputs + input] += scaling * sum
                    }
                }
            }
        }

        var scaling: Float { Float(adapters.record.scaling) }

        /// The names of A and B of a weight.
        static func names(_ parameter: ParameterDescription) -> (a: String, b: String) {
            let module = String(parameter.name.dropLast(".weight".count))
            return (AdapterRecord.name(of: .a, module: module), AdapterRecord.name(of: .b, module: module))
        }

        /// A `[rank, inputs]` and B `[outputs, rank]` of a weight, if it has an adapter.
        func matrices(of parameter: ParameterDescription) -> (a: [Float], b: [Float])? {
            let names = Self.names(parameter)
            guard let a = adapters.values[names.a], let b = adapters.values[names.b] else { return nil }
            return (Array(a), Array(b))
        }

        /// The gradients of a cross entropy into a buffer of `layout`, and its value.
        func gradients(
            _ model: Model, _ layout: TrainedLayout, _ sequences: [[Int]], recomputing: Bool = false
        ) -> (values: ModelParameters, loss: Float) {
            let positions = nextTokens(sequences)
            let gradients = ModelParameters(base.configuration, layout)
            model.recomputesActivations = recomputing
            let scores = model.accumulateGradients(PackedBatch(sequences), positions, into: gradients) { range, _ in
                ([Float](repeating: -1 / Float(positions.count), count: range.count), [])
            }
            return (gradients, -scores.logProbabilities.reduce(0, +) / Float(positions.count))
        }
    }

    @Test(arguments: fixtures) func mergedEqualsUnmerged(_ fixture: Fixture) throws {
        let adapted = try Adapted(fixture)
        let batch = PackedBatch(fixture.sequences)
        let model = Model(adapted.base, adapters: adapted.adapters)
        let positions = Array(batch.tokens.indices)
        let unmerged = model.logits(batch, positions: positions).flatMap { $0 }
        #expect(
            relativeError(unmerged, Model(adapted.merged).logits(batch, positions: positions).flatMap { $0 }) < 1e-5)
        #expect(relativeError(unmerged, Model(adapted.base).logits(batch, positions: positions).flatMap { $0 }) > 1e-2)
        let requests = [GenerationRequest(prompt: fixture.sequences[0].isEmpty ? [1, 2] : fixture.sequences[0])]
        let options = SamplingOptions(temperature: 0, maximumNewTokens: 12)
        #expect(
            Generator(model).generate(requests, options)[0][0].tokens
                == Generator(adapted.merged).generate(requests, options)[0][0].tokens)
    }

    /// With G = dLoss/dW of the merged weights W + s B A, dLoss/dA = s Bᵀ G and dLoss/dB = s G Aᵀ.
    @Test(arguments: fixtures, [false, true]) func gradientsFollowFromTheMerged(
        _ fixture: Fixture, recomputing: Bool
    ) throws {
        let adapted = try Adapted(fixture)
        let layout = adapted.adapters.values.trained
        let own = adapted.gradients(
            Model(adapted.base, adapters: adapted.adapters), layout, fixture.sequences, recomputing: recomputing)
        let whole = adapted.gradients(
            Model(adapted.merged), TrainedLayout(adapted.base.configuration), fixture.sequences)
        #expect(abs(own.loss - whole.loss) < 1e-5)
        for parameter in adapted.base.configuration.parameters {
            let full = try #require(whole.values[parameter.name])
            if let rows = layout.rows[parameter.name] {
                let width = parameter.shape[1]
                let expected = rows.flatMap { Array(full[$0 * width..<($0 + 1) * width]) }
                #expect(relativeError(Array(try #require(own.values[parameter.name])), expected) < 1e-4)
            }
            guard let (ownA, ownB) = adapted.matrices(of: parameter) else { continue }
            let (rank, inputs, outputs) = (adapted.adapters.record.rank, parameter.shape[1], parameter.shape[0])
            var a = [Float](repeating: 0, count: rank * inputs)
            var b = [Float](repeating: 0, count: outputs * rank)
            for output in 0..<outputs {
                for input in 0..<inputs {
                    let gradient = adapted.scaling * full[output * inputs + input]
                    for k in 0..<rank {
                        a[k * inputs + input] += ownB[output * rank + k] * gradient
                        b[output * rank + k] += ownA[k * inputs + input] * gradient
                    }
                }
            }
            let names = Adapted.names(parameter)
            #expect(relativeError(Array(try #require(own.values[names.a])), a) < 1e-4, "\(names.a)")
            #expect(relativeError(Array(try #require(own.values[names.b])), b) < 1e-4, "\(names.b)")
        }
    }

    @Test func recomputationGivesTheSameBits() throws {
        for dropout in [0, 0.4] {
            let fixture = Fixture.named("qwen2-tied")
            let adapted = try Adapted(fixture, dropout: dropout)
            let model = Model(adapted.base, adapters: adapted.adapters)
            let runs = [false, true, false].map { recomputing in
                model.adapterDropoutKey = (3, 4, 0)
                let gradients = adapted.gradients(
                    model, adapted.adapters.values.trained, fixture.sequences, recomputing: recomputing
                ).values
                return withExtendedLifetime(gradients) { Array(gradients.values) }
            }
            #expect(runs[0] == runs[1] && runs[0] == runs[2])
            model.adapterDropoutKey = (3, 5, 0)
            let other = adapted.gradients(model, adapted.adapters.values.trained, fixture.sequences).values
            #expect(withExtendedLifetime(other) { Array(other.values) == runs[0] } == (dropout == 0))
        }
    }

    /// With the same key, the loss is a fixed function of the adapters, whose slope is the gradient.
    @Test func gradientsWithDropoutAreSlopes() throws {
        let fixture = Fixture.named("llama")
        let adapted = try Adapted(fixture, dropout: 0.3)
        let model = Model(adapted.base, adapters: adapted.adapters)
        let layout = adapted.adapters.values.trained
        func loss() -> (values: ModelParameters, loss: Float) {
            model.adapterDropoutKey = (1, 2, 0)
            return adapted.gradients(model, layout, fixture.sequences)
        }
        let gradients = loss().values
        for parameter in layout.parameters {
            let values = try #require(adapted.adapters.values[parameter.name])
            let own = withExtendedLifetime(gradients) { gradients[parameter.name].map { Array($0) } } ?? []
            // The element with the steepest slope.
            let index = try #require(own.indices.max { abs(own[$0]) < abs(own[$1]) })
            let (before, step) = (values[index], Float(parameter.name.contains(".lora_") ? 5e-3 : 2e-4))
            values[index] = before + step
            let up = loss().loss
            values[index] = before - step
            let slope = (up - loss().loss) / (2 * step)
            values[index] = before
            #expect(abs(slope - own[index]) < 4e-2 * abs(own[index]) + 1e-3, "\(parameter.name)")
        }
    }

    @Test func newAdaptersChangeNothing() throws {
        let fixture = Fixture.named("llama")
        let base = try fixture.parameters()
        let record = AdapterRecord(
            rank: 4, alpha: 8, targets: ["q_proj", "down_proj"], rows: [2], baseDigest: "", basePath: "")
        let adapters = Adapters(record, base: base, seed: 1)
        let batch = PackedBatch(fixture.sequences)
        let positions = Array(batch.tokens.indices)
        let logits = Model(base, adapters: adapters).logits(batch, positions: positions)
        #expect(
            relativeError(logits.flatMap { $0 }, Model(base).logits(batch, positions: positions).flatMap { $0 }) < 1e-6)
        let a = try #require(adapters.values["model.layers.0.self_attn.q_proj.lora_A.weight"])
        let bound = 1 / Float(base.configuration.hiddenSize).squareRoot()
        #expect(a.allSatisfy { abs($0) <= bound } && Set(a).count == a.count)
        #expect(
            adapters.values.layout.filter { $0.name.hasSuffix("lora_A.weight") }.count
                == 2 * base.configuration.layerCount)
    }
}

@Suite struct TrainedLayoutTests {
    /// The gradients of some parameters are those that all parameters have, to the bit.
    @Test(arguments: Fixture.all.filter { $0.json["gradients"] != nil }, [false, true])
    func gradientsOfSome(_ fixture: Fixture, recomputing: Bool) throws {
        let parameters = try fixture.parameters()
        let configuration = parameters.configuration
        let positions = nextTokens(fixture.sequences)
        func gradients(_ layout: TrainedLayout) -> ModelParameters {
            let gradients = ModelParameters(configuration, layout)
            let model = Model(parameters)
            model.recomputesActivations = recomputing
            model.accumulateGradients(PackedBatch(fixture.sequences), positions, into: gradients) { range, _ in
                ([Float](repeating: -1, count: range.count), [])
            }
            return gradients
        }
        let whole = gradients(TrainedLayout(configuration))
        let names = configuration.parameters.map(\.name)
        let last = "model.layers.\(configuration.layerCount - 1)."
        for frozen in [
            names.filter { $0.hasPrefix("model.embed") || $0.hasPrefix("model.layers.0.") },
            names.filter { !$0.hasPrefix(last) }, names.filter { $0 != "model.norm.weight" },
            names.filter { $0.contains("norm") },
        ] {
            let some = gradients(TrainedLayout(configuration, frozen: Set(frozen)))
            #expect(some.layout.map(\.name) == names.filter { !frozen.contains($0) })
            for parameter in some.layout {
                #expect(
                    Array(try #require(some[parameter.name])) == Array(try #require(whole[parameter.name])),
                    "\(parameter.name)")
            }
        }
        let matrices = ["model.embed_tokens.weight", "lm_head.weight"].filter(names.contains)
        let rows = gradients(
            TrainedLayout(
                configuration, frozen: Set(names).subtracting(matrices),
                onlyRows: Dictionary(uniqueKeysWithValues: matrices.map { ($0, [2, 7]) })))
        for name in matrices {
            let full = try #require(whole[name])
            let width = configuration.hiddenSize
            let expected = [2, 7].flatMap { Array(full[$0 * width..<($0 + 1) * width]) }
            #expect(relativeError(Array(try #require(rows[name])), expected) < 1e-5)
        }
    }
}

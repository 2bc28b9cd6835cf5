import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing
import Tokenization

@Suite struct AddTokensTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func add(
        _ model: TinyModel, _ change: (inout AddTokensOptions) -> Void = { _ in }
    ) throws -> (before: CheckpointFile, after: CheckpointFile, report: AddTokensReport) {
        let before = try model.write(to: folder.path("before.h5"))
        var options = AddTokensOptions()
        change(&options)
        let report = try AddTokens.run(before, options, to: folder.destination("after.h5"))
        return (before, try CheckpointFile(path: folder.path("after.h5")), report)
    }

    @Test func growsATiedMatrixAndKeepsAllElse() throws {
        let (before, after, report) = try add(TinyModel())
        let size = 256 + 3
        #expect(report.rowsBefore == size)
        #expect(report.rowsAfter == size + 3)
        #expect(report.tokens.map(\.id) == [size, size + 1, size + 2])
        #expect(report.tokens.map(\.origin) == [.newRow, .newRow, .newRow])
        #expect(report.isTied)
        #expect(report.digest == after.digest)
        #expect(after.metadata.tiedTensors == ["lm_head.weight": "model.embed_tokens.weight"])
        #expect(after.tensor("lm_head.weight") == nil)
        let old = try before.bytes("model.embed_tokens.weight")
        let new = try after.bytes("model.embed_tokens.weight")
        #expect(new.count == old.count + 3 * 16 * 2)
        #expect(Array(new.prefix(old.count)) == old)
        for tensor in before.tensors() where tensor.description.name != "model.embed_tokens.weight" {
            #expect(after.tensor(tensor.description.name)?.sha256 == tensor.sha256)
        }
        let rows = stride(from: old.count, to: new.count, by: 32).map { Array(new[$0..<$0 + 32]) }
        #expect(Set(rows).count == 3)
        #expect(report.copiedTensorCount == before.tensors().count - 1)
    }

    @Test func recordsControlTokensConfigAndLineage() throws {
        let (before, after, report) = try add(TinyModel())
        let record = try #require(after.metadata.tokenizer)
        #expect(record.thinkID == 259)
        #expect(record.thinkEndID == 260)
        #expect(record.shortID == 261)
        #expect(record.addedTokens.suffix(3).map(\.trained) == [false, false, false])
        #expect(record.addedTokens.suffix(3).map(\.special) == [false, false, false])
        #expect(record.addedTokens.prefix(3).allSatisfy { $0.trained })
        #expect(try JSON.parse(after.metadata.config)["vocab_size"]?.int == 262)
        let decoder = try JSON.parse(#require(record.config))["added_tokens_decoder"]
        #expect(decoder?["259"]?["content"]?.string == "<think>")
        #expect(decoder?["259"]?["special"]?.bool == false)
        let entry = try #require(after.metadata.lineage.last.flatMap(LineageEntry.init(text:)))
        #expect(entry.operation == "add-tokens")
        #expect(entry.parent == before.digest)
        #expect(entry.report["rows_after"]?.int == report.rowsAfter)
        #expect(entry.arguments["init"]?.string == "mean")
        let tokenizer = try Tokenizer(json: record.json)
        #expect(tokenizer.encode("\n<think>\n").contains(259))
        #expect(tokenizer.decode([259, 261], skippingSpecialTokens: true) == "<think><short>")
    }

    @Test func usesUnusedRowsBeforeGrowing() throws {
        let (before, after, report) = try add(TinyModel(padding: 2))
        #expect(report.rowsBefore == 261)
        #expect(report.rowsAfter == 262)
        #expect(report.paddingBefore == 2)
        #expect(report.paddingAfter == 0)
        #expect(report.tokens.map(\.origin) == [.reservedRow, .reservedRow, .newRow])
        let used = 259 * 16 * 2
        #expect(
            try before.bytes("model.embed_tokens.weight").prefix(used)
                == after.bytes("model.embed_tokens.weight").prefix(used))
    }

    @Test func neverShrinks() throws {
        let (_, after, report) = try add(TinyModel(padding: 10))
        #expect(report.rowsAfter == 269)
        #expect(report.paddingAfter == 7)
        #expect(after.tensor("model.embed_tokens.weight")?.description.shape == [269, 16])
    }

    @Test func keepsExistingTokens() throws {
        let first = try add(TinyModel())
        var options = AddTokensOptions()
        options.tokens = ["<think>", "<extra>"]
        let report = try AddTokens.run(first.after, options, to: folder.destination("again.h5"))
        #expect(report.tokens.map(\.origin) == [.present, .newRow])
        #expect(report.tokens.map(\.id) == [259, 262])
        let again = try CheckpointFile(path: folder.path("again.h5"))
        #expect(again.metadata.tokenizer?.thinkID == 259)
        #expect(again.metadata.tokenizer?.addedTokens.map(\.trained) == [true, true, true, false, false, false, false])
    }

    @Test func addingExistingTokensCopiesAllTensors() throws {
        let first = try add(TinyModel())
        let report = try AddTokens.run(first.after, AddTokensOptions(), to: folder.destination("same.h5"))
        #expect(report.writtenTensorCount == 0)
        #expect(report.digest == first.after.digest)
        #expect(
            try CheckpointFile(path: folder.path("same.h5")).metadata.tokenizer?.json
                == first.after.metadata.tokenizer?.json)
    }

    @Test func anUntiedHeadGetsItsOwnRows() throws {
        let (before, after, report) = try add(TinyModel(tied: false))
        #expect(!report.isTied)
        let old = try before.bytes("lm_head.weight")
        let new = try after.bytes("lm_head.weight")
        #expect(Array(new.prefix(old.count)) == old)
        #expect(after.tensor("lm_head.weight")?.description.shape == [262, 16])
        #expect(try new.suffix(96) != after.bytes("model.embed_tokens.weight").suffix(96))
        #expect(report.tokens.allSatisfy { $0.head != nil })
    }

    @Test func meanRowsHaveTheMedianNorm() throws {
        let (_, _, report) = try add(TinyModel())
        let median = try #require(report.norms.first).median
        for token in report.tokens { #expect(abs(token.embedding.norm / median - 1) < 0.05) }
        let plain = try add(TinyModel()) { $0.rescalesMean = false }
        #expect(plain.report.tokens.allSatisfy { $0.embedding.norm < median * 0.5 })
        #expect(plain.report.tokens.allSatisfy { $0.embedding.quantile < 0.05 })
    }

    @Test(arguments: [ElementType.float32, .float16, .bfloat16])
    func copiedRowsAreCloseToTheirSourceAndDistinct(type: ElementType) throws {
        let (_, after, report) = try add(TinyModel(elementType: type)) { $0.initialization = .copy("A") }
        let source = try #require(report.source)
        let values = try after.values("model.embed_tokens.weight")
        let row = Array(values[source.id * 16..<(source.id + 1) * 16])
        var seen: Set<[Float]> = [row]
        for token in report.tokens {
            let copy = Array(values[token.id * 16..<(token.id + 1) * 16])
            #expect(seen.insert(copy).inserted)
            let distance = zip(row, copy).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            let norm = row.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
            #expect(distance < 0.05 * norm)
        }
    }

    @Test func theSeedDeterminesTheNoise() throws {
        let first = try add(TinyModel()).report.digest
        #expect(try add(TinyModel()).report.digest == first)
        #expect(try add(TinyModel()) { $0.seed = 1 }.report.digest != first)
    }

    @Test func automaticCopiesTheLikeliestFirstAnswerToken() throws {
        let (_, after, report) = try add(TinyModel()) { $0.initialization = .automatic }
        let source = try #require(report.source)
        #expect(!["<|end|>", "<|user|>", "<|assistant|>"].contains(source.text))
        #expect(try #require(source.probability) > 0)
        // No answer starts with the end of thinking.
        let values = try after.values("model.embed_tokens.weight")
        func row(_ id: Int) -> ArraySlice<Float> { values[id * 16..<(id + 1) * 16] }
        let distances = report.tokens.map { token in
            zip(row(token.id), row(source.id)).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        }
        let norm = row(source.id).reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
        #expect(distances[0] < 0.05 * norm && distances[2] < 0.05 * norm && distances[1] > 0.5 * norm, "\(distances)")
        #expect(report.uncopied == ["</think>"])
    }

    @Test func automaticNeedsNoTokenToCopyForTheEndOfThinking() throws {
        let report = try add(TinyModel()) {
            $0.initialization = .automatic
            $0.tokens = ["</think>"]
        }.report
        #expect(report.source == nil && report.uncopied.isEmpty)
    }

    @Test func momentsOfNewRowsAreZero() throws {
        let (before, after, report) = try add(TinyModel(padding: 1, hasOptimizer: true))
        #expect(report.extendsOptimizer)
        for group in [TensorGroup.optimizerM, .optimizerV] {
            let old = try before.values("model.embed_tokens.weight", in: group)
            let new = try after.values("model.embed_tokens.weight", in: group)
            #expect(new.count == 262 * 16)
            #expect(new.prefix(259 * 16) == old.prefix(259 * 16))
            #expect(new.dropFirst(259 * 16).allSatisfy { $0 == 0 })
            #expect(
                after.tensor("model.norm.weight", in: group)?.sha256
                    == before.tensor("model.norm.weight", in: group)?.sha256)
        }
        #expect(after.metadata.optimizer == before.metadata.optimizer)
        #expect(after.metadata.kind == .training)
    }

    @Test func measuresTheDivergence() throws {
        let (_, _, report) = try add(TinyModel())
        let divergence = try #require(report.divergence)
        #expect(divergence.firstResponsePosition.positionCount == 6)
        #expect(divergence.elsewhere.positionCount > 20)
        #expect(divergence.firstResponsePosition.mean >= 0)
        #expect(divergence.controlProbabilities.map(\.token) == ["<think>", "</think>", "<short>"])
        // In an untrained model, 3 ordinary rows out of 262 receive about 3/262 of the probability.
        #expect(divergence.firstResponsePosition.newTokenProbability > 0.001)
        #expect(divergence.firstResponsePosition.newTokenProbability < 0.1)
        // Only the rows are new, so the KL is about the probability that they take.
        let expected = divergence.elsewhere.newTokenProbability
        #expect(abs(divergence.elsewhere.mean - expected) < 0.2 * expected)
        #expect(try add(TinyModel()) { $0.measuresDivergence = false }.report.divergence == nil)
    }

    @Test func renamesAReservedToken() throws {
        let model = TinyModel(specialTokens: ["<|end|>", "<|user|>", "<|assistant|>", "<|quad|>"])
        let (before, after, report) = try add(model) {
            $0.renames = [("<|quad|>", "<short>")]
            $0.tokens = ["<short>"]
        }
        #expect(report.tokens.map(\.origin) == [.renamed])
        #expect(report.rowsAfter == report.rowsBefore)
        #expect(before.digest == after.digest)
        let tokenizer = try Tokenizer(json: #require(after.metadata.tokenizer).json)
        #expect(tokenizer.encode("<short>") == [report.tokens[0].id])
        #expect(tokenizer.id(of: "<|quad|>") == nil)
        #expect(tokenizer.addedTokens.last?.special == false)
        #expect(after.metadata.tokenizer?.addedTokens.last?.trained == false)
        #expect(after.metadata.tokenizer?.shortID == report.tokens[0].id)
    }
}

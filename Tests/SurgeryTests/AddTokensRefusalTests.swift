import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing

/// The errors of `add-tokens`; none leaves an output file.
@Suite struct AddTokensRefusalTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func message(_ model: TinyModel = TinyModel(), _ change: (inout AddTokensOptions) -> Void) throws -> String {
        let input = try model.write(to: folder.path("in.h5"))
        var options = AddTokensOptions()
        options.measuresDivergence = false
        change(&options)
        let output = folder.path("out.h5")
        defer { #expect(!FileManager.default.fileExists(atPath: output)) }
        do {
            _ = try AddTokens.run(input, options, to: .init(output))
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func ambiguousTokens() throws {
        #expect(try message { $0.tokens = ["<a>", "<a>"] } == #"token "<a>": is given twice"#)
        #expect(try message { $0.tokens = [""] } == #"token "": is empty"#)
        #expect(
            try message { $0.tokens = ["<a>", "<a>b"] }
                == #"token "<a>": conflicts with "<a>b": one starts with the other; choose another name"#)
        #expect(
            try message { $0.tokens = ["<|end"] }
                == #"token "<|end": conflicts with "<|end|>": one starts with the other; choose another name"#)
    }

    @Test func sourceThatIsNotOneToken() throws {
        #expect(
            try message { $0.initialization = .copy("two words") }
                == "--init copy=two words: is 9 tokens of this vocabulary; give a single token")
        #expect(
            try message { $0.initialization = .copy("<think>") }
                == "--init copy=<think>: has no row yet; give an existing token")
    }

    @Test func renameOfAMissingToken() throws {
        #expect(
            try message { $0.renames = [("<|gone|>", "<short>")] }
                == #"token "<|gone|>": is not an added token of this tokenizer, so it cannot be renamed"#)
    }

    @Test func initializationArguments() {
        #expect(RowInitialization(argument: "mean") == .mean)
        #expect(RowInitialization(argument: "auto") == .automatic)
        #expect(RowInitialization(argument: "normal") == .normal)
        #expect(RowInitialization(argument: "copy=The") == .copy("The"))
        #expect(RowInitialization(argument: "copy=") == nil)
        #expect(RowInitialization(argument: "median") == nil)
        for how in [RowInitialization.mean, .automatic, .normal, .copy("a=b")] {
            #expect(RowInitialization(argument: how.argument) == how)
        }
    }
}

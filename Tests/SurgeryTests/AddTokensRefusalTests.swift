import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing

/// What `add-tokens` refuses, with the text a person reads, and that nothing is written then.
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
            _ = try AddTokens.run(input, options, to: output, overwrite: false)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func tokensThatCannotBeToldApart() throws {
        #expect(try message { $0.tokens = ["<a>", "<a>"] } == #"token "<a>": is given twice"#)
        #expect(try message { $0.tokens = [""] } == #"token "": is empty"#)
        #expect(
            try message { $0.tokens = ["<a>", "<a>b"] }
                == #"token "<a>": clashes with "<a>b": one begins with the other; choose another name"#)
        #expect(
            try message { $0.tokens = ["<|end"] }
                == #"token "<|end": clashes with "<|end|>": one begins with the other; choose another name"#)
    }

    @Test func aSourceThatIsNoOneToken() throws {
        #expect(
            try message { $0.initialization = .copy("two words") }
                == "--init copy=two words: is 9 tokens of this vocabulary; name one that is a single token")
        #expect(
            try message { $0.initialization = .copy("<think>") }
                == "--init copy=<think>: has no row yet; name a token the model knows")
    }

    @Test func aRenameOfNothing() throws {
        #expect(
            try message { $0.renames = [("<|gone|>", "<short>")] }
                == #"token "<|gone|>": is no added token of this tokenizer, so it cannot be renamed"#)
    }

    @Test func argumentsOfInit() {
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

// Encodes or renders lines of standard input, for comparison with other libraries, or measures speed.
//
//   tokenization-bench ids TOKENIZER [--special] [--plain]
//       Reads lines {"t": text}, {"b": bytes} or {"i": ids}; writes {"i": ids, "d": text, "k": without special tokens,
//       "s": streamed text}.
//   tokenization-bench render
//       Reads a template as a JSON string, then lines {"messages", "generation", "variables"}; writes {"text"} or
//       {"error"}.
//   tokenization-bench speed TOKENIZER TEXT...
//       Prints megabytes per second on one thread.
//
// TOKENIZER is a tokenizer.json, a SentencePiece .model, a GGUF file or a model's folder.
import CheckpointIO
import Foundation
import OrderedJSON
import Tokenization

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count >= 2 || arguments == ["render"] else {
    FileHandle.standardError.write(Data("usage: tokenization-bench ids|speed TOKENIZER [FILE...] | render\n".utf8))
    exit(2)
}
if arguments[0] == "render" {
    let source = try readLine().flatMap { try JSON.parse($0).string } ?? ""
    let template: ChatTemplate
    do {
        template = try ChatTemplate(source)
    } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
        exit(2)
    }
    while let line = readLine() {
        let record = try JSON.parse(line)
        var variables: [String: JSON] = [:]
        if let given = record["variables"]?.object { for (name, value) in given { variables[name] = value } }
        var answer = JSON.object(JSONObject())
        do {
            answer["text"] = .string(
                try template.render(
                    records: record["messages"]?.array ?? [],
                    addGenerationPrompt: record["generation"]?.bool ?? false, variables: variables))
        } catch {
            answer["error"] = .string("\(error)")
        }
        FileHandle.standardOutput.write(Data((answer.serialized() + "\n").utf8))
    }
    exit(0)
}
let clock = ContinuousClock()
let started = clock.now
let json: [UInt8]
if arguments[1].hasSuffix(".json") || arguments[1].hasSuffix(".model") {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: arguments[1])))
    json =
        try arguments[1].hasSuffix(".json")
        ? bytes : ModelImport.tokenizerJSON(sentencePieceModel: bytes, path: arguments[1])
} else {
    json = try ModelImport.open(path: arguments[1]).metadata.tokenizer?.json ?? []
}
let tokenizer = try Tokenizer(json: json)
let loading = clock.now - started

switch arguments[0] {
case "ids":
    let addsSpecial = arguments.contains("--special")
    let parses = !arguments.contains("--plain")
    while let line = readLine() {
        let record = try JSON.parse(line)
        let bytes = record["b"]?.array?.compactMap { $0.int.map(UInt8.init(truncatingIfNeeded:)) }
        let ids: [Int]
        if let bytes {
            ids = tokenizer.encode(utf8: bytes, addSpecialTokens: addsSpecial, parsingAddedTokens: parses)
        } else if let given = record["i"]?.array {
            ids = given.compactMap(\.int)
        } else {
            ids = tokenizer.encode(
                record["t"]?.string ?? "", addSpecialTokens: addsSpecial, parsingAddedTokens: parses)
        }
        var stream = tokenizer.streamingDecoder(skippingSpecialTokens: false)
        let streamed = ids.map { stream.append($0) }.joined() + stream.finish()
        let answer: JSON = [
            "i": .array(ids.map { .integer($0) }), "d": .string(tokenizer.decode(ids)),
            "k": .string(tokenizer.decode(ids, skippingSpecialTokens: true)), "s": .string(streamed),
        ]
        FileHandle.standardOutput.write(Data((answer.serialized() + "\n").utf8))
    }
case "speed":
    print("load \(loading)")
    for path in arguments.dropFirst(2) {
        let text = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        var best = Duration.seconds(1_000_000)
        var count = 0
        for _ in 0..<5 {
            let start = clock.now
            count = tokenizer.encode(utf8: text).count
            best = min(best, clock.now - start)
        }
        let seconds = Double(best.components.seconds) + Double(best.components.attoseconds) * 1e-18
        let rate = Double(text.count) / seconds / 1e6
        print("\(path): \(text.count) bytes, \(count) tokens, \(String(format: "%.1f", rate)) MB/s")
    }
default:
    FileHandle.standardError.write(Data("unknown mode \(arguments[0])\n".utf8))
    exit(2)
}

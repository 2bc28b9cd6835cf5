import Foundation
import OrderedJSON
import TestSupport
import Testing
import Tokenization
import TrainLoop

@Suite struct ProblemFileTests {
    @Test func allRowFormats() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"id":"a1","problem":"1+1?","answer":"2","level":"easy","source":"mine"}
            {"question":"How many?","answer":"48/2 = <<48/2=24>>24\n#### 1,024"}

            {"problem":"Box?","solution":"so \\boxed{3}, hence \\boxed{\\frac{1}{2}}","level":"Level 5","type":"Algebra"}
            {"problem":"P","answer":204,"difficulty":5.0,"unique_id":"u/1"}
            {"ID":"2024-I-1","Problem":"Q","Answer":"33","Solution":"s"}
            {"data_source":"","prompt":[{"role":"user","content":"V?"}],"ability":"math","reward_model":{"style":"rule","ground_truth":"7"},"extra_info":{"index":0}}
            {"prompt":"W?","reward_model":{"ground_truth":["8"]},"answer":null}
            {"problem":"no truth"}
            """#, to: "mixed.jsonl")
        let problems = try ProblemFile.read(path: path)
        #expect(
            problems[0] == Problem(id: "a1", problem: "1+1?", answer: "2", level: "easy", source: "mine"))
        #expect(problems[1].answer == "1024" && problems[1].problem == "How many?" && problems[1].id == "2")
        #expect(problems[1].solution == "48/2 = <<48/2=24>>24")
        #expect(problems[2].answer == #"\frac{1}{2}"# && problems[2].level == "Level 5" && problems[2].id == "4")
        #expect(problems[3].answer == "204" && problems[3].level == "5" && problems[3].id == "u/1")
        #expect(problems[4] == Problem(id: "2024-I-1", problem: "Q", answer: "33", solution: "s"))
        #expect(problems[5].problem == "V?" && problems[5].answer == "7")
        #expect(problems[6].answer == "8" && problems[7].answer == nil)
        #expect(
            failure { _ = try ProblemFile.read(path: path, requiresAnswer: true) }
                == path + ", line 9: no answer to grade against; give \"answer\" (or \"reward_model.ground_truth\"), "
                + "or name its field with --map")

        let copy = folder.path("copy.jsonl")
        try ProblemFile.write(problems, to: copy, overwrite: false)
        #expect(try ProblemFile.read(path: copy) == problems)
        #expect(
            failure { try ProblemFile.write(problems, to: copy, overwrite: false) }
                == copy + ": the file exists; give --force to replace it")
    }

    @Test func jsonArrays() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("\n[\n {\"problem\":\"x\",\"answer\":1},\n {\"problem\":\"y\"}\n]\n", to: "a.json")
        #expect(try ProblemFile.read(path: path).map(\.problem) == ["x", "y"])
        #expect(
            failure { _ = try ProblemFile.read(path: path, requiresAnswer: true) }.hasPrefix(path + ", element 2: "))
        let broken = try folder.write("[\n{\"problem\":\"x\"},\n{\"problem\" \"y\"}]", to: "b.json")
        #expect(
            failure { _ = try ProblemFile.read(path: broken) }
                == broken + ", line 3: expected ':' after a key, column 12")
    }

    @Test(arguments: [
        ("", ": the file has no rows; give at least one"), ("\n \n", ": the file has no rows; give at least one"),
        ("[]", ": the file has no rows; give at least one"),
        ("{\"problem\":\"x\"}\n{\"problem\":\n", ", line 2: unexpected end of the JSON text, column 12"),
        ("7", ", line 1: expected a JSON object, found a number"),
        ("[7]", ", element 1: expected a JSON object, found a number"),
        (
            "{\"text\":\"x\"}",
            ", line 1: no problem found; give \"problem\", \"question\" or \"prompt\", or name its field with --map"
        ),
        ("{\"problem\":\" \"}", ", line 1: the problem is empty"),
        ("{\"problem\":true}", ", line 1: \"problem\" is a boolean; it must be a string or a number"),
        (
            "{\"prompt\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"system\",\"content\":\"s\"}]}",
            ", line 1: the prompt must end with a user message; the roles are user, system"
        ),
        (
            "{\"prompt\":[{\"role\":\"tool\",\"content\":\"u\"}]}",
            ", line 1: messages of the role \"tool\" are not read"
        ),
        (
            "{\"prompt\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
            ", line 1: parts of the type \"image_url\" in a message are not read"
        ),
        (
            "{\"problem\":\"x\",\"answer\":{\"value\":1}}",
            ", line 1: \"answer\" is an object; it must be a text, a number or a list of these, or another field must be "
                + "named with --map"
        ),
    ])
    func mistakesAreNamed(text: String, message: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(text, to: "p.jsonl")
        #expect(failure { _ = try ProblemFile.read(path: path) } == path + message)
    }

    @Test func unreadableFiles() throws {
        #expect(
            failure { _ = try ProblemFile.read(path: "/no/such.jsonl") }
                == "/no/such.jsonl: no such file or directory; check the path")
        #expect(failure { _ = try ProblemFile.read(path: "/") } == "/: is a directory")
        #expect(
            failure { _ = try ProblemFile.read(path: "/dev/zero") }
                == "/dev/zero: not a data file; give JSON Lines, a JSON array, CSV or Parquet")
    }

    /// Lines longer than the reader's buffer.
    @Test func longLines() throws {
        let folder = try TemporaryFolder()
        let long = String(repeating: "é", count: 700_000)
        let lines = (0..<4).map { "{\"problem\":\"\($0)\(long)\"}" }
        let path = try folder.write(lines.joined(separator: "\n"), to: "long.jsonl")
        #expect(try ProblemFile.read(path: path).map(\.problem) == (0..<4).map { "\($0)\(long)" })
    }
}

@Suite struct PairFileTests {
    @Test func allRowFormats() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"id":"p","problem":"1+1","think":"one more</think>2","short":"2","answer":"2","level":"L1"}
            {"instruction":"q1","output":"<think>\nOkay\n</think>\n\nIt is 3."}
            {"prompt":"q2","completion":"<short>\n4"}
            {"instruction":"q1","output":"<short>\n3"}
            {"messages":[{"role":"user","content":"q2"},{"role":"assistant","content":"<think>\nw</think>4"}]}
            {"prompt":[{"role":"user","content":"q3"}],"completion":[{"role":"assistant","content":"<short>5"}]}
            {"instruction":"q1","output":"<short>\n3 again"}
            """#, to: "pairs.jsonl")
        let pairs = try PairFile.read(path: path)
        #expect(pairs.map(\.problem) == ["1+1", "q1", "q2", "q3", "q1"])
        #expect(
            pairs[0]
                == Pair(
                    id: "p", problem: "1+1", think: .init(working: "one more", answer: "2"), short: "2", answer: "2",
                    level: "L1"))
        #expect(pairs[1].think == .init(working: "Okay\n", answer: "\n\nIt is 3.") && pairs[1].short == "3")
        #expect(pairs[2].isComplete && pairs[2].think?.working == "w" && pairs[2].short == "4")
        #expect(!pairs[3].isComplete && pairs[3].short == "5" && pairs[4].short == "3 again")

        let copy = folder.path("copy.jsonl")
        try PairFile.write(pairs, to: copy, overwrite: false)
        #expect(try PairFile.read(path: copy) == pairs)
    }

    @Test(arguments: [
        (#"{"problem":"x","think":"no end","short":"1"}"#, "the think response has no </think>"),
        (#"{"problem":"x","think":"a</think>b</think>c"}"#, "the think response has more than one </think>"),
        (#"{"problem":"x","short":"a</think>b"}"#, "the short response contains </think>"),
        (#"{"problem":"x","think":"a<short></think>b"}"#, "the response contains <short> after its start"),
        (#"{"problem":"x","short":"<short><think>"}"#, "the response contains <think> after its start"),
        (#"{"problem":"x","answer":"7"}"#, "no pair found; give "),
        (#"{"prompt":"x","completion":"plain"}"#, "the response starts with neither <think> nor <short>"),
        (#"{"prompt":"x","completion":7}"#, "\"completion\" is a number; it must be a text or a list of messages"),
        (#"{"output":"<short>1"}"#, "no problem found; give "),
        (#"{"instruction":"","output":"<short>1"}"#, "the problem is empty"),
        (
            #"{"messages":[{"role":"user","content":"u"}]}"#,
            "the messages must end with an assistant message; the roles are user"
        ),
        (#"{"messages":[{"role":"user"}]}"#, "a message needs \"role\" and \"content\" as strings"),
    ])
    func mistakesAreNamed(row: String, message: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("\n" + row, to: "p.jsonl")
        #expect(failure { _ = try PairFile.read(path: path) }.hasPrefix(path + ", line 2: " + message))
    }
}

@Suite struct DataCheckTests {
    @Test func pairs() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"id":"a","problem":"1+1","think":"one more</think>\\boxed{2}","short":"\\boxed{2}","answer":"2","level":"L1"}
            {"id":"b","problem":"1+2","think":"w</think>\\boxed{3}","short":"\\boxed{4}","answer":"3","level":"L1"}
            {"id":"c","problem":"1+3","think":"w</think>4","short":"\\boxed{4}","level":"L2"}
            {"id":"d","problem":"1+3","short":"\\boxed{4}"}
            {"id":"e","problem":"1+4","think":"w</think>\\boxed{5}","short":"\\boxed{6}"}
            """#, to: "pairs.jsonl")
        #expect(try DataCheck.holdsPairs(path: path))
        let check = DataCheck(pairs: try PairFile.read(path: path), rule: .boxed, maximumLength: 28)
        #expect(check.count == 5 && check.levels.map(\.name) == ["L1", "L2"] && check.levels.map(\.count) == [2, 1])
        #expect(check.lengths.map(\.name) == ["problem", "think", "short"])
        #expect(check.lengths[2].spread.largest == 9 && check.lengths[1].spread.largest == 25)
        #expect(check.findings.map(\.place) == ["line 5", "line 2", "line 3", "line 4", "line 4"])
        #expect(
            check.findings.map { "\($0.count) \($0.text), first \($0.example)" } == [
                "1 whose responses have different answers, first e",
                "1 whose short response has a wrong answer, first b",
                "1 whose think response has no answer by the rule \"boxed\", first c",
                "1 with the problem of an earlier row, first d", "1 without a think response, first d",
            ])
        let tight = DataCheck(
            pairs: try PairFile.read(path: path), rule: .boxed, maximumLength: 20)
        #expect(tight.findings.contains { $0.text == "over the maximum length" && $0.example == "a" })
    }

    @Test func problems() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("{\"problem\":\"x\",\"answer\":\"1\"}\n{\"problem\":\"longer\"}", to: "p.jsonl")
        #expect(try !DataCheck.holdsPairs(path: path))
        let check = DataCheck(problems: try ProblemFile.read(path: path), maximumLength: 3)
        #expect(
            check.findings.map(\.text) == ["over the maximum length", "without an answer to grade against"])
        #expect(check.json["lengths"]?["problem"]?["largest"]?.int == 6)
    }
}

/// Rows as chat APIs and published data sets have them.
@Suite struct RowFormTests {
    private func problem(_ row: String, map: String? = nil) throws -> Problem {
        let folder = try TemporaryFolder()
        let path = try folder.write(row, to: "p.jsonl")
        return try #require(try ProblemFile.read(path: path, map: map.map { try FieldMap($0) }).first)
    }

    private func pair(_ row: String, map: String? = nil) throws -> Pair {
        let folder = try TemporaryFolder()
        let path = try folder.write(row, to: "p.jsonl")
        #expect(try DataCheck.holdsPairs(path: path, map: map.map { try FieldMap($0) }))
        return try #require(try PairFile.read(path: path, map: map.map { try FieldMap($0) }).first)
    }

    private static let system = ChatMessage(role: "system", content: "Be brief.")

    @Test(arguments: [
        #"{"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"2+3?"}]}"#,
        #"{"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"2+3?"}]}"#,
        #"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"2+3?"}]}]}"#,
        #"{"system":"Be brief.","conversations":[{"from":"human","value":"2+3?"},{"from":"gpt","value":"5"}]}"#,
        #"{"conversations":[{"from":"system","value":"Be brief."},{"from":"human","value":"2+3?"}]}"#,
        #"{"system":"Be brief.","instruction":"2+3?","input":""}"#, #"{"system_prompt":"Be brief.","question":"2+3?"}"#,
    ])
    func systemMessages(row: String) throws {
        let problem = try problem(row)
        #expect(problem.problem == "2+3?" && problem.context == [Self.system], "\(row)")
    }

    @Test func earlierTurnsArePartOfThePrompt() throws {
        let problem = try problem(
            #"{"instruction":"And 2+4?","history":[["2+3?","5"]],"system":"Be brief."}"#)
        #expect(problem.context.map(\.role) == ["system", "user", "assistant"] && problem.problem == "And 2+4?")
        let again = Problem(id: problem.id, promptText: problem.promptText)
        #expect(again.context == problem.context && again.problem == problem.problem)
        #expect(Problem(id: "1", problem: "plain").promptText == "plain")
        // A text that looks like stored messages stays a text.
        let quoted = Problem(id: "1", problem: problem.promptText)
        #expect(Problem(id: "1", promptText: quoted.promptText) == quoted)
    }

    @Test func alpacaInputsBelongToTheProblem() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"""
            {"instruction":"Add.","input":"2 and 3","output":"<think>\n2+3</think>5"}
            {"instruction":"Add.","input":"7 and 9","output":"<short>\n16"}
            """#, to: "p.jsonl")
        let pairs = try PairFile.read(path: path)
        #expect(pairs.map(\.problem) == ["Add.\n2 and 3", "Add.\n7 and 9"] && pairs.allSatisfy { !$0.isComplete })
    }

    @Test(arguments: [
        (#"{"problem":"p","answer":["1","2"]}"#, "1, 2"), (#"{"question":"p","final_answer":["3"]}"#, "3"),
        (#"{"problem":"p","expected_answer":12.0}"#, "12"), (#"{"problem":"p","answer":true}"#, "true"),
        (#"{"prompt":"p","reward_model":{"ground_truth":"[\"4\"]"}}"#, "4"),
        (#"{"problem":"p","solution":"so \\boxed{5}","messages":[{"role":"user","content":"p"}]}"#, "5"),
        (#"{"problem":"p","answer":"[1, 2]"}"#, "[1, 2]"),
    ])
    func answers(row: String, answer: String) throws { #expect(try problem(row).answer == answer, "\(row)") }

    @Test(arguments: [
        #"{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"5","reasoning_content":"2+3"}]}"#,
        #"{"messages":[{"role":"user","content":"p"},{"role":"assistant","content":[{"type":"thinking","thinking":"2+3"},{"type":"text","text":"5"}]}]}"#,
        #"{"conversations":[{"from":"human","value":"p"},{"from":"gpt","value":"\n<think>2+3</think>5"}]}"#,
        #"{"conversations":[{"from":"user","value":"p"},{"from":"assistant","value":"<|begin_of_thought|>2+3<|end_of_thought|><|begin_of_solution|>5<|end_of_solution|>"}]}"#,
        #"{"problem":"p","deepseek_reasoning":"2+3","deepseek_solution":"5"}"#,
        #"{"prompt":[{"role":"user","content":"p"}],"completion":[{"role":"assistant","content":"<think>2+3</think>5"}]}"#,
        #"{"question":"p","response":"5","reasoning":"2+3"}"#,
    ])
    func thinking(row: String) throws {
        let pair = try pair(row)
        #expect(pair.problem == "p" && pair.think == .init(working: "2+3", answer: "5"), "\(row)")
    }

    /// The rows of NuminaMath and OpenR1 are problems, although they have messages.
    @Test func problemsWithRecordedAnswersAreProblems() throws {
        let folder = try TemporaryFolder()
        for row in [
            #"{"problem":"p","solution":"\\boxed{5}","messages":[{"role":"user","content":"p"},{"role":"assistant","content":"5"}]}"#,
            #"{"problem":"p","answer":"5","generations":["<think>x</think>5"],"messages":[{"role":"user","content":"p"},{"role":"assistant","content":"<think>x</think>5"}]}"#,
        ] {
            let path = try folder.write(row, to: "p.jsonl")
            #expect(try !DataCheck.holdsPairs(path: path), "\(row)")
        }
    }

    @Test func mappedFields() throws {
        let row = #"{"problem":7,"text":"2+3?","meta":{"gold":["5"]},"answer":"wrong","kind":"easy"}"#
        let problem = try problem(row, map: "problem=text,answer=meta.gold.0,level=kind")
        #expect(problem == Problem(id: "1", problem: "2+3?", answer: "5", level: "easy"))
        let pair = try pair(
            #"{"q":"2+3?","a":"<short>5","messages":[{"role":"user","content":"no"}]}"#, map: "problem=q,response=a")
        #expect(pair.problem == "2+3?" && pair.short == "5")
    }

    @Test func mistakenMapsAreNamed() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(#"{"text":"x","final":1}"#, to: "p.jsonl")
        #expect(
            failure { _ = try ProblemFile.read(path: path, map: FieldMap("problem=txt")) }
                == path + ", line 1: --map: there is no field \"txt\"; the row has text, final")
        #expect(
            failure { _ = try ProblemFile.read(path: path, map: FieldMap("problem=text,answer=finl")) }
                == path + ": --map: no row has a field \"finl\"")
        #expect(failure { _ = try FieldMap("problem") }.contains("\"problem\" is neither"))
        #expect(failure { _ = try FieldMap("prob=x") }.hasPrefix("--map: \"prob\" is not read from data"))
        #expect(failure { _ = try FieldMap("answer=x,answer=y") } == "--map gives a name twice")
    }

    /// Pairs with a system message survive writing.
    @Test func contextsAreWritten() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            #"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"p"},{"role":"assistant","content":"<short>5"}]}"#,
            to: "p.jsonl")
        let pairs = try PairFile.read(path: path)
        let copy = folder.path("copy.jsonl")
        try PairFile.write(pairs, to: copy, overwrite: false)
        #expect(try PairFile.read(path: copy).first?.context == [Self.system] && pairs.first?.context == [Self.system])
    }

    @Test func contentShowsWhatIsRead() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(#"{"question":"x","answer":"1","notes":{"a":[1]}}"#, to: "p.jsonl")
        var content = try DataContent(path: path, firstRows: 1)
        let uses = FieldUses()
        _ = try ProblemFile.read(path: path, map: nil, uses: uses)
        content.fieldsRead = uses.names
        let json = JSON.object(JSONObject(content.json))
        #expect(json["format"] == "JSON Lines" && json["rows"] == 1)
        #expect(
            json["schema"]?.array?.map { $0["field"]?.string } == [
                "question", "answer", "notes", "notes.a", "notes.a[]",
            ])
        #expect(json["schema"]?.array?.map { $0["read"]?.bool } == [true, true, false, false, false])
    }
}

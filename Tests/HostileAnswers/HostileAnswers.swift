/// Texts designed to cost time, memory or stack when an answer is extracted or compared.
///
/// The tests check the verdicts; `grading-bench` measures the time.
public enum HostileAnswers {
    public struct Text: Sendable {
        public let name: String
        public let text: String
    }

    /// The ground truths that each text is compared with.
    public static let truths = ["5", "x+1", "1,2", #"\sqrt{2}x"#, numbered(300, ",", "", "")]

    public static let all: [Text] = {
        var texts: [Text] = []
        func add(_ name: String, _ text: String) { texts.append(Text(name: name, text: text)) }
        for text in ["10^{10^{10}}", "10^10^10", "9!!!!!!!!", "(10^{10})!", #"2^{2^{2^{2^{2^{2}}}}}"#] {
            add(text, text)
        }
        add("10^6 nested braces", nested("{", 1_000_000, "5", "}"))
        add("10^6 nested braces in a box", #"\boxed{"# + nested("{", 1_000_000, "5", "}") + "}")
        add("10^6 boxes that stay open", nested(#"\boxed{"#, 1_000_000, "", ""))
        add("250,000 nested boxes", nested(#"\boxed{"#, 250_000, "5", "}"))
        for filler in ["#", " ", "answer is ", "1,", "5 ", "\\", #"\boxed{5}"#, "</think>", "é"] {
            add("10 MB of \"\(filler)\"", nested(filler, 10_000_000 / filler.utf8.count, "", ""))
        }
        add("a box of 10 MB of digits", #"\boxed{"# + nested("9", 10_000_000, "", "") + "}")
        add("1,900 open parentheses", nested("(", 1900, "", ""))
        add("600 times ±(", nested("±(", 600, "1", ")"))
        add("39 times (1+", nested("(1+", 39, "x", ")"))
        add("200 nested roots", nested(#"\sqrt{"#, 200, "2", "}"))
        add("20 roots of sums", nested(#"\sqrt{1+"#, 20, "x", "}"))
        add("a product of 30 sums", numbered(30, "", "(x_{", "}+1)"))
        add("40 letters to the power of 40", "(" + numbered(40, "+", "x_{", "}") + ")^{40}")
        add("a list of 300", numbered(300, ",", "", ""))
        for (filler, count) in [("|", 1500), (#"\frac"#, 300), ("9", 1800), ("-", 1900), ("\u{0301}", 500), ("±", 900)]
        {
            add("\(count) times \"\(filler)\"", nested(filler, count, "1", ""))
        }
        add("0. and 1,500 digits", "0." + nested("3", 1500, "", ""))
        add("the root of a product of large primes", #"\sqrt{999999999999999989}"#)
        add("a matrix of one row of 500", #"\begin{pmatrix}"# + nested("1&", 500, "", "") + #"\end{pmatrix}"#)
        add("a chain of 450 equal sides", nested("1+1=", 450, "2", ""))
        add("a chain of powers", nested("2^{9999}=", 200, "x", ""))
        add("200 fractions with large denominators", numbered(200, "+", #"\frac{1}{3^{"#, "}}"))
        add("60 fractions with different large denominators", numbered(60, "+", #"1/"#, "^{4000}"))
        add("300 powers of 20,000 bits", numbered(300, "+", "7^{", "}") + "+3^{20000}")
        add("a product of 300 factorials", numbered(300, "", "900!", ""))
        add("9,999 factorial", "9999!x")
        add("integers of 1,900 digits", nested("7", 950, "/", "") + nested("3", 949, "", ""))
        add("a repeating decimal of 1,800 digits", #"0.\overline{"# + nested("7", 1800, "", "}"))
        add("150 intervals", numbered(150, #"\cup"#, "(", ",999)"))
        add("400 conditions", numbered(400, #"\lor"#, "x<", ""))
        add("300 set builders", nested(#"\{x|"#, 300, "x>1", #"\}"#))
        add("150 complements", nested(#"\mathbb{R}\setminus("#, 35, #"\{1\}"#, ")"))
        add("60 nested matrices", nested(#"\begin{matrix}"#, 60, "1", #"\end{matrix}"#))
        add(
            "a matrix of 30 by 30",
            #"\begin{matrix}"# + nested(nested("1&", 29, "1", "") + #"\\"#, 30, "", "") + #"\end{matrix}"#)
        add("300 nested texts", nested(#"\text{"#, 300, "5", "}"))
        add("900 floors", nested(#"\lfloor "#, 150, "x", #"\rfloor "#))
        add("binomials of sums", nested(#"\binom{x+"#, 30, "1", "}{8}"))
        for filler in [
            "$", "$ ", "**", "(1,", "a. ", "1 and ", "answer: ", #"\("#, #"\[ "#, "`", "{", "is 1 ", "\u{2212}",
        ] {
            add("10 MB of \"\(filler)\" in prose", nested(filler, 10_000_000 / filler.utf8.count, " 5", ""))
        }
        return texts
    }()

    private static func nested(_ open: String, _ count: Int, _ inner: String, _ close: String) -> String {
        String(repeating: open, count: count) + inner + String(repeating: close, count: count)
    }

    private static func numbered(_ count: Int, _ separator: String, _ before: String, _ after: String) -> String {
        (1...count).map { before + String($0) + after }.joined(separator: separator)
    }
}

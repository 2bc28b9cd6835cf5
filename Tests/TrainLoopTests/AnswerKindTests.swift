import Testing
import TrainLoop

/// Answers in the forms that models and data sets write, by kind.
@Suite struct AnswerKindTests {
    private static let conventions: [(String, String)] = [
        ("x != 3", #"x \neq 3"#), (#"x_1=1,\quadx_2=2"#, "1, 2"), ("{1, 3}", "1,3"), ("{-2, 2}", #"\pm 2"#),
        ("0<f(x)<1", "(0,1)"),
        (#"\frac{1}{2}"#, #"\frac{NO}{BO}=\frac12"#), ("-37_8", "-37_{8}"), ("|x+3|", "|3+x|"),
        (#"\frac{14}{3} \approx 4.67"#, "4.67"),
        (#"\displaystyle \text{odd}"#, "odd"),
    ]

    @Test(arguments: conventions) func conventionsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let escapedTwice: [(String, String)] = [
        (#"-2 \\le x \\le 7"#, "[-2,7]"), (#"(3, \\frac{\\pi}{2})"#, #"\left(3, \frac\pi2\right)"#),
        (#"\\text{5}"#, "5"), ("5", #"so \\boxed{\\frac{10}{2}}"#),
    ]

    @Test(arguments: escapedTwice) func escapingTwiceChangesNothing(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let areas: [(String, String)] = [
        ("1,000.99m²", "1000.99"), ("5 m³", "5"), ("5m^2", "5"), ("5 m²", #"5\text{ m}^2"#), (#"5\text{ m}^2"#, "5m^2"),
        ("5m²", "5m^2"),
    ]

    @Test(arguments: areas) func squareMetresAreAUnit(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let textCommands: [(String, String)] = [
        (#"\text{9}"#, "9"), (#"\textbf{12}"#, "12"), (#"\mbox{ 12 }"#, "12"), (#"\textrm{-7}"#, "-7"),
        (#"\text{3/4}"#, #"\frac34"#), (#"n=\text{12}"#, "12"), (#"\text{12 cm}"#, "12"), (#"12\textbf{ cm}"#, "12"),
        (#"\text{9 units}"#, #"9\text{ units}"#), (#"\textit{9}"#, "9"), (#"5\mathrm{~m}"#, "5"),
        (#"5\ \mathrm{cm}^2"#, "5"), (#"3\frac{\text{m}}{\text{s}}"#, "3"), (#"3\text{ m}/\text{s}"#, "3"),
        (#"\mathrm{12}"#, "12"), (#"\text{x = 5}"#, "5"), (#"\$\text{12}"#, "12"), (#"20^\circ\text{C}"#, "20"),
        (#"20^{\circ}C"#, "20"), ("20°C", "20"), ("-3 °C", "-3"), ("50 percent", #"50\%"#), ("28 pct", "28"),
    ]

    @Test(arguments: textCommands) func textCommandsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let labels: [(String, String)] = [
        ("AB = 4", "4"), ("f(2)=4", "4"), ("P(A) = 4", "4"), (#"\text{Area} = 4"#, "4"), (#"\angle ABC = 4"#, "4"),
        (#"m\angle A=4"#, "4"), ("|AB| = 4", "4"), ("f'(1)=4", "4"), ("(x,y)=(1,2)", "(1,2)"), ("(3,2)", "(p,q)=(3,2)"),
        ("1", "f(x)=1"), ("1", "|AB|=1"), ("4, 5", "AB=4,CD=5"), ("(x,y)=(1,2),(3,4)", "(1,2),(3,4)"),
        (#"P(A \cap B) = \frac13"#, "1/3"), ("[ABC] = 12", "12"), ("a_{10} = 19", "19"), ("S_n = n^2", "n^2"),
        ("x + y = 7", "7"), (#"\cos\theta = \frac12"#, "1/2"), ("x = 1, y = 2", "(1,2)"), ("f(x) = x^2+1", "x^2+1"),
        ("y = x^2", "f(x)=x^2"), ("Area = 12", "12"), (#"\overline{AB}=5"#, "5"), ("x_1 = 2, x_2 = 3", "2,3"),
        (#"\frac{dy}{dx}=2x"#, "2x"), (#"\lim_{x\to 0} f(x)=2"#, "2"),
    ]

    @Test(arguments: labels) func labelsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let chains: [(String, String)] = [
        (#"\frac{14}{3}\approx 4.67"#, #"\frac{14}{3}"#), (#"N=2\cdot 2=4"#, "4"), ("x = 5+5+1 = 11", "x = 11"),
        (#"x=1/3\approx 0.333"#, "1/3"), (#"2\sqrt{3}\approx 3.464"#, #"2\sqrt3"#),
        ("f(x)=(x+1)^2=x^2+2x+1", "x^2+2x+1"), (#"x \approx 3.14"#, "3.14"), (#"\frac{14}{3} \approx 4.67"#, "4.67"),
        ("√2 ≈ 1.414", #"\sqrt2"#), (#"\pi r^2 = \pi\cdot 9 = 9\pi"#, #"9\pi"#),
    ]

    @Test(arguments: chains) func chainsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let boxes: [(String, String)] = [
        (#"\boxed{73}"#, "73"), (#"\fbox{\boxed{73}}"#, "73"),
    ]

    @Test(arguments: boxes) func boxesAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let sets: [(String, String)] = [
        (#"x<2\text{ or }x>3"#, #"(-\infty,2)\cup(3,\infty)"#), ("x<2 or x>3", #"(-\infty,2)\cup(3,\infty)"#),
        (#"\{x \mid x>5\}"#, #"(5,\infty)"#), (#"\{x : x > 5\}"#, #"(5,\infty)"#),
        (#"x \geq 2 \text{ and } x < 5"#, "[2,5)"), (#"(-\infty,\infty)"#, #"\mathbb{R}"#),
        (#"(-\infty,2)\cup(2,\infty)"#, #"\mathbb{R}\setminus\{2\}"#), (#"x \ne 2"#, #"(-\infty,2)\cup(2,\infty)"#),
        (#"\mathbb{R} - \{2\}"#, #"\mathbb R \setminus \{2\}"#),
        (#"\{x\in\mathbb{R} : x\neq 2\}"#, #"\mathbb{R}\setminus\{2\}"#), (#"x\in(1,2)\cup(3,4)"#, #"(1,2)\cup(3,4)"#),
        ("5 > x > 2", "(2,5)"), (#"[1,3]\cup[2,4]"#, "[1,4]"), (#"(1,3)\cap(2,4)"#, "2<x<3"), (#"\{\}"#, #"\emptyset"#),
        ("∅", #"\varnothing"#), (#"\{x\,|\,-1\le x\le 1\}"#, "[-1,1]"),
        (#"x \le -1 \lor x \ge 1"#, #"(-\infty,-1]\cup[1,\infty)"#),
        (#"(-\infty, \tfrac12)\cup(1,+\infty)"#, #"x<0.5 \text{ or } x>1"#),
        (#"\left(-\infty,-\sqrt{2}\right]\cup\left[\sqrt2,\infty\right)"#, #"x\le-\sqrt2\text{ or }x\ge\sqrt2"#),
        (#"\{x \mid |x|<2\}"#, "|x|<2"), ("|x| < 3", "(-3,3)"), (#"-\sqrt2 \le x \le \sqrt2"#, #"|x| \le \sqrt2"#),
        (#"|x| > 1"#, #"(-\infty,-1)\cup(1,\infty)"#), (#"[-\frac32,-1]\cup[1,\frac32]"#, #"1\le|z|\le\frac{3}{2}"#),
        (#"|x| > 0"#, #"x \ne 0"#),
    ]

    @Test(arguments: sets) func setsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let spellings: [(String, String)] = [
        (#"{14 \over 3}"#, #"\frac{14}{3}"#), (#"14 \over 3"#, #"\frac{14}{3}"#),
        (#"\Large\frac{14}{3}"#, #"\frac{14}{3}"#), (#"{10 \choose 3}"#, #"\binom{10}{3}"#),
        (#"\left[\begin{matrix}1&2\\3&4\end{matrix}\right]"#, #"\begin{pmatrix}1&2\\3&4\end{pmatrix}"#),
        (#"\left(\begin{array}{cc}1&2\\3&4\end{array}\right)"#, #"\begin{bmatrix}1&2\\3&4\end{bmatrix}"#),
        (#"\left\lfloor x\right\rfloor"#, #"\lfloor x\rfloor"#), ("11111111100", #"11,\! 111,\! 111,\! 100"#),
        (#"\frac{3}{4}"#, "3:4"), ("6:10", "3:5"), (#"\big(1,2\big)"#, "(1,2)"),
        (#"\displaystyle\frac12"#, #"\frac{1}{2}"#), (#"\dfrac{1}{7}\triangle ABC"#, #"\frac{1}{7}\triangle ABC"#),
        ("**73**", "73"), ("`73`", "73"), ("−5", "-5"), ("–5", "-5"), ("x²+1", "x^2+1"), ("2⁻¹x", #"\frac{x}{2}"#),
        ("½", "0.5"), ("2½", "2.5"), ("３", "3"), (#"\(12\)"#, "12"), (#"\[12\]"#, "12"), ("x**2", "x^2"), ("2*x", "2x"),
        (#"0.\overline{3}"#, #"\frac13"#), (#"0.1\overline{6}"#, #"\frac16"#), (#"1.\bar{3}"#, #"\frac43"#),
        ("1e3", "1000"), ("2.5e-3", "0.0025"), ("1 000 000", "1000000"), (#"1\,000"#, "1000"), ("€5", "5"),
        ("£5.00", "5"), (#"\textcolor{red}{5}"#, "5"), (#"\color{blue}5"#, "5"), ("α+1", #"\alpha+1"#),
        ("θ", #"\theta"#), (#"\operatorname{sin} x"#, #"\sin x"#), ("sqrt31", #"\sqrt{31}"#),
        (#"\sin^{2} t"#, #"\sin^2 t"#), ("c+b+a", "a + b + c"), ("n!", "n!"), (#"\frac{n(n-1)}{2}"#, #"\binom{n}{2}"#),
    ]

    @Test(arguments: spellings) func spellingsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let largeIntegers: [(String, String)] = [
        ("4^{100}", "2^{200}"), (#"2\cdot 2^{2004}"#, "2^{2005}"),
        ("1606938044258990275541962092341162602522202993782792835301376", "2^{200}"),
        (#"\frac{1+2^{2005}}{3\cdot 2^{2006}}"#, #"\frac{2^{2005}+1}{3 \cdot 2^{2006}}"#),
        (#"2017^{2017}\cdot 2017"#, "2017^{2018}"), ("30!+0", "30!"), ("100!/100", "99!"),
        ("123456789012345678901234567890", "123,456,789,012,345,678,901,234,567,890"),
    ]

    @Test(arguments: largeIntegers) func largeIntegersAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let roots: [(String, String)] = [
        ("|x|", #"\sqrt{x^2}"#), ("2|x|", #"\sqrt{4x^2}"#), ("x^2", #"\sqrt{x^4}"#), (#"x\sqrt{x}"#, #"\sqrt{x^3}"#),
    ]

    @Test(arguments: roots) func rootsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let options: [(String, String)] = [
        (#"\textbf{(B)}\ 12"#, "12"), (#"\textbf{(B)} 12"#, "B"), ("(B) 12", "(B)"), ("B", #"\textbf{(B) }12"#),
        ("12", #"\text{(B) }12"#), ("(C)", "C"), ("C.", "C"),
    ]

    @Test(arguments: options) func optionsAreEqual(answer: String, truth: String) {
        #expect(MathGrader.areEquivalent(answer, truth))
    }

    private static let differentPairs: [(String, String)] = [
        (#"\frac{124}{40} \approx 3.075"#, "3.075"), (#"\frac{145}{5} \approx 28.8"#, #"\frac{144}{5}"#),
        ("|x+3|", "x+3"),
        ("n!=6", "6"), ("0.0833333333333333", #"\frac{1}{12}"#), ("1 + 2", "3"), ("1,22", "1.22"), ("four", "4"),
        (#"\text{13}"#, "12"), (#"\text{not 12}"#, "12"), ("AB = 5", "4"), ("f(4)=2", "4"), ("(x,y)=(2,1)", "(1,2)"),
        (#"\frac{13}{3}\approx 4.67"#, #"\frac{14}{3}"#), (#"\frac{14}{3}\approx 100"#, #"\frac{14}{3}"#),
        (#"x<2\text{ or }x\ge3"#, #"(-\infty,2)\cup(3,\infty)"#), (#"\{x \mid x\ge5\}"#, #"(5,\infty)"#),
        ("2^{201}", "2^{200}"), ("x", "|x|"), ("x", #"\sqrt{x^2}"#), ("-x", "|x|"), ("x = 4 = 5", "5"),
        ("4 = 5 = 5", "5"), ("x=4, x=5", "5"), ("0.3", #"0.\overline{3}"#),
        ("x<2 and x>3", #"(-\infty,2)\cup(3,\infty)"#), (#"\mathbb{R}"#, #"\mathbb{R}\setminus\{2\}"#),
        (#"(-\infty,2)\cup(3,\infty)"#, #"\mathbb{R}\setminus\{2\}"#), ("0", "2x-y+3=0"), ("x+y=0", "0 + x"),
        ("3:4", #"\frac{4}{3}"#), ("1:2:3", "1:2:4"), ("y = 2, x = 1", "(2,1)"), ("x=2, y=1", "(1,2)"),
        (#"\textbf{(B)} 12"#, "C"), ("(B) 12", "13"), ("B", #"\textbf{(C) }12"#), ("4^{100}", "2^{201}"),
        ("5 million", "5"), ("2x=6", "6"), ("5=5", "5"), ("2+3", #"\text{5}"#), ("10^{200}+1", "10^{200}"),
        (#"\frac{1}{3^{98}}"#, #"\frac{1}{2^{98}}"#), ("12_5", "12_6"), ("0.565", #"56\%"#), ("B", "A"),
        ("[1,2]", "(1,2)"), (#"\lceil x\rceil"#, #"\lfloor x\rfloor"#), (#"{10 \choose 4}"#, #"{10 \choose 3}"#),
        (#"\begin{matrix}1&2\\3&4\end{matrix}"#, #"\begin{pmatrix}1&3\\2&4\end{pmatrix}"#),
        (#"(-\infty,2]\cup(2,\infty)"#, #"(-\infty,2)\cup(2,\infty)"#), ("x", "2x/3"), ("1e3", "100"), ("1 000", "1"),
        (#"\emptyset"#, "0"), (#"\{0\}"#, #"\emptyset"#), ("2 1/2", "2"), ("AB=4", "BC=5"), ("x=4", "y=4"),
        (#"x \approx 3.14"#, #"\pi"#), ("3.14", #"\pi\approx3.14"#), ("(1,2)", "x=2,y=1"),
        ("|x| < 3", "[-3,3]"), ("|x| > 3", "(-3,3)"), ("|x| < 3", "(0,3)"), ("|x| < 3", "x < 3"),
        ("|x| > -1", "x > -1"),
        ("5m", "5"), ("6m^2", "5"), ("5m^4", "5"), ("5n^2", "5"), ("5 m²", #"5\text{ m}^3"#), ("5m^2", "25"),
        (#"12 \\ 345"#, "12345"), (#"\\frac{1}{2}"#, "2"),
    ]

    @Test(arguments: differentPairs) func different(answer: String, truth: String) {
        #expect(!MathGrader.areEquivalent(answer, truth))
    }
}

import Testing
import ckpt

@Suite struct HelpTextTests {
    @Test func usageIsBrokenBetweenArguments() {
        let usage =
            "USAGE: ckpt export <checkpoint> ... [--format <format>] [--rename <old=new> ...] --output <output> [--force]"
        let help = "OVERVIEW: Write.\n\n\nText.\n\n\(usage)\n\nARGUMENTS:\n"
        for width in 40...120 {
            let lines = HelpText.layOut(help, width: width).split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.allSatisfy { $0.count <= width }, "\(lines)")
            let words = lines.flatMap { $0.split(separator: " ") }
            #expect(words == help.split { $0 == " " || $0 == "\n" })
            for line in lines {
                #expect(line.count { $0 == "[" } == line.count { $0 == "]" }, "\(line)")
                #expect(!line.hasSuffix("--output") && !line.hasPrefix("       ..."), "\(line)")
            }
        }
        #expect(HelpText.layOut("#compdef ckpt\n\n\n", width: 10) == "#compdef ckpt\n\n\n")
    }
}

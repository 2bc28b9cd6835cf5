import Testing
import ckpt

@Suite struct RepeatedFlagTests {
    @Test(arguments: [
        ("train-sft a.h5 --freeze x --steps 1 --freeze=y,z", "train-sft a.h5 --freeze=x,y,z --steps 1"),
        ("train-sft --freeze x", "train-sft --freeze=x"), ("train-sft --freeze", "train-sft --freeze"),
        ("train-sft --freezer x --freeze=", "train-sft --freezer x --freeze="),
        ("train-sft -- --freeze x", "train-sft -- --freeze x"), ("train-sft a.h5", "train-sft a.h5"),
    ])
    func valuesAreJoined(given: String, joined: String) {
        let arguments = given.split(separator: " ").map(String.init)
        #expect(RepeatedFlag.joined("freeze", in: arguments).joined(separator: " ") == joined)
    }

    @Test func manyValuesComeBack() {
        let names = (0..<60_000).map { "model.layers.\($0).*" }
        let arguments = ["train-sft"] + names.flatMap { ["--freeze", $0] }
        let joined = RepeatedFlag.joined("freeze", in: arguments)
        #expect(joined.count == 2)
        #expect(RepeatedFlag.split([String(joined[1].dropFirst("--freeze=".count))]) == names)
    }
}

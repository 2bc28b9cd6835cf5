import ArgumentParser
import TrainLoop

extension [Problem] {
    /// Names the rows of a file whose answer cannot be read, because no response to them can be right.
    ///
    /// - Throws: `ValidationError` if no answer can be read.
    func checkAnswers(of path: String) throws {
        guard let report = GroundTruthReport(self) else { return }
        guard !report.isOfAll else {
            throw ValidationError("\(path): \(report.text); give the result alone, in \\boxed{} or behind ####")
        }
        Terminal.warn("\(path): \(report.text); no response to them can be right")
    }
}

import OrderedJSON
import Surgery
import TrainLoop

/// The mode preference of two models, of which at least one is behind a server.
struct PreferenceReport {
    let a: String
    let b: String
    let change: ModePreferenceChange

    /// What cannot be compared.
    private static let note =
        "a server gives probabilities of first tokens only, so weights and other positions are not compared"

    /// Asks both models.
    ///
    /// - Throws: errors of reading the problems and asking the models.
    init(_ a: PreferenceSubject, _ b: PreferenceSubject, probe path: String, progress: (Int) -> Void) throws {
        let problems = try ModeProbe.problems(in: path)
        let left = try Self.naming(a) { try a.preference(problems) }
        progress(1)
        let right = try Self.naming(b) { try b.preference(problems) }
        progress(2)
        guard let change = ModePreferenceChange(left, right) else {
            throw SurgeryError.badOption(name: "--probe", reason: "the file holds no problems")
        }
        (self.a, self.b, self.change) = (a.name, b.name, change)
    }

    private static func naming<Result>(_ subject: PreferenceSubject, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as ServedModelError {
            throw FileError(description: "\(subject.name): \(error)")
        }
    }

    var lines: [String] {
        ["\(a) → \(b)"] + ModePreferenceText(change: change, source: "both models asked now").lines
            + ["  note: \(Self.note)"]
    }

    /// See `schemas/diff-report.schema.json`.
    var json: JSON {
        [
            "kind": "preference", "a": .string(a), "b": .string(b), "mode_preference": change.json,
            "notes": .array([.string(Self.note)]),
        ]
    }
}

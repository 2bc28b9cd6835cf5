import CheckpointIO
import OrderedJSON

/// One option of a run: its key in a saved state, its flag, its valid values, and where it is stored.
///
/// An option's flag is named in two places: in the table of these fields, which saving, resuming, checking and reading
/// the command line go through, and in the declaration of the command-line argument.
package struct OptionField<Options>: Sendable {
    let key: String
    package let flag: String
    /// Whether a state without the option is damaged; if not, the default applies.
    private(set) var isRequired = true
    let json: @Sendable (Options) -> JSON
    /// Sets the option from a saved state; false if the value is not valid.
    let setJSON: @Sendable (inout Options, JSON) -> Bool
    /// Sets the option to a value of its type; false for a value of another type.
    let setValue: @Sendable (inout Options, Any) -> Bool
    /// Throws `OptionError` if the value is out of range.
    let check: @Sendable (Options) throws -> Void

    /// Whether a state names the option if it is nil.
    private(set) var isRecordedIfNil = true

    /// The same option, which states saved before it existed do not have.
    var optionalInOldCheckpoints: Self {
        var field = self
        field.isRequired = false
        return field
    }

    /// The same option, which a state has only if it is set.
    var recordedIfSet: Self {
        var field = optionalInOldCheckpoints
        field.isRecordedIfNil = false
        return field
    }

    static func of<Value: Sendable>(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Value> & Sendable,
        to: @escaping @Sendable (Value) -> JSON, from: @escaping @Sendable (JSON) -> Value?,
        check: @escaping @Sendable (_ flag: String, Value) throws -> Void = { _, _ in }
    ) -> Self {
        OptionField(
            key: key, flag: flag, json: { to($0[keyPath: path]) },
            setJSON: { options, json in
                guard let value = from(json) else { return false }
                options[keyPath: path] = value
                return true
            },
            setValue: { options, value in
                guard let value = value as? Value else { return false }
                options[keyPath: path] = value
                return true
            },
            check: { try check(flag, $0[keyPath: path]) })
    }

    static func int(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Int> & Sendable, _ valid: ClosedRange<Int>
    ) -> Self {
        of(key, flag, path, to: { .integer($0) }, from: \.int, check: valid.check)
    }

    static func optionalInt(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Int?> & Sendable, _ valid: ClosedRange<Int>
    ) -> Self {
        of(
            key, flag, path, to: { $0.map { .integer($0) } ?? .null }, from: { $0.isNull ? .some(nil) : $0.int },
            check: { flag, value in if let value { try valid.check(flag, value) } })
    }

    static func double(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Double> & Sendable, _ valid: ValidNumbers
    ) -> Self {
        of(key, flag, path, to: { .double($0) }, from: \.double, check: valid.check)
    }

    static func optionalDouble(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Double?> & Sendable, _ valid: ValidNumbers
    ) -> Self {
        of(
            key, flag, path, to: { $0.map { .double($0) } ?? .null }, from: { $0.isNull ? .some(nil) : $0.double },
            check: { flag, value in if let value { try valid.check(flag, value) } })
    }

    static func bool(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, Bool> & Sendable) -> Self {
        of(key, flag, path, to: { .bool($0) }, from: \.bool)
    }

    static func texts(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, [String]> & Sendable) -> Self {
        of(key, flag, path, to: { .array($0.map { .string($0) }) }, from: { $0.array?.compactMap(\.string) })
    }

    /// A 64-bit number, which is stored as text because not every JSON reader keeps 64 bits of a number.
    static func seed(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, UInt64> & Sendable) -> Self {
        of(key, flag, path, to: { .string(String($0)) }, from: { $0.string.flatMap { UInt64($0) } })
    }

    static func choice<Choice: RawRepresentable & Sendable>(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Choice> & Sendable
    ) -> Self where Choice.RawValue == String {
        of(key, flag, path, to: { .string($0.rawValue) }, from: { $0.string.flatMap(Choice.init(rawValue:)) })
    }
}

/// The numbers that an option accepts, and how an error describes them.
struct ValidNumbers: Sendable {
    let contains: @Sendable (Double) -> Bool
    let requirement: String

    static let positive = ValidNumbers(contains: { $0 > 0 && $0.isFinite }, requirement: "must be above 0")
    static let epochs = ValidNumbers(
        contains: { $0 > 0 && $0 <= 1e6 }, requirement: "must be above 0 and at most 1,000,000")
    static let notNegative = ValidNumbers(contains: { $0 >= 0 && $0.isFinite }, requirement: "must not be negative")
    static let share = ValidNumbers(contains: (0...1).contains, requirement: "must lie in 0...1")
    static let belowOne = ValidNumbers(contains: (0..<1).contains, requirement: "must lie in 0..<1")
    static let belowHalf = ValidNumbers(contains: (0..<0.5).contains, requirement: "must lie in 0..<0.5")

    @Sendable func check(_ flag: String, _ value: Double) throws {
        try OptionError.require(contains(value), "\(flag) \(requirement)")
    }
}

extension ClosedRange<Int> {
    @Sendable fileprivate func check(_ flag: String, _ value: Int) throws {
        try OptionError.require(
            value >= lowerBound,
            lowerBound == 0 ? "\(flag) must not be negative" : "\(flag) must be at least \(lowerBound)")
        try OptionError.require(value <= upperBound, "\(flag) must be at most \(upperBound)")
    }
}

/// Options that a saved state records through a table of fields.
package protocol RecordedOptions {
    /// The options in the order in which a state lists them.
    static var fields: [OptionField<Self>] { get }

    /// The defaults.
    init()

    /// Checks the options that depend on each other.
    ///
    /// - Throws: `OptionError` naming a flag.
    func checkCombinations() throws
}

extension RecordedOptions {
    /// The options by the keys of their fields.
    package var recorded: JSON {
        let values = Self.fields.map { (field: $0, json: $0.json(self)) }
        return .object(
            JSONObject(
                values.filter { $0.field.isRecordedIfNil || !$0.json.isNull }.map { ($0.field.key, $0.json) }))
    }

    /// Checks every option, and the options that depend on each other.
    ///
    /// - Throws: `OptionError` naming the flag.
    package func check() throws {
        for field in Self.fields { try field.check(self) }
        try checkCombinations()
    }

    /// Sets the option of a flag, as given on the command line.
    ///
    /// - Returns: false if there is no option with this flag and a value of this type.
    package mutating func setOption(_ flag: String, to value: Any) -> Bool {
        Self.fields.first { $0.flag == flag }?.setValue(&self, value) ?? false
    }

    /// The options of the run that saved `file`, checked as if they had been given on the command line.
    ///
    /// - Throws: `StoredOptionsError`, or `TrainingStateError` if the file has no training state.
    package init(storedIn file: CheckpointFile) throws {
        guard let text = file.metadata.trainingState else { throw TrainingStateError.noTrainingState(file.path) }
        let json = try JSON.parse(text)["options"] ?? .null
        self.init()
        for field in Self.fields {
            if json[field.key] == nil, !field.isRequired { continue }
            guard let value = json[field.key], field.setJSON(&self, value) else {
                throw StoredOptionsError.missing(file.path, key: field.key)
            }
        }
        do { try check() } catch { throw StoredOptionsError.invalid(file.path, reason: "\(error)") }
    }

    /// Refuses flags of a resumed run that differ from these options, with which the run was started.
    ///
    /// - Throws: `OptionError` naming the first flag that differs and is not among `exceptions`.
    func refuse(differing wanted: Self, except exceptions: Set<String>) throws {
        for field in Self.fields where !exceptions.contains(field.flag) {
            let (own, other) = (field.json(self), field.json(wanted))
            guard own != other else { continue }
            func text(_ value: JSON) -> String { value.plainText ?? value.serialized() }
            throw OptionError(
                "\(field.flag) \(text(other)) differs from the run's \(text(own)); a resumed run keeps its options, so "
                    + "leave the flag out, or start a new run from one of its states")
        }
    }
}

/// An error in the options that a saved state records.
enum StoredOptionsError: Error, CustomStringConvertible {
    case missing(String, key: String)
    case invalid(String, reason: String)

    var description: String {
        switch self {
        case .missing(let path, let key):
            "\(path): its training state has no valid value for the option \"\(key)\""
        case .invalid(let path, let reason): "\(path): the options in its training state are not valid: \(reason)"
        }
    }
}

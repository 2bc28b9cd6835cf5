import CheckpointIO
import OrderedJSON

/// One option of a run: its key in a state's JSON, its flag, and how it is read and set.
///
/// A table of these is the one place that ties the three together: what a state records, what resuming reads back, and
/// what a flag given to a resumed run is compared with.
struct OptionField<Options>: Sendable {
    let key: String
    let flag: String
    /// States written before the option existed do not have it; its default is what they did.
    var isRequired = true
    let read: @Sendable (Options) -> JSON
    /// False where the value is none for this option.
    let write: @Sendable (inout Options, JSON) -> Bool

    /// The same option, absent from earlier states.
    var sinceLater: Self {
        var field = self
        field.isRequired = false
        return field
    }

    static func of<Value: Sendable>(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Value> & Sendable,
        to: @escaping @Sendable (Value) -> JSON, from: @escaping @Sendable (JSON) -> Value?
    ) -> Self {
        OptionField(
            key: key, flag: flag, read: { to($0[keyPath: path]) },
            write: { options, json in
                guard let value = from(json) else { return false }
                options[keyPath: path] = value
                return true
            })
    }

    static func int(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, Int> & Sendable) -> Self {
        of(key, flag, path, to: { .integer($0) }, from: \.int)
    }

    static func optionalInt(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, Int?> & Sendable) -> Self {
        of(key, flag, path, to: { $0.map { .integer($0) } ?? .null }, from: { $0.isNull ? .some(nil) : $0.int })
    }

    static func double(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, Double> & Sendable) -> Self {
        of(key, flag, path, to: { .double($0) }, from: \.double)
    }

    static func optionalDouble(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Double?> & Sendable
    ) -> Self {
        of(key, flag, path, to: { $0.map { .double($0) } ?? .null }, from: { $0.isNull ? .some(nil) : $0.double })
    }

    static func bool(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, Bool> & Sendable) -> Self {
        of(key, flag, path, to: { .bool($0) }, from: \.bool)
    }

    static func texts(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, [String]> & Sendable) -> Self {
        of(key, flag, path, to: { .array($0.map { .string($0) }) }, from: { $0.array?.compactMap(\.string) })
    }

    /// 64 bits do not fit a JSON number everywhere, so a seed is kept as text.
    static func seed(_ key: String, _ flag: String, _ path: WritableKeyPath<Options, UInt64> & Sendable) -> Self {
        of(key, flag, path, to: { .string(String($0)) }, from: { $0.string.flatMap { UInt64($0) } })
    }

    static func choice<Choice: RawRepresentable & Sendable>(
        _ key: String, _ flag: String, _ path: WritableKeyPath<Options, Choice> & Sendable
    ) -> Self where Choice.RawValue == String {
        of(key, flag, path, to: { .string($0.rawValue) }, from: { $0.string.flatMap(Choice.init(rawValue:)) })
    }
}

/// Options that a state records by a table of fields.
protocol RecordedOptions {
    static var fields: [OptionField<Self>] { get }
    init()
    /// - Throws: `OptionError` where values make no sense by themselves or together.
    func check() throws
}

extension RecordedOptions {
    /// The options by the keys of their fields.
    var recorded: JSON { .object(JSONObject(Self.fields.map { ($0.key, $0.read(self)) })) }

    /// The options of the run that saved `file`, checked as if they had been given.
    ///
    /// - Throws: `StoredOptionsError`, and `TrainingState.Failure` where there is no training state.
    init(recordedIn file: CheckpointFile) throws {
        guard let text = file.metadata.trainingState else { throw TrainingState.Failure.noTrainingState(file.path) }
        let json = try JSON.parse(text)["options"] ?? .null
        self.init()
        for field in Self.fields {
            guard let value = json[field.key] else {
                if field.isRequired { throw StoredOptionsError.missing(file.path, key: field.key) }
                continue
            }
            guard field.write(&self, value) else { throw StoredOptionsError.missing(file.path, key: field.key) }
        }
        do { try check() } catch { throw StoredOptionsError.senseless(file.path, reason: "\(error)") }
    }

    /// What differs in `other`, by flag, as texts for a person.
    func differences(to other: Self) -> [(flag: String, here: String, there: String)] {
        Self.fields.compactMap { field in
            let (here, there) = (field.read(self), field.read(other))
            guard here != there else { return nil }
            return (field.flag, here.plainText ?? here.serialized(), there.plainText ?? there.serialized())
        }
    }

    /// A resumed run goes on with its own options.
    ///
    /// - Throws: `OptionError` naming the first flag that asks for something else.
    func refuseDifferences(in wanted: Self) throws {
        guard let first = differences(to: wanted).first else { return }
        throw OptionError(
            "\(first.flag) \(first.there) differs from the run's \(first.here); a resumed run goes on with the options "
                + "it was started with, so leave the flag out, or start a new run from one of its states")
    }
}

/// Why the options in a state cannot be gone on with.
enum StoredOptionsError: Error, CustomStringConvertible {
    case missing(String, key: String)
    case senseless(String, reason: String)

    var description: String {
        switch self {
        case .missing(let path, let key):
            "\(path): its training state lacks the option \"\(key)\" or holds no valid value"
        case .senseless(let path, let reason): "\(path): the options in its training state make no sense: \(reason)"
        }
    }
}

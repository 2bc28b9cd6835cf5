import OrderedJSON

/// What decides whether an answer is right.
package enum RewardSource: Sendable, Equatable {
    /// Mathematical equivalence.
    case math
    /// Identical characters.
    case exact
    /// A program of the user.
    case command(String)

    /// A program may do without a known answer.
    package var needsGroundTruth: Bool {
        if case .command = self { return false }
        return true
    }

    /// `math`, `exact` or `command:PROGRAM`; nil for any other text.
    package init?(_ text: String) {
        switch text {
        case "math": self = .math
        case "exact": self = .exact
        default:
            guard text.hasPrefix("command:"), text.count > 8 else { return nil }
            self = .command(String(text.dropFirst(8)))
        }
    }

    /// `math`, `exact` or `command`.
    package var name: String {
        if case .command = self { return "command" }
        return text
    }

    package var text: String {
        switch self {
        case .math: "math"
        case .exact: "exact"
        case .command(let program): "command:\(program)"
        }
    }
}

extension ModeReward.Values {
    private static let keys: [(key: String, path: WritableKeyPath<Self, Double> & Sendable)] = [
        ("short_right", \.shortRight), ("think_right", \.thinkRight), ("short_wrong", \.shortWrong),
        ("think_wrong", \.thinkWrong), ("malformed", \.malformed),
    ]

    init?(json: JSON) {
        self.init()
        for (key, path) in Self.keys {
            guard let value = json[key]?.double else { return nil }
            self[keyPath: path] = value
        }
    }

    var json: JSON { .object(JSONObject(Self.keys.map { ($0.key, .double(self[keyPath: $0.path])) })) }

    func check() throws {
        try OptionError.require(Self.keys.allSatisfy { self[keyPath: $0.path].isFinite }, "rewards must be finite")
    }
}

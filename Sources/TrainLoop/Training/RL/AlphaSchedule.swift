import OrderedJSON

/// How the weight α of the control token is set.
package enum AlphaSchedule: Sendable, Equatable {
    case fixed(Double)
    /// K / (mean T + 1) over the rollouts of the first step, then constant: K times the weight under `grpo`.
    case auto(Double)
    /// Linear from one value at the first step to another, which is reached after `steps` steps and then kept.
    case linear(from: Double, to: Double, steps: Int)
    /// K/(T_i+1) for each sample: large, but still dependent on the length; for ablations.
    case length(Double)

    /// `0.001`, `auto=K`, `linear:FROM:TO:STEPS` or `length=K`; nil for any other text.
    package init?(_ text: String) {
        if let value = Double(text) {
            self = .fixed(value)
        } else if text.hasPrefix("auto="), let factor = Double(text.dropFirst(5)) {
            self = .auto(factor)
        } else if text.hasPrefix("length="), let scale = Double(text.dropFirst(7)) {
            self = .length(scale)
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0] == "linear", let from = Double(parts[1]), let to = Double(parts[2]),
                let steps = Int(parts[3])
            else { return nil }
            self = .linear(from: from, to: to, steps: steps)
        }
        guard (try? check()) != nil else { return nil }
    }

    package var text: String {
        switch self {
        case .fixed(let value): "\(value)"
        case .auto(let factor): "auto=\(factor)"
        case .linear(let from, let to, let steps): "linear:\(from):\(to):\(steps)"
        case .length(let scale): "length=\(scale)"
        }
    }

    init?(json: JSON) {
        guard let text = json.double.map({ "\($0)" }) ?? json.string else { return nil }
        self.init(text)
    }

    var json: JSON {
        if case .fixed(let value) = self { return .double(value) }
        return .string(text)
    }

    package static let requirement =
        "a number that is not negative, auto=K or length=K with K > 0, or linear:FROM:TO:STEPS"

    func check() throws {
        let isValid =
            switch self {
            case .fixed(let value): value >= 0 && value.isFinite
            case .auto(let factor), .length(let factor): factor > 0 && factor.isFinite
            case .linear(let from, let to, let steps):
                from >= 0 && from.isFinite && to >= 0 && to.isFinite && (1...1 << 40).contains(steps)
            }
        try OptionError.require(isValid, "--alpha must be \(Self.requirement)")
    }

    /// The weight at a step, counted from 1; nil for `auto`, which depends on rollouts.
    func weight(step: Int) -> PolicyLoss.ControlWeight? {
        switch self {
        case .fixed(let value): .constant(value)
        case .auto: nil
        case .linear(let from, let to, let steps):
            .constant(from + (to - from) * min(1, Double(step - 1) / Double(steps)))
        case .length(let scale): .inverseLength(scale)
        }
    }
}

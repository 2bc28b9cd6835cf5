import OrderedJSON

extension RunCurve {
    /// The share of responses in think mode at each step; empty if the run did not log the counts.
    package var thinkShare: [Double] { Self.thinkShare { self[$0] } }

    /// The share of thinking at each step of the run that has these metrics.
    static func thinkShare(_ metric: (String) -> [Double]?) -> [Double] {
        guard let think = metric("num_think"), let short = metric("num_short") else { return [] }
        return zip(think, short).map { $0 + $1 > 0 ? $0 / ($0 + $1) : .nan }
    }

    /// The step at which the share of thinking peaked or bottomed out.
    ///
    /// This is the extremum of the smoothed share, if both ends of the curve lie at least five percentage points below
    /// a peak or above a low.
    package var turn: (step: Int, share: Double, isPeak: Bool)? {
        let shares = Self.smoothed(thinkShare)
        guard shares.count >= 5, let first = shares.first, let last = shares.last else { return nil }
        let highest = shares.indices.max { shares[$0] < shares[$1] } ?? 0
        let lowest = shares.indices.min { shares[$0] < shares[$1] } ?? 0
        let rise = min(shares[highest] - first, shares[highest] - last)
        let fall = min(first - shares[lowest], last - shares[lowest])
        guard max(rise, fall) >= 0.05 else { return nil }
        let index = rise >= fall ? highest : lowest
        return index < steps.count ? (steps[index], shares[index], rise >= fall) : nil
    }

    /// The step from which one mode makes up over 98 % of the responses until the end; nil if there is none.
    package var collapse: (step: Int, mode: String)? {
        let shares = Self.smoothed(thinkShare)
        guard let last = shares.last, last > 0.98 || last < 0.02 else { return nil }
        let isThink = last > 0.98
        var index = shares.count - 1
        while index > 0, isThink ? shares[index - 1] > 0.98 : shares[index - 1] < 0.02 { index -= 1 }
        return index < steps.count ? (steps[index], isThink ? "think" : "short") : nil
    }

    /// The centred running mean; a missing value repeats the one before it.
    package static func smoothed(_ values: [Double], window: Int = 5) -> [Double] {
        let firstFinite = values.first(where: \.isFinite)
        guard var last = firstFinite else { return [] }
        let filled = values.map { value in
            if value.isFinite { last = value }
            return last
        }
        return filled.indices.map { index in
            let from = max(0, index - window / 2)
            let to = min(filled.count, index + window / 2 + 1)
            return filled[from..<to].reduce(0, +) / Double(to - from)
        }
    }

    /// The curve as `--json` prints it.
    package var json: JSON {
        var json: JSON = [
            "kind": "curve", "path": .string(path), "run": .string(run),
            "states": .array(
                states.map {
                    [
                        "path": .string($0.path), "step": .integer($0.step), "kind": .string($0.kind.rawValue),
                        "digest": $0.digest.map { .string($0) } ?? .null,
                    ]
                }),
            "steps": .array(steps.map { .integer($0) }),
            "series": .array(
                series.map { ["name": .string($0.name), "values": .array($0.values.map { .double($0) })] }),
            "turn": turn.map { ["step": .integer($0.step), "think_share": .double($0.share)] } ?? .null,
            "collapse": collapse.map { ["step": .integer($0.step), "mode": .string($0.mode)] } ?? .null,
            "story": story.json, "preference": .null, "weights": weights?.json ?? .null,
        ]
        if let preference {
            json["preference"] = [
                "modes": .array([.string(preference.modes.think), .string(preference.modes.short)]),
                "steps": .array(preference.steps.map { .integer($0) }),
                "p_think": .array(preference.meanThink().map { .double($0) }),
                "levels": .array(
                    preference.levels.map { level in
                        [
                            "level": .string(level),
                            "p_think": .array(preference.meanThink(level: level).map { .double($0) }),
                        ]
                    }),
                "histograms": .array(preference.histograms().map { .array($0.map { .integer($0) }) }),
            ]
        }
        return json
    }
}

import OrderedJSON

extension BehaviorComparison {
    /// The part of the report of `ckpt diff --probe --json` besides the mode preference.
    package var json: JSON {
        ["divergence": divergence.map(Self.json) ?? .null, "notes": .array(notes.map { .string($0) })]
    }

    private static func json(_ divergence: Divergence) -> JSON {
        func top(_ top: (text: String, probability: Double)) -> JSON {
            ["token": .string(top.text), "probability": .double(top.probability)]
        }
        return [
            "texts": .integer(divergence.textCount), "places": .integer(divergence.placeCount),
            "kl_mean": .double(divergence.mean), "kl_p95": .double(divergence.percentile95),
            "kl_max": .double(divergence.largest), "kl_first_response": .double(divergence.meanAtFirstResponse),
            "top_agreement": .double(divergence.topAgreement), "loss_a": .double(divergence.lossA),
            "loss_b": .double(divergence.lossB), "entropy_a": .double(divergence.entropyA),
            "entropy_b": .double(divergence.entropyB),
            "worst": .array(
                divergence.worst.map { place in
                    [
                        "kl": .double(place.divergence), "context": .string(place.context),
                        "following": place.following.map { .string($0) } ?? .null, "top_a": top(place.topA),
                        "top_b": top(place.topB), "first_response": .bool(place.isFirstResponse),
                    ]
                }),
        ]
    }
}

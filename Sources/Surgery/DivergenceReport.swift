import OrderedJSON

/// How far adding tokens moved the model's answers, before any training.
public struct DivergenceReport: Sendable {
    /// KL(before ‖ after) in nats over the tokens the model had before.
    public struct Place: Sendable {
        public let positionCount: Int
        public let mean: Double
        public let largest: Double
        /// Mean probability that the new rows take together.
        public let newTokenProbability: Double

        var json: JSON {
            [
                "positions": .integer(positionCount), "kl_mean": .double(mean), "kl_max": .double(largest),
                "new_token_probability": .double(newTokenProbability),
            ]
        }
    }

    /// At the place where a control token would be chosen.
    public let firstResponsePosition: Place
    /// Inside the questions and in plain text.
    public let elsewhere: Place
    /// log(1 + new rows / rows before): what `k` rows of average logit would cost.
    public let meanRowBound: Double
    /// Mean probability of each new token at the first response position.
    public let controlProbabilities: [(token: String, probability: Double)]

    var json: JSON {
        [
            "first_response_position": firstResponsePosition.json, "elsewhere": elsewhere.json,
            "mean_row_bound": .double(meanRowBound),
            "control_probabilities": .array(
                controlProbabilities.map { ["token": .string($0.token), "probability": .double($0.probability)] }),
        ]
    }
}

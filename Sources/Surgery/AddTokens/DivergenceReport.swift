import OrderedJSON

/// The divergence over a set of positions: KL(before ‖ after) in nats over the tokens that the model had before.
package struct PositionStatistics: Sendable {
    package let positionCount: Int
    package let mean: Double
    package let largest: Double
    /// The mean total probability of the new rows.
    package let newTokenProbability: Double

    var json: JSON {
        [
            "positions": .integer(positionCount), "kl_mean": .double(mean), "kl_max": .double(largest),
            "new_token_probability": .double(newTokenProbability),
        ]
    }
}

/// How far adding tokens moved the model's answers before any training.
package struct DivergenceReport: Sendable {
    /// At the first token of the response, where the mode is chosen.
    package let firstResponsePosition: PositionStatistics
    /// Inside the questions and in plain text.
    package let elsewhere: PositionStatistics
    /// log(1 + new rows / rows before), the divergence that new rows of average logit would cause.
    package let meanRowBound: Double
    /// The mean probability of each new token at the first response position.
    package let controlProbabilities: [(token: String, probability: Double)]

    var json: JSON {
        [
            "first_response_position": firstResponsePosition.json, "elsewhere": elsewhere.json,
            "mean_row_bound": .double(meanRowBound),
            "control_probabilities": .array(
                controlProbabilities.map { ["token": .string($0.token), "probability": .double($0.probability)] }),
        ]
    }
}

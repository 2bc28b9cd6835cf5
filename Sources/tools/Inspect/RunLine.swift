import OrderedJSON

/// A run in the list of `ckpt runs`.
protocol RunLine {
    var path: String { get }
    /// What trained it.
    var stage: String { get }
    /// For example "60 of 220".
    var progress: String { get }
    /// How the run ended, in a word.
    var endingWord: String { get }
    /// Seconds since 1970.
    var changed: Double { get }
    /// The most informative metrics of the last step.
    var metrics: [String] { get }
    var json: JSON { get }
}

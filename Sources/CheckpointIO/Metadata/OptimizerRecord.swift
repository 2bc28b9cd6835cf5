/// AdamW's scalars; its moments are the tensors of `TensorGroup.optimizerM` and `.optimizerV`.
public struct OptimizerRecord: Sendable, Equatable {
    /// The number of updates, on which the bias correction depends.
    public var step: Int
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// The number format of the moments of matrices, `8bit`; nil for that of their datasets.
    public var moments: String?

    public init(step: Int, beta1: Double, beta2: Double, epsilon: Double, moments: String? = nil) {
        self.step = step
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.moments = moments
    }
}

extension OptimizerRecord {
    init?(from records: RecordReader) throws {
        guard records.groups.contains("/optimizer") else { return nil }
        guard let betas = records.values["/optimizer@betas"]?.doubles, betas.count == 2,
            let epsilon = records.values["/optimizer@eps"]?.double
        else { throw records.damaged("/optimizer", "lacks betas or eps") }
        guard betas.allSatisfy({ (0..<1).contains($0) }), epsilon >= 0, epsilon.isFinite else {
            throw records.damaged("/optimizer", "has betas outside 0..<1, or an eps that is negative or not finite")
        }
        let moments = records.values["/optimizer@moments"]
        guard moments == nil || moments?.text == "8bit" else {
            throw records.unsupported("/optimizer", "has moments in a format other than 8bit")
        }
        self.init(
            step: try records.counter("/optimizer@step"), beta1: betas[0], beta2: betas[1], epsilon: epsilon,
            moments: moments?.text)
    }

    func write(to records: inout RecordWriter) {
        for path in ["/optimizer", "/optimizer/m", "/optimizer/v"] { records.group(path) }
        records.attribute("/optimizer", "step", .integer(step))
        records.attribute("/optimizer", "betas", .doubles([beta1, beta2]))
        records.attribute("/optimizer", "eps", .double(epsilon))
        if let moments { records.attribute("/optimizer", "moments", .text(moments)) }
    }
}

/// The mean of the finite values; NaN if there are none.
func average(_ values: [Double]) -> Double {
    let finite = values.filter(\.isFinite)
    return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
}

/// The Euclidean norm of a row.
func euclideanNorm(_ row: [Float]) -> Float {
    Float(row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
}

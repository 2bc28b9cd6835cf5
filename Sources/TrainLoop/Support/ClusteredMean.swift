/// A mean over observations that come in clusters, as the samples of one problem do, with its standard error.
///
/// Samples of one problem resemble each other, so a thousand of them on ten problems say little more about other
/// problems than ten. With n observations x in G clusters c, x̄ their mean over all and e_c = Σ_{i∈c} (x_i − x̄),
///
///     SE = sqrt( G/(G−1) · Σ_c e_c² ) / n
///
/// the cluster-robust error of an intercept (Liang and Zeger 1986; for evaluations of language models Miller 2024,
/// arXiv 2411.00640, equation 4) with the usual factor for few clusters. Where all clusters are equally large it is the
/// standard deviation (ddof 1) of the clusters' means divided by √G.
public struct ClusteredMean: Sendable, Equatable {
    /// NaN where there are no observations.
    public var mean: Double
    /// NaN with fewer than two clusters, which say nothing about a third.
    public var standardError: Double
    /// Observations.
    public var count: Int

    /// - Parameter clusters: the sum over a cluster's observations and their number; those without any count for
    ///   nothing.
    public init(_ clusters: some Sequence<(sum: Double, count: Int)>) {
        let members = clusters.filter { $0.count > 0 }
        count = members.reduce(0) { $0 + $1.count }
        let mean = count == 0 ? .nan : members.reduce(0) { $0 + $1.sum } / Double(count)
        self.mean = mean
        guard members.count > 1 else {
            standardError = .nan
            return
        }
        let squares = members.reduce(0) { sum, cluster in
            let residual = cluster.sum - Double(cluster.count) * mean
            return sum + residual * residual
        }
        let groups = Double(members.count)
        standardError = (groups / (groups - 1) * squares).squareRoot() / Double(count)
    }

    /// One observation a cluster.
    public init(values: some Sequence<Double>) { self.init(values.lazy.map { (sum: $0, count: 1) }) }
}

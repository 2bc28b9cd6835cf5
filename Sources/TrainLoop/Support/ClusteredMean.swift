/// The mean of clustered observations, such as several samples per problem, with its standard error.
///
/// Samples of one problem are correlated, so a thousand samples of ten problems carry little more information than ten.
/// With n observations x in G clusters c, overall mean x̄ and e_c = Σ_{i∈c} (x_i − x̄),
///
///     SE = sqrt( G/(G−1) · Σ_c e_c² ) / n
///
/// This is the cluster-robust error of an intercept (Liang and Zeger 1986; for evaluations of language models Miller
/// 2024, arXiv 2411.00640, equation 4) with the usual correction for few clusters. If all clusters have the same size,
/// it equals the standard deviation (ddof 1) of the cluster means divided by √G.
package struct ClusteredMean: Sendable, Equatable {
    /// NaN without observations.
    package var mean: Double
    /// NaN with fewer than two clusters.
    package var standardError: Double
    /// The number of observations.
    package var count: Int

    /// - Parameter clusters: sum and number of each cluster's observations; empty clusters are ignored.
    package init(_ clusters: some Sequence<(sum: Double, count: Int)>) {
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

    /// Every value is a cluster.
    package init(values: some Sequence<Double>) { self.init(values.lazy.map { (sum: $0, count: 1) }) }
}

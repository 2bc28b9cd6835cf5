import Ranks

extension RankGroup {
    /// The values for `0..<count`, of which each rank makes every one whose index has its rank as remainder.
    ///
    /// - Throws: `RankError`, and errors of `make`.
    func share<Value: Codable>(_ count: Int, _ make: (_ indices: [Int]) throws -> [Value]) throws -> [Value] {
        let all = try gather(try make(Array(stride(from: rank, to: count, by: self.count))))
        return (0..<count).map { all[$0 % self.count][$0 / self.count] }
    }
}

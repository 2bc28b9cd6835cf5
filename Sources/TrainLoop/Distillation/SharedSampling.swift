import Ranks
import Synchronization
import Transformer

/// The sampling of checkpoints as teachers, which all ranks share: rank 0 asks the questions, and the others serve it.
package final class SharedSampling: Sendable {
    package let ranks: RankGroup
    /// The samplers of the teachers, opened in the same order on all ranks.
    private let samplers = Mutex<[@Sendable ([GenerationRequest]) -> [Completion]]>([])
    /// Held while a batch is exchanged, because two teachers may have one at a time.
    private let turn = Mutex<Void>(())

    package init(_ ranks: RankGroup) { self.ranks = ranks }

    /// A batch of questions to a teacher; without questions, the end of the work.
    private struct Batch: Codable {
        var teacher = 0
        var prompts: [[Int]] = []
        var keys: [Int] = []
        var forcedToken: Int?
    }

    /// Adds a teacher; returns its number.
    func add(_ sampler: @escaping @Sendable ([GenerationRequest]) -> [Completion]) -> Int {
        samplers.withLock { samplers in
            samplers.append(sampler)
            return samplers.count - 1
        }
    }

    /// Samples an answer to each request of a teacher, on all ranks; called on rank 0.
    ///
    /// - Throws: `RankError`.
    func sample(teacher: Int, _ requests: [GenerationRequest]) throws -> [Completion] {
        let batch = Batch(
            teacher: teacher, prompts: requests.map(\.prompt), keys: requests.map(\.promptKey),
            forcedToken: requests.first?.forcedFirstToken)
        return try turn.withLock { _ in try answer(try ranks.fromRoot { batch }) }
    }

    private func answer(_ batch: Batch) throws -> [Completion] {
        let sampler = samplers.withLock { $0[batch.teacher] }
        return try ranks.share(batch.prompts.count) { own in
            sampler(
                own.map {
                    GenerationRequest(
                        prompt: batch.prompts[$0], promptKey: batch.keys[$0], sampleCount: 1,
                        forcedFirstToken: batch.forcedToken)
                })
        }
    }

    /// Answers the batches of rank 0 until there are no more; called on the other ranks.
    ///
    /// - Throws: `RankError`.
    package func serve() throws {
        while true {
            let batch = try ranks.fromRoot { Batch() }
            if batch.prompts.isEmpty { return }
            _ = try answer(batch)
        }
    }

    /// Ends the work of the other ranks; called on rank 0.
    ///
    /// - Throws: `RankError`.
    package func end() throws {
        guard ranks.count > 1 else { return }
        _ = try turn.withLock { _ in try ranks.fromRoot { Batch() } }
    }
}

import CheckpointIO
import OrderedJSON
import Synchronization
import Transformer

/// A checkpoint as a teacher on this machine; its mode is forced if it has control tokens.
///
/// Concurrent questions are answered in batches.
package actor LocalTeacher: Teacher {
    package nonisolated let settings: JSON
    private nonisolated let sampling: TeacherSampling
    private nonisolated let reader: PromptReader
    /// The control token of the mode; nil if the checkpoint has no control tokens.
    private nonisolated let forcedToken: Int?
    private nonisolated let generator: Generator
    private nonisolated let shared: SharedSampling
    /// The number of this teacher in `shared`.
    private nonisolated let number = Mutex(0)
    /// The most tokens of a prompt with its answer.
    private nonisolated let positions: Int
    private nonisolated let written: Mutex<TeacherProgress>
    private nonisolated let isStopping = Atomic(false)

    private struct Waiting {
        let prompt: [Int]
        let index: Int
        let continuation: CheckedContinuation<ModelReply, any Error>
    }

    private var waiting: [Waiting] = []
    private var isBusy = false
    /// The maximum number of answers sampled together.
    private static let batch = 32

    /// The largest number of tokens of an answer where none is given: 2,048 for a long and 512 for a short one, and at
    /// most a half and a quarter of the model's positions.
    package static func defaultLimit(_ mode: Mode, positions: Int) -> Int {
        mode == .think ? min(2048, max(positions / 2, 1)) : min(512, max(positions / 4, 1))
    }

    /// A teacher with the parameters of `file`, which two teachers may share.
    ///
    /// - Parameters:
    ///   - file: the checkpoint.
    ///   - generator: generates the answers with the parameters of `file`.
    ///   - mode: the mode of the answers.
    ///   - sampling: how answers are sampled.
    ///   - allowsLong: whether answers may exceed the model's positions.
    ///   - shared: the ranks that sample.
    /// - Throws: `ControlTokenError` and `PromptError` if the checkpoint cannot answer.
    package init(
        _ file: CheckpointFile, generator: Generator, mode: Mode, sampling: TeacherSampling, allowsLong: Bool = false,
        shared: SharedSampling = SharedSampling(.alone)
    ) throws {
        self.sampling = sampling
        reader = try PromptReader(file.metadata)
        // A PromptEncoder also checks that the chat template leaves the choice of the mode open.
        forcedToken = reader.control == nil ? nil : try PromptEncoder(file.metadata).control[mode]
        self.generator = generator
        self.shared = shared
        positions = allowsLong ? .max : reader.positions
        written = Mutex(TeacherProgress(limit: sampling.maximumTokens))
        settings = .object(
            JSONObject(
                [("kind", "checkpoint"), ("digest", .string(file.digest))] + sampling.json
                    + (generator.cachePrecision == .fp32
                        ? [] : [("cache", .string(generator.cachePrecision.rawValue))])))
        let own = shared.add { [self] in complete($0) }
        number.withLock { $0 = own }
    }

    package nonisolated var progress: TeacherProgress? { written.withLock { $0 } }

    package func answer(_ problem: Problem, at index: Int) async throws -> ModelReply {
        let prompt: [Int]
        do { prompt = try reader.prompt(for: sampling.message(for: problem), after: problem.context) } catch {
            return .refused(reason: "\(error)")
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                waiting.append(Waiting(prompt: prompt, index: index, continuation: continuation))
                if !isBusy {
                    isBusy = true
                    Task { await work() }
                }
            }
        } onCancel: {
            // A question is cancelled only when the run ends.
            isStopping.store(true, ordering: .relaxed)
        }
    }

    private func work() async {
        while !waiting.isEmpty {
            // Lets further questions arrive before the batch is formed.
            await Task.yield()
            let batch = Array(waiting.prefix(Self.batch))
            waiting.removeFirst(batch.count)
            let requests = batch.map {
                GenerationRequest(
                    prompt: $0.prompt, promptKey: $0.index, sampleCount: 1, forcedFirstToken: forcedToken)
            }
            let result = await Task.detached { Result { try self.sample(requests) } }.value
            for (index, one) in batch.enumerated() {
                do {
                    guard let reply = try result.get()[index] else { throw CancellationError() }
                    one.continuation.resume(returning: reply)
                } catch {
                    one.continuation.resume(throwing: error)
                }
            }
        }
        isBusy = false
    }

    /// Samples an answer to each request on all ranks; nil if it was cut because the run ends.
    private nonisolated func sample(_ requests: [GenerationRequest]) throws -> [ModelReply?] {
        try zip(requests, shared.sample(teacher: number.withLock { $0 }, requests)).map { request, completion in
            let tokens = completion.tokens
            let isWhole = tokens.last.map { reader.stopTokens.contains($0) } ?? false
            guard isWhole || isFull(request, tokens.count) || !isStopping.load(ordering: .relaxed) else { return nil }
            return .answer(
                ModelAnswer(text: reader.text(of: tokens), isTruncated: !isWhole, tokenCount: tokens.count))
        }
    }

    /// Samples an answer to each request on this rank.
    private nonisolated func complete(_ requests: [GenerationRequest]) -> [Completion] {
        var counts = [Int](repeating: 0, count: requests.count)
        return generator.generate(
            requests,
            SamplingOptions(
                temperature: Float(sampling.temperature), topP: Float(sampling.topP),
                maximumNewTokens: sampling.maximumTokens, stopTokens: reader.stopTokens, seed: sampling.seed),
            onToken: { request, _, token in
                counts[request] += 1
                let isFull = self.isFull(requests[request], counts[request])
                let isLast = isFull || self.reader.stopTokens.contains(token)
                self.written.withLock { written in
                    written.tokens += 1
                    guard isLast else { return }
                    written.answers += 1
                    written.answerTokens += counts[request]
                }
                return !isFull && !self.isStopping.load(ordering: .relaxed)
            }
        ).map { $0[0] }
    }

    /// Whether an answer of so many tokens must end.
    private nonisolated func isFull(_ request: GenerationRequest, _ count: Int) -> Bool {
        count >= sampling.maximumTokens || request.prompt.count + count >= positions
    }
}

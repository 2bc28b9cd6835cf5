import CheckpointIO
import OrderedJSON
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
    private let generator: Generator

    private struct Waiting {
        let prompt: [Int]
        let index: Int
        let continuation: CheckedContinuation<TeacherReply, Never>
    }

    private var waiting: [Waiting] = []
    private var isBusy = false
    /// The maximum number of answers sampled together.
    private static let batch = 32

    /// A teacher with the parameters of `file`, which two teachers may share.
    ///
    /// - Throws: `ControlTokenError` and `PromptError` if the checkpoint cannot answer.
    package init(_ file: CheckpointFile, parameters: ModelParameters, mode: Mode, sampling: TeacherSampling) throws {
        self.sampling = sampling
        reader = try PromptReader(file.metadata)
        // A PromptEncoder also checks that the chat template leaves the choice of the mode open.
        forcedToken = reader.control == nil ? nil : try PromptEncoder(file.metadata).control[mode]
        generator = Generator(parameters)
        settings = .object(
            JSONObject([("kind", "checkpoint"), ("digest", .string(file.digest))] + sampling.json))
    }

    package func answer(_ problem: Problem, at index: Int) async throws -> TeacherReply {
        let prompt: [Int]
        do { prompt = try reader.prompt(for: sampling.message(for: problem), after: problem.context) } catch {
            return .refused(reason: "\(error)")
        }
        return await withCheckedContinuation { continuation in
            waiting.append(Waiting(prompt: prompt, index: index, continuation: continuation))
            if !isBusy {
                isBusy = true
                Task { await work() }
            }
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
            let generator = generator
            let replies = await Task.detached { self.sample(requests, generator) }.value
            for (one, reply) in zip(batch, replies) { one.continuation.resume(returning: reply) }
        }
        isBusy = false
    }

    private nonisolated func sample(_ requests: [GenerationRequest], _ generator: Generator) -> [TeacherReply] {
        let completions = generator.generate(
            requests,
            SamplingOptions(
                temperature: Float(sampling.temperature), topP: Float(sampling.topP),
                maximumNewTokens: sampling.maximumTokens, stopTokens: reader.stopTokens, seed: sampling.seed))
        return completions.map { group in
            let tokens = group.first?.tokens ?? []
            return .answer(
                TeacherAnswer(
                    text: reader.text(of: tokens),
                    isTruncated: tokens.last.map { !reader.stopTokens.contains($0) } ?? true,
                    tokenCount: tokens.count))
        }
    }
}

import CheckpointIO
import OrderedJSON
import Transformer

/// A checkpoint as a teacher on this machine; its mode is forced if it has control tokens.
///
/// Concurrent questions are answered in batches.
package actor LocalTeacher: Teacher {
    package nonisolated let settings: JSON
    private nonisolated let mode: Mode
    private nonisolated let sampling: TeacherSampling
    private nonisolated let encoder: Encoder
    private let generator: Generator

    private enum Encoder: Sendable {
        case plain(PromptReader)
        case modes(PromptEncoder)
    }

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
        self.mode = mode
        self.sampling = sampling
        let reader = try PromptReader(file.metadata)
        encoder = reader.control == nil ? .plain(reader) : .modes(try PromptEncoder(file.metadata))
        generator = Generator(parameters)
        settings = .object(
            JSONObject([("kind", "checkpoint"), ("digest", .string(file.digest))] + sampling.json))
    }

    package func answer(_ problem: Problem, at index: Int) async throws -> TeacherReply {
        let message = sampling.message(for: problem)
        let prompt: [Int]
        do {
            switch encoder {
            case .plain(let reader): prompt = try reader.prompt(for: message)
            case .modes(let encoder): prompt = try encoder.prompt(for: message)
            }
        } catch { return .refused(reason: "\(error)") }
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
            let (generator, encoder, mode, sampling) = (generator, encoder, mode, sampling)
            let asks = batch.map { ($0.prompt, $0.index) }
            let replies = await Task.detached { Self.sample(asks, generator, encoder, mode, sampling) }.value
            for (one, reply) in zip(batch, replies) { one.continuation.resume(returning: reply) }
        }
        isBusy = false
    }

    private static func sample(
        _ asks: [(prompt: [Int], index: Int)], _ generator: Generator, _ encoder: Encoder, _ mode: Mode,
        _ sampling: TeacherSampling
    ) -> [TeacherReply] {
        let stopTokens: Set<Int>
        var forced: Int?
        switch encoder {
        case .plain(let reader): stopTokens = reader.stopTokens
        case .modes(let encoder):
            stopTokens = encoder.stopTokens
            forced = encoder.control[mode]
        }
        let requests = asks.map {
            GenerationRequest(prompt: $0.prompt, promptKey: $0.index, sampleCount: 1, forcedFirstToken: forced)
        }
        let completions = generator.generate(
            requests,
            SamplingOptions(
                temperature: Float(sampling.temperature), topP: Float(sampling.topP),
                maximumNewTokens: sampling.maximumTokens, stopTokens: stopTokens, seed: sampling.seed))
        return completions.map { group in
            let tokens = group.first?.tokens ?? []
            let text =
                switch encoder {
                case .plain(let reader): reader.text(of: tokens)
                case .modes(let encoder): encoder.text(of: tokens)
                }
            return .answer(
                TeacherAnswer(
                    text: text, isTruncated: tokens.last.map { !stopTokens.contains($0) } ?? true,
                    tokenCount: tokens.count))
        }
    }
}

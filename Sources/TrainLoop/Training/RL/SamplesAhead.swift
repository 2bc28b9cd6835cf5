import Dispatch
import Parallel
import Synchronization
import Transformer

/// A step's responses that servers sampled during the step before, from the weights before its update.
struct SamplesAhead {
    let responses: [[ServerSampler.Response]]
    /// How far the servers are from the model with the present weights.
    let check: SamplerComparison
}

/// Responses that servers are sampling while the model is trained.
final class PendingSamples: Sendable {
    private let result = Mutex<Result<[[ServerSampler.Response]], any Error>?>(nil)
    private let end = DispatchSemaphore(value: 0)

    /// Starts sampling on a new thread.
    ///
    /// - Throws: `ThreadError`.
    init(
        _ sampler: ServerSampler, _ requests: [GenerationRequest], _ sampling: SamplingOptions, shortLimit: Int?,
        control: ControlTokens
    ) throws {
        try WorkerThread.startDetached(name: "ahead") { [self] in
            let result = Result {
                try sampler.sample(requests, sampling, shortLimit: shortLimit, control: control, onFinished: { _ in })
            }
            self.result.withLock { $0 = result }
            end.signal()
        }
    }

    /// Waits for the responses; call it once.
    ///
    /// - Throws: `SamplingFailure`.
    func wait() throws -> [[ServerSampler.Response]] {
        end.wait()
        return try result.withLock { try $0?.get() ?? [] }
    }
}

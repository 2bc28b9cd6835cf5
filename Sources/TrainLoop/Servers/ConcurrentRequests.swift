import Dispatch
import Synchronization

/// Asks a server many questions at once, for callers that are not asynchronous.
package enum ConcurrentRequests {
    /// Sends a request for each item, in order, and passes each result on as soon as it arrives.
    ///
    /// The calling thread waits. It must not be one of the threads that run tasks, since requests need these.
    ///
    /// - Parameters:
    ///   - items: what is asked about.
    ///   - limit: the number of questions in progress at once.
    ///   - isStopping: checked several times a second; true cancels the questions in progress.
    ///   - ask: asks one question.
    ///   - receive: takes the result for the item of this index, on the calling thread.
    /// - Throws: the first error of `ask` or `receive`, which cancels all other questions; `CancellationError` after a
    ///   stop.
    package static func forEach<Item: Sendable, Answer: Sendable>(
        _ items: [Item], atOnce limit: Int, isStopping: () -> Bool = { false },
        ask: @escaping @Sendable (Item) async throws -> Answer, receive: (_ index: Int, Answer) throws -> Void
    ) throws {
        let mailbox = Mailbox<(index: Int, answer: Answer)>()
        let task = Task.detached {
            do {
                try await withThrowingTaskGroup(of: (index: Int, answer: Answer).self) { group in
                    var next = 0
                    var running = 0
                    while next < items.count || running > 0 {
                        while next < items.count, running < limit {
                            let index = next
                            group.addTask { (index, try await ask(items[index])) }
                            (next, running) = (next + 1, running + 1)
                        }
                        if let result = try await group.next() { mailbox.put(result) }
                        running -= 1
                    }
                }
                mailbox.close(with: nil)
            } catch { mailbox.close(with: error) }
        }
        defer { task.cancel() }
        while true {
            if isStopping() { throw CancellationError() }
            switch mailbox.wait(milliseconds: 100) {
            case .item(let result): try receive(result.index, result.answer)
            case .nothing: continue
            case .end(let error):
                if let error { throw error }
                return
            }
        }
    }

    /// Waits for one asynchronous result, under the same conditions.
    package static func wait<Answer: Sendable>(
        isStopping: () -> Bool = { false }, for body: @escaping @Sendable () async throws -> Answer
    ) throws -> Answer {
        var answer: Answer?
        try forEach([()], atOnce: 1, isStopping: isStopping, ask: { _ in try await body() }) { answer = $1 }
        guard let answer else { throw CancellationError() }
        return answer
    }
}

/// Results on their way from tasks to a thread that waits.
private final class Mailbox<Item: Sendable>: Sendable {
    enum Event {
        case item(Item)
        /// The time is over.
        case nothing
        /// No more items come, after this error if there is one.
        case end((any Error)?)
    }

    private struct State {
        var items: [Item] = []
        var isClosed = false
        var error: (any Error)?
    }

    private let state = Mutex(State())
    /// Counts the items that wait, and the end.
    private let count = DispatchSemaphore(value: 0)

    func put(_ item: Item) {
        state.withLock { $0.items.append(item) }
        count.signal()
    }

    func close(with error: (any Error)?) {
        state.withLock { ($0.isClosed, $0.error) = (true, error) }
        count.signal()
    }

    func wait(milliseconds: Int) -> Event {
        guard count.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else { return .nothing }
        return state.withLock { state in
            state.items.isEmpty ? .end(state.error) : .item(state.items.removeFirst())
        }
    }
}

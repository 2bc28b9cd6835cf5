import Foundation
import FoundationNetworking

/// The reply of a server.
struct HTTPReply: Sendable {
    var status: Int
    var retryAfter: String?
    var location: String?
    var body: [UInt8]
}

/// Why an HTTP request has no reply.
enum HTTPError: Error, CustomStringConvertible {
    case timeout(seconds: Double)
    case tooLong
    case connection(String)

    var description: String {
        switch self {
        case .timeout(let seconds): "no answer within \(Int(seconds.rounded(.up))) s"
        case .tooLong: "the reply is over 64 MiB"
        case .connection(let reason): reason
        }
    }
}

/// An HTTP client that limits the size and the time of replies.
///
/// It does not follow redirects, which would pass the key on to another server.
final class HTTPClient: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private struct Exchange {
        var continuation: CheckedContinuation<HTTPReply, any Error>
        var body: [UInt8] = []
    }

    private static let maximumBody = 64 << 20
    private let lock = NSLock()
    private var exchanges: [Int: Exchange] = [:]
    /// Tasks cancelled before their continuation was stored.
    private var cancelled: Set<Int> = []
    // Set once in init, because self is the delegate.
    private var session: URLSession?

    /// - Parameter connections: the maximum number per server.
    init(connections: Int) {
        super.init()
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpMaximumConnectionsPerHost = connections
        configuration.urlCache = nil
        configuration.httpCookieStorage = nil
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: BoundedQueue(limit: 64))
    }

    /// Ends the session, which retains its delegate until then.
    func close() { session?.invalidateAndCancel() }

    /// Sends a request; `timeout` in seconds covers the whole exchange.
    ///
    /// - Throws: `HTTPError` or `CancellationError`.
    func send(_ request: URLRequest, timeout: Double) async throws -> HTTPReply {
        var request = request
        // The session's timeout covers idle time, the one below the whole exchange.
        request.timeoutInterval = timeout + 5
        guard let task = session?.dataTask(with: request) else { throw CancellationError() }
        let watch = Task {
            try await Task.sleep(for: .seconds(timeout))
            self.end(task, with: HTTPError.timeout(seconds: timeout))
        }
        defer { watch.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isOver = lock.withLock {
                    if cancelled.remove(task.taskIdentifier) != nil { return true }
                    exchanges[task.taskIdentifier] = Exchange(continuation: continuation)
                    return false
                }
                if isOver { continuation.resume(throwing: CancellationError()) } else { task.resume() }
            }
        } onCancel: {
            let isWaitedFor = lock.withLock {
                if exchanges[task.taskIdentifier] != nil { return true }
                cancelled.insert(task.taskIdentifier)
                return false
            }
            if isWaitedFor { end(task, with: CancellationError()) }
        }
    }

    /// Fails an exchange: the first of completion, time-out and cancellation wins; later ones are ignored.
    private func end(_ task: URLSessionTask, with error: any Error) {
        take(task)?.continuation.resume(throwing: error)
        Self.cancel(task)
    }

    /// Cancels a task on another thread, since that waits for the session's queue, which may wait for the caller's.
    private static func cancel(_ task: URLSessionTask) { DispatchQueue.global().async { task.cancel() } }

    private func take(_ task: URLSessionTask) -> Exchange? {
        lock.withLock { exchanges.removeValue(forKey: task.taskIdentifier) }
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let isTooLong = lock.withLock {
            guard let count = exchanges[dataTask.taskIdentifier]?.body.count else { return false }
            if count + data.count > Self.maximumBody { return true }
            exchanges[dataTask.taskIdentifier]?.body.append(contentsOf: data)
            return false
        }
        if isTooLong { end(dataTask, with: HTTPError.tooLong) }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // The handler is never called: if the task has ended meanwhile, Foundation ends the program.
        take(task)?.continuation.resume(returning: HTTPReply(response, body: []))
        Self.cancel(task)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        guard let exchange = take(task) else { return }
        if let error {
            let reason = (error as NSError).localizedDescription.lowercasedStart
            exchange.continuation.resume(throwing: HTTPError.connection(reason))
        } else if let response = task.response as? HTTPURLResponse {
            exchange.continuation.resume(returning: HTTPReply(response, body: exchange.body))
        } else {
            exchange.continuation.resume(throwing: HTTPError.connection("the reply is not HTTP"))
        }
    }
}

extension HTTPReply {
    fileprivate init(_ response: HTTPURLResponse, body: [UInt8]) {
        self.init(
            status: response.statusCode, retryAfter: response.value(forHTTPHeaderField: "Retry-After"),
            location: response.value(forHTTPHeaderField: "Location"), body: body)
    }
}

/// A serial queue whose callers wait while `limit` operations are pending.
///
/// URLSession queues every part of a reply, so that a server which sends faster than the parts are taken would fill the
/// memory.
private final class BoundedQueue: OperationQueue, @unchecked Sendable {
    private let places: DispatchSemaphore

    init(limit: Int) {
        places = DispatchSemaphore(value: limit)
        super.init()
        maxConcurrentOperationCount = 1
    }

    override func addOperation(_ block: @escaping @Sendable () -> Void) {
        places.wait()
        super.addOperation { [places] in
            block()
            places.signal()
        }
    }
}

extension String {
    fileprivate var lowercasedStart: String { prefix(1).lowercased() + dropFirst() }
}

import CCurl
import Glibc
import Parallel
import Synchronization

/// An HTTP client that limits the time and the size of replies, and keeps connections.
///
/// A kept connection that drops before a byte of the reply is replaced at once by a new one. Redirects are not
/// followed, because they would pass the key on to another server. Proxies come from the environment, as curl reads it;
/// hosts on loopback are asked directly.
package final class HTTPClient: Sendable {
    package struct Settings: Sendable {
        package var userAgent: String
        /// PEM certificates of authorities that are trusted besides those of the system's folder.
        package var certificateFile: String?
        package var certificateFolder: String?
        /// Used for every host, instead of what the environment says.
        package var proxy: String?

        /// Settings with the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
        package init(userAgent: String) {
            func variable(_ name: String) -> String? {
                getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
            }
            self.userAgent = userAgent
            certificateFile = variable("SSL_CERT_FILE")
            certificateFolder = variable("SSL_CERT_DIR")
        }
    }

    private let exchange: HTTPExchange

    /// - Throws: `HTTPError` without libcurl, or `ThreadError`.
    package init(_ settings: Settings) throws {
        exchange = try HTTPExchange(settings)
        try WorkerThread.startDetached(name: "http") { [exchange] in exchange.run() }
    }

    deinit { exchange.close() }

    /// Sends a request and waits for the whole reply; may be called concurrently.
    ///
    /// - Throws: `HTTPError` or `CancellationError`.
    package func send(_ request: HTTPRequest, limits: HTTPLimits) async throws -> HTTPReply {
        guard !request.headers.contains(where: { ($0.name + $0.value).utf8.contains { $0 < 0x20 || $0 == 0x7F } })
        else {
            throw HTTPError.unusable("a header of the request has a control character")
        }
        let transfer = HTTPTransfer(request, limits)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                transfer.continuation = continuation
                self.exchange.start(transfer)
            }
        } onCancel: {
            transfer.isCancelled.store(true, ordering: .relaxed)
            self.exchange.wakeUp()
        }
    }
}

/// The transfers of a client, which one thread drives.
private final class HTTPExchange: @unchecked Sendable {
    private struct State {
        var new: [HTTPTransfer] = []
        var isClosed = false
        /// The thread has ended, and `multi` is gone.
        var isOver = false
    }

    private let curl: CurlLibrary
    private let settings: HTTPClient.Settings
    private let multi: CurlLibrary.Handle
    private let state = Mutex(State())

    init(_ settings: HTTPClient.Settings) throws {
        curl = try CurlLibrary.shared()
        self.settings = settings
        guard let multi = curl.makeMulti() else { throw HTTPError.library("libcurl has no memory") }
        self.multi = multi
    }

    func start(_ transfer: HTTPTransfer) {
        state.withLock { $0.new.append(transfer) }
        wakeUp()
    }

    func wakeUp() {
        state.withLock { state in
            if !state.isOver { _ = curl.wakeUp(multi) }
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        wakeUp()
    }

    func run() {
        // An encrypted connection that drops would end the program.
        var signals = sigset_t()
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var active: [CurlLibrary.Handle: HTTPTransfer] = [:]
        while true {
            let (new, isClosed) = state.withLock { state in
                defer { state.new = [] }
                return (state.new, state.isClosed)
            }
            for transfer in new {
                guard let handle = transfer.makeHandle(curl, settings) else {
                    transfer.resume(.failure(HTTPError.library("libcurl has no memory")))
                    continue
                }
                active[handle] = transfer
                _ = curl.add(multi, handle)
            }
            if isClosed { break }
            var running: Int32 = 0
            _ = curl.perform(multi, &running)
            var left: Int32 = 0
            while let message = curl.nextMessage(multi, &left) {
                guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle,
                    let transfer = active.removeValue(forKey: handle)
                else { continue }
                transfer.end(curl_message_result(message), handle, curl)
                remove(handle, transfer)
            }
            for (handle, transfer) in active {
                guard let reason = transfer.reasonToEnd else { continue }
                transfer.resume(.failure(reason))
                active[handle] = nil
                remove(handle, transfer)
            }
            // libcurl shortens the wait to its next time limit.
            _ = curl.poll(multi, nil, 0, active.isEmpty ? 60_000 : 250, nil)
        }
        for (handle, transfer) in active {
            transfer.resume(.failure(CancellationError()))
            remove(handle, transfer)
        }
        state.withLock { state in
            state.isOver = true
            for transfer in state.new { transfer.resume(.failure(CancellationError())) }
            state.new = []
            _ = curl.freeMulti(multi)
        }
    }

    private func remove(_ handle: CurlLibrary.Handle, _ transfer: HTTPTransfer) {
        _ = curl.remove(multi, handle)
        curl.freeHandle(handle)
        transfer.release(curl)
    }
}

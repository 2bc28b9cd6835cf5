import CCurl
import Glibc
import OrderedJSON
import Synchronization

/// One request on its way.
///
/// After `continuation` is set, only the client's thread uses it, but for `isCancelled`.
final class HTTPTransfer: @unchecked Sendable {
    let isCancelled = Atomic(false)
    var continuation: CheckedContinuation<HTTPReply, any Error>?

    private let request: HTTPRequest
    private let limits: HTTPLimits
    private var reply = HTTPReply()
    private var headerBytes = 0
    private var isHeadWhole = false
    private static let maximumHeaderBytes = 256 << 10
    /// Why one of the callbacks ended the transfer.
    private var failure: HTTPError?
    private var start = ContinuousClock.now
    private var lastByte = ContinuousClock.now
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(_ request: HTTPRequest, _ limits: HTTPLimits) {
        self.request = request
        self.limits = limits
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit { errorText.deallocate() }

    // MARK: - Beginning and end

    /// A handle with all options of the request; the transfer must outlive it.
    func makeHandle(_ curl: CurlLibrary, _ settings: HTTPClient.Settings) -> CurlLibrary.Handle? {
        guard let handle = curl.makeHandle() else { return nil }
        let own = Unmanaged.passUnretained(self).toOpaque()
        (start, lastByte) = (.now, .now)
        curl.set(CURLOPT_ERRORBUFFER, of: handle, toPointer: errorText)
        curl.set(CURLOPT_URL, of: handle, to: request.url)
        curl.set(CURLOPT_USERAGENT, of: handle, to: settings.userAgent)
        curl.set(CURLOPT_NOSIGNAL, of: handle, to: 1)
        curl.set(CURLOPT_TCP_KEEPALIVE, of: handle, to: 1)
        curl.set(CURLOPT_HTTP_VERSION, of: handle, to: CURL_HTTP_VERSION_1_1)
        curl.set(CURLOPT_ACCEPT_ENCODING, of: handle, to: "gzip, deflate")
        curl.set(CURLOPT_CONNECTTIMEOUT_MS, of: handle, to: Self.milliseconds(limits.connect))
        curl.set(CURLOPT_TIMEOUT_MS, of: handle, to: Self.milliseconds(limits.total))
        curl.set(CURLOPT_MAXFILESIZE_LARGE, of: handle, toSize: limits.body)
        curl.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, of: handle, to: 1)
        curl.set(CURLOPT_WRITEDATA, of: handle, toPointer: own)
        curl.set(CURLOPT_WRITEFUNCTION, of: handle) { HTTPTransfer.of($3)?.receive($0, $1 * $2) ?? 0 }
        curl.set(CURLOPT_HEADERDATA, of: handle, toPointer: own)
        curl.set(CURLOPT_HEADERFUNCTION, of: handle) { HTTPTransfer.of($3)?.receiveHeader($0, $1 * $2) ?? 0 }
        if let proxy = settings.proxy {
            curl.set(CURLOPT_PROXY, of: handle, to: proxy)
            curl.set(CURLOPT_NOPROXY, of: handle, to: "")
        } else if HTTPHost.name(in: request.url).map(HTTPHost.isLoopback) == true {
            curl.set(CURLOPT_PROXY, of: handle, to: "")
        }
        if let file = settings.certificateFile { curl.set(CURLOPT_CAINFO, of: handle, to: file) }
        if let folder = settings.certificateFolder { curl.set(CURLOPT_CAPATH, of: handle, to: folder) }
        if let body = request.body {
            curl.set(CURLOPT_POSTFIELDSIZE_LARGE, of: handle, toSize: body.count)
            body.withUnsafeBytes { curl.set(CURLOPT_COPYPOSTFIELDS, of: handle, toPointer: $0.baseAddress) }
            // Without this header a large body would wait for a reply to its head.
            headerList = curl.append(headerList, "Expect:")
        }
        for header in request.headers { headerList = curl.append(headerList, "\(header.name): \(header.value)") }
        curl.set(CURLOPT_HTTPHEADER, of: handle, toPointer: headerList)
        return handle
    }

    private static func milliseconds(_ seconds: Double) -> Int { max(Int(saturating: min(seconds * 1000, 1e9)), 1) }

    /// Resumes the waiting task with the reply, or with the error that `code` stands for.
    func end(_ code: CURLcode, _ handle: CurlLibrary.Handle, _ curl: CurlLibrary) {
        if code == CURLE_OK, !isHeadWhole {
            resume(.failure(HTTPError.connection("the server closed the connection within the head of its reply")))
        } else if code == CURLE_OK {
            reply.status = curl.number(CURLINFO_RESPONSE_CODE, of: handle)
            resume(.success(reply))
        } else {
            resume(.failure(failure ?? error(code, curl)))
        }
    }

    func resume(_ result: Result<HTTPReply, any Error>) {
        continuation?.resume(with: result)
        continuation = nil
    }

    /// Frees what the handle used, after the handle is gone.
    func release(_ curl: CurlLibrary) {
        curl.freeList(headerList)
        headerList = nil
    }

    /// Why the transfer must end now, besides what libcurl looks after.
    var reasonToEnd: (any Error)? {
        if isCancelled.load(ordering: .relaxed) { return CancellationError() }
        return .now - lastByte > .seconds(limits.idle) ? HTTPError.idle(seconds: limits.idle) : nil
    }

    private func error(_ code: CURLcode, _ curl: CurlLibrary) -> HTTPError {
        let given = String(cString: errorText)
        let text = HTTPHost.withoutPassword(given.isEmpty ? curl.text(of: code) : given).onOneLine(limit: 300)
        // Not "SSL …".
        let isWord = text.dropFirst().first?.isLowercase == true
        let line = isWord ? text.prefix(1).lowercased() + text.dropFirst() : text
        switch code {
        case CURLE_OPERATION_TIMEDOUT:
            return .now - start < .seconds(limits.total)
                ? .noConnection(seconds: limits.connect) : .timeout(seconds: limits.total)
        case CURLE_FILESIZE_EXCEEDED: return .tooLong(bytes: limits.body)
        case CURLE_GOT_NOTHING: return .connection("the server closed the connection without a reply")
        case CURLE_URL_MALFORMAT: return .unusable(line)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR:
            return .unusable("\(line); name the file with the certificate of its authority with --ca or SSL_CERT_FILE")
        default: return .connection(line)
        }
    }

    // MARK: - Callbacks

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> HTTPTransfer? {
        pointer.map { Unmanaged<HTTPTransfer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Takes a part of the body and returns its size; any other number ends the transfer.
    private func receive(_ data: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        lastByte = .now
        guard count <= limits.body - reply.body.count else {
            failure = .tooLong(bytes: limits.body)
            return 0
        }
        reply.body.append(contentsOf: UnsafeRawBufferPointer(start: data, count: count))
        return count
    }

    /// Takes a line of a head.
    private func receiveHeader(_ data: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        lastByte = .now
        headerBytes += count
        guard headerBytes <= Self.maximumHeaderBytes else {
            failure = .connection("the head of the reply is over \(Self.maximumHeaderBytes >> 10) KiB")
            return 0
        }
        let line = String(decoding: UnsafeRawBufferPointer(start: data, count: count), as: UTF8.self)
        // The head of a final reply comes after those of interim ones.
        if line.hasPrefix("HTTP/") { (reply.headers, isHeadWhole) = ([:], false) }
        if line == "\r\n" || line == "\n" { isHeadWhole = true }
        if let colon = line.firstIndex(of: ":") {
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
            reply.headers[name] = reply.headers[name] ?? String(value.reversed().drop(while: \.isWhitespace).reversed())
        }
        return count
    }
}

/// A request; with a body it is a POST, otherwise a GET.
package struct HTTPRequest: Sendable {
    package var url: String
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8]?

    package init(url: String) { self.url = url }
}

/// What a request may take.
package struct HTTPLimits: Sendable, Equatable {
    /// The seconds until there is a connection.
    package var connect = 30.0
    /// The seconds without a byte of the reply.
    package var idle = 300.0
    /// The seconds of the whole exchange.
    package var total = 3600.0
    /// The bytes of the reply's body, after decompression.
    package var body = 64 << 20

    package init() {}
}

/// The reply of a server.
package struct HTTPReply: Sendable {
    package var status = 0
    /// By name in lower case; of several with one name, the first.
    package var headers: [String: String] = [:]
    /// Decompressed.
    package var body: [UInt8] = []

    /// The seconds from now after which the server wants to be asked again.
    package var retryAfter: Double? {
        if let text = headers["retry-after-ms"], let milliseconds = Double(text), milliseconds >= 0 {
            return milliseconds / 1000
        }
        return RetryPolicy.seconds(retryAfter: headers["retry-after"])
    }
}

/// Why an HTTP request has no reply.
package enum HTTPError: Error, Equatable, CustomStringConvertible {
    case noConnection(seconds: Double)
    case idle(seconds: Double)
    case timeout(seconds: Double)
    case tooLong(bytes: Int)
    /// Any other failure that may be temporary.
    case connection(String)
    /// A failure that every further request would meet: the address, a certificate.
    case unusable(String)
    /// libcurl cannot be used.
    case library(String)

    package var description: String {
        switch self {
        case .noConnection(let seconds): "no connection within \(Self.text(seconds)) s"
        case .idle(let seconds): "the server sent nothing for \(Self.text(seconds)) s"
        case .timeout(let seconds): "no complete reply within \(Self.text(seconds)) s"
        case .tooLong(let bytes): "the reply is over \(bytes >> 20) MiB"
        case .connection(let reason), .unusable(let reason), .library(let reason): reason
        }
    }

    private static func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
    }
}

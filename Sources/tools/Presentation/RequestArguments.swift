import ArgumentParser
import CheckpointIO
import Foundation
import HTTP
import OrderedJSON

/// How requests to servers are sent and retried.
struct RequestArguments: ParsableArguments {
    @Option(help: "Number of retries of a failed request.")
    var retries = 6

    @Option(help: "Seconds before the first retry; doubles with each further one, up to 60.")
    var retryDelay = 1.0

    @Option(help: "Seconds after which a request counts as failed.")
    var timeout = 3600.0

    @Option(help: "Seconds without a byte from the server after which a request counts as failed.")
    var idleTimeout = 300.0

    @Option(help: "Seconds without a connection after which a request counts as failed.")
    var connectTimeout = 30.0

    @Option(
        help: ArgumentHelp(
            "PEM file with the certificate of the servers' authority. Default: what SSL_CERT_FILE names, and the system's.",
            valueName: "file"),
        completion: .file())
    var ca: String?

    @Option(help: ArgumentHelp("Proxy for all servers, instead of what the environment says.", valueName: "url"))
    var proxy: String?

    var retry: RetryPolicy {
        var retry = RetryPolicy()
        (retry.retries, retry.firstDelay) = (retries, retryDelay)
        return retry
    }

    var limits: HTTPLimits {
        var limits = HTTPLimits()
        (limits.connect, limits.idle, limits.total) = (connectTimeout, idleTimeout, timeout)
        return limits
    }

    var settings: HTTPClient.Settings {
        var settings = HTTPClient.Settings(userAgent: "ckpt/\(Tool.version)")
        if let ca { settings.certificateFile = ca }
        settings.proxy = proxy
        return settings
    }

    func validate() throws {
        guard (0...1000).contains(retries) else { throw ValidationError("--retries must be between 0 and 1000") }
        guard retryDelay > 0, retryDelay <= 3600 else {
            throw ValidationError("--retry-delay must be above 0 and at most 3600")
        }
        for (name, seconds) in [("", timeout), ("idle-", idleTimeout), ("connect-", connectTimeout)] {
            guard seconds > 0, seconds <= 86400 else {
                throw ValidationError("--\(name)timeout must be above 0 and at most 86400")
            }
        }
        if let ca, access(ca, R_OK) != 0 {
            throw ValidationError("--ca \(ca.onOneLine(limit: 200)): \(String(cString: strerror(errno)))")
        }
    }
}

/// The key of a server and the further members of requests to it, as flags give them.
enum ServerFlagValue {
    /// - Throws: `ValidationError` if the variable is not set.
    static func key(in variable: String?, flag: String) throws -> String? {
        guard let variable else { return nil }
        guard let key = ProcessInfo.processInfo.environment[variable], !key.isEmpty else {
            throw ValidationError("\(flag): the environment variable \(variable) is not set; set it to the key")
        }
        return key
    }

    /// The members of a JSON object that requests get in addition.
    ///
    /// - Throws: `ValidationError` if the text is something else.
    static func members(_ text: String?, flag: String) throws -> JSONObject {
        guard let text else { return JSONObject() }
        guard let members = (try? JSON.parse(text))?.object else {
            throw ValidationError("\(flag) must be a JSON object, like {\"top_k\": 20}")
        }
        return members
    }
}

import Glibc

/// How often and after which delays failed requests are retried.
package struct RetryPolicy: Sendable, Equatable {
    /// The number of attempts after the first.
    package var retries = 6
    /// The delay before the first retry in seconds; it doubles with each further one.
    package var firstDelay = 1.0
    /// The longest delay in seconds, unless the server asks for more.
    private let longestDelay = 60.0
    /// The longest delay in seconds that a server may ask for.
    private let longestRetryAfter = 900.0

    package init() {}

    /// The seconds to wait before retry `attempt`, counted from 0.
    ///
    /// The delay is reduced by a random share of up to a half, so that requests which failed together are not retried
    /// together, but is never less than the server asked for. `random` lies in 0..<1.
    package func delay(attempt: Int, retryAfter: Double?, random: Double) -> Double {
        let doubled = firstDelay * pow(2, Double(min(attempt, 30)))
        let own = min(doubled, longestDelay) * (1 - random / 2)
        guard let retryAfter, retryAfter > 0 else { return own }
        return max(own, min(retryAfter, longestRetryAfter))
    }

    /// Whether a retry may succeed after this HTTP status.
    package static func isTransient(status: Int) -> Bool {
        status == 408 || status == 409 || status == 425 || status == 429 || (500...599).contains(status)
    }

    /// The seconds from `now` that a `Retry-After` header asks for, as a number or in a date's three forms (RFC 9110,
    /// 10.2.3 and 5.6.7).
    package static func seconds(retryAfter header: String?, now: time_t = time(nil)) -> Double? {
        guard let text = header?.drop(while: \.isWhitespace), !text.isEmpty else { return nil }
        if let seconds = Double(text.prefix { !$0.isWhitespace }) {
            return seconds.isFinite && seconds >= 0 ? seconds : nil
        }
        guard let date = try? CurlLibrary.shared().date(String(text)) else { return nil }
        return max(0, Double(date - now))
    }
}

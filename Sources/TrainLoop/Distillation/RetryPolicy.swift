import Foundation

/// When a request that failed is made again.
public struct RetryPolicy: Sendable, Equatable {
    /// Tries after the first.
    public var retries = 6
    /// Seconds before the first retry; doubles with every further one.
    public var firstDelay = 1.0
    /// Seconds at most, unless the server asks for more.
    public var longestDelay = 60.0
    /// What a server may ask for at most, in seconds.
    public var longestRetryAfter = 900.0

    public init() {}

    /// Seconds to wait before retry `attempt`, counted from 0.
    ///
    /// A random share of up to a half is taken off, so that requests which failed together do not come back together;
    /// never less than what the server asked for.
    public func delay(attempt: Int, retryAfter: Double?, random: Double) -> Double {
        let doubled = firstDelay * pow(2, Double(min(attempt, 30)))
        let own = min(doubled, longestDelay) * (1 - random / 2)
        guard let retryAfter, retryAfter > 0 else { return own }
        return max(own, min(retryAfter, longestRetryAfter))
    }

    /// True for answers after which trying again may help.
    package static func isTransient(status: Int) -> Bool {
        status == 408 || status == 409 || status == 425 || status == 429 || (500...599).contains(status)
    }

    /// Seconds from now that a `Retry-After` header names: a number of seconds or a date (RFC 9110, 10.2.3).
    package static func seconds(retryAfter header: String?, now: Date = Date()) -> Double? {
        guard let text = header?.trimmed, !text.isEmpty else { return nil }
        if let seconds = Double(text) { return seconds.isFinite && seconds >= 0 ? seconds : nil }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return format.date(from: text).map { max(0, $0.timeIntervalSince(now)) }
    }
}

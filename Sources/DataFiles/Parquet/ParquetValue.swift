import Foundation
import OrderedJSON

extension ParquetColumn {
    /// A stored value as JSON: dates and times as ISO 8601 text, decimals as exact numbers, NaN and infinity as null.
    ///
    /// Bytes without a logical type are text if they are UTF-8, and otherwise base64.
    ///
    /// - Throws: `FormatProblem`.
    func value(_ stored: StoredValue) throws -> JSON {
        switch stored {
        case .bool(let value): return .bool(value)
        case .float(let value): return value.isFinite ? .number("\(value)") : .null
        case .double(let value): return value.isFinite ? .number("\(value)") : .null
        case .integer(let value): return integer(value)
        case .bytes(let bytes): return try self.bytes(bytes)
        }
    }

    private func integer(_ value: Int64) -> JSON {
        switch annotation {
        case .integer(_, isSigned: false):
            return .number(
                type == 1 ? String(UInt32(truncatingIfNeeded: value)) : String(UInt64(bitPattern: value)))
        case .decimal(let scale): return .number(Self.decimal(String(value), scale: scale))
        case .date: return .string(Self.date(days: value))
        case .time(let unit): return .string(Self.time(value, unit))
        case .timestamp(let unit, let isUTC): return .string(Self.timestamp(value, unit) + (isUTC ? "Z" : ""))
        default: return .number(String(value))
        }
    }

    private func bytes(_ bytes: ArraySlice<UInt8>) throws -> JSON {
        if type == 3 { return .string(Self.legacyTimestamp(bytes)) }
        switch annotation {
        case .decimal(let scale):
            guard bytes.count <= 64 else { throw FormatProblem("a decimal has more than 64 bytes") }
            return .number(Self.decimal(Self.digits(of: bytes), scale: scale))
        case .float16 where bytes.count == 2:
            let value = Float(Float16(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt16($1) }))
            return value.isFinite ? .number("\(value)") : .null
        case .uuid where bytes.count == 16:
            let digits = bytes.map { String($0, radix: 16) }.map { $0.count == 1 ? "0" + $0 : $0 }
            let parts = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }
            return .string(parts.joined(separator: "-"))
        case .string:
            guard let text = String(validating: bytes, as: UTF8.self) else { throw FormatProblem("invalid UTF-8") }
            return .string(text)
        default:
            return .string(String(validating: bytes, as: UTF8.self) ?? Data(bytes).base64EncodedString())
        }
    }

    /// A decimal from the digits of its unscaled integer.
    private static func decimal(_ digits: String, scale: Int) -> String {
        guard (1...1000).contains(scale) else { return digits }
        let isNegative = digits.hasPrefix("-")
        var text = isNegative ? String(digits.dropFirst()) : digits
        if text.count <= scale { text = String(repeating: "0", count: scale - text.count + 1) + text }
        return (isNegative ? "-" : "") + text.dropLast(scale) + "." + text.suffix(scale)
    }

    /// The decimal digits of a big-endian integer in two's complement.
    private static func digits(of bytes: ArraySlice<UInt8>) -> String {
        let isNegative = bytes.first.map { $0 >= 0x80 } ?? false
        var magnitude = Array(bytes)
        if isNegative {
            magnitude = magnitude.map { ~$0 }
            for index in magnitude.indices.reversed() {
                magnitude[index] &+= 1
                if magnitude[index] != 0 { break }
            }
        }
        var digits: [Character] = []
        while magnitude.contains(where: { $0 != 0 }) {
            var rest = 0
            for index in magnitude.indices {
                let value = rest << 8 | Int(magnitude[index])
                magnitude[index] = UInt8(value / 10)
                rest = value % 10
            }
            digits.append(Character(Unicode.Scalar(UInt8(48 + rest))))
        }
        return digits.isEmpty ? "0" : (isNegative ? "-" : "") + String(digits.reversed())
    }

    /// A day after 1970-01-01 in the Gregorian calendar.
    private static func date(days: Int64) -> String {
        guard days.magnitude < 1 << 48 else { return String(days) }
        // The era of 400 years that begins on 1 March of year 0 has 146,097 days.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let day = shifted - era * 146_097
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let civilMonth = month < 10 ? month + 3 : month - 9
        let civilYear = year + era * 400 + (civilMonth <= 2 ? 1 : 0)
        let sign = civilYear < 0 ? "-" : ""
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        return "\(sign)\(padded(abs(civilYear), 4))-\(padded(civilMonth, 2))-\(padded(dayOfMonth, 2))"
    }

    private static func timestamp(_ value: Int64, _ unit: ParquetTimeUnit) -> String {
        let perDay = 86_400 * perSecond(unit)
        let (days, rest) = value.dividedDown(by: perDay)
        return date(days: days) + "T" + time(rest, unit)
    }

    private static func time(_ value: Int64, _ unit: ParquetTimeUnit) -> String {
        let (seconds, fraction) = value.dividedDown(by: perSecond(unit))
        let clock = "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        return fraction == 0 ? clock : clock + "." + padded(fraction, unit.rawValue)
    }

    /// A timestamp of 12 bytes: nanoseconds of the day, then the Julian day.
    private static func legacyTimestamp(_ bytes: ArraySlice<UInt8>) -> String {
        let values = Array(bytes)
        let nanoseconds = (0..<8).reduce(Int64(0)) { $0 | Int64(values[$1]) << Int64(8 * $1) }
        let day = (0..<4).reduce(UInt32(0)) { $0 | UInt32(values[8 + $1]) << UInt32(8 * $1) }
        return date(days: Int64(Int32(bitPattern: day)) - 2_440_588) + "T" + time(nanoseconds, .nanoseconds)
    }

    private static func perSecond(_ unit: ParquetTimeUnit) -> Int64 {
        switch unit {
        case .milliseconds: 1000
        case .microseconds: 1_000_000
        case .nanoseconds: 1_000_000_000
        }
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}

extension Int64 {
    /// The quotient rounded towards negative infinity, and the remainder, which is not negative.
    fileprivate func dividedDown(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

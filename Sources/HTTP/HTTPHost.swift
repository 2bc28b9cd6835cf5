import Glibc

/// The host of an address.
package enum HTTPHost {
    /// The host in an http or https address, an IPv6 address without its brackets; nil if the text is not such an
    /// address.
    package static func name(in url: String) -> String? {
        let scheme = ["http://", "https://"].first { url.lowercased().hasPrefix($0) }
        guard let scheme, url.unicodeScalars.allSatisfy({ $0.isASCII ? (0x21..<0x7F).contains($0.value) : true }) else {
            return nil
        }
        let authority = url.dropFirst(scheme.count).prefix { !"/?#".contains($0) }
        var host = authority[(authority.lastIndex(of: "@").map(authority.index(after:)) ?? authority.startIndex)...]
        if host.first == "[" {
            guard let end = host.firstIndex(of: "]") else { return nil }
            host = host[..<end].dropFirst()
        } else {
            host = host.prefix { $0 != ":" }
        }
        return host.isEmpty ? nil : String(host)
    }

    /// Whether a host is this machine.
    package static func isLoopback(_ host: String) -> Bool {
        let name = host.lowercased()
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        var address = in6_addr()
        if inet_pton(AF_INET, name, &address) == 1 { return name.hasPrefix("127.") }
        guard inet_pton(AF_INET6, name, &address) == 1 else { return false }
        let bytes = withUnsafeBytes(of: address) { [UInt8]($0) }
        let isMapped = bytes[..<12].elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
        return isMapped ? bytes[12] == 127 : bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    /// A message without the user names and passwords in its addresses.
    static func withoutPassword(_ text: String) -> String {
        text.split(separator: " ", omittingEmptySubsequences: false).map { word in
            guard let start = word.firstRange(of: "//")?.upperBound, let end = word.lastIndex(of: "@"), start < end
            else { return String(word) }
            return word[..<start] + "…" + word[end...]
        }.joined(separator: " ")
    }
}

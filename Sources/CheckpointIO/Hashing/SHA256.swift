import CCrypto
import CFileKernels

/// SHA-256 (FIPS 180-4).
///
/// On processors with SHA instructions this is our own implementation, which can hash two messages at once; on others
/// it is libcrypto's.
struct SHA256: ~Copyable {
    private static let blockSize = 64
    private static let hasExtensions = ckpt_has_sha_extensions() != 0

    /// libcrypto's state; nil if the processor's instructions are used.
    private let context: OpaquePointer?
    /// The initial hash value of section 5.3.3.
    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
    )
    private var byteCount = 0
    /// The first `byteCount % blockSize` bytes are those that do not fill a block yet.
    private var pending = [UInt8](repeating: 0, count: blockSize)

    init() {
        guard !Self.hasExtensions else {
            context = nil
            return
        }
        context = EVP_MD_CTX_new()
        EVP_DigestInit_ex(context, EVP_sha256(), nil)
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Hashes further bytes.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        guard context == nil else {
            EVP_DigestUpdate(context, start, bytes.count)
            return
        }
        let rest = fillPending(bytes)
        let blocks = rest.count / Self.blockSize
        if blocks > 0, let start = rest.baseAddress { withState { ckpt_sha256_blocks($0, start, blocks) } }
        byteCount += blocks * Self.blockSize
        hold(UnsafeRawBufferPointer(rebasing: rest[(blocks * Self.blockSize)...]))
    }

    mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// Hashes further bytes of two messages in little more than the time of the longer one.
    static func update(
        _ first: inout SHA256, _ firstBytes: UnsafeRawBufferPointer, _ second: inout SHA256,
        _ secondBytes: UnsafeRawBufferPointer
    ) {
        guard first.context == nil, second.context == nil else {
            first.update(firstBytes)
            return second.update(secondBytes)
        }
        let (a, b) = (first.fillPending(firstBytes), second.fillPending(secondBytes))
        let blocks = min(a.count, b.count) / blockSize
        if blocks > 0, let firstStart = a.baseAddress, let secondStart = b.baseAddress {
            first.withState { left in
                second.withState { ckpt_sha256_blocks_of_two(left, firstStart, $0, secondStart, blocks) }
            }
        }
        first.byteCount += blocks * blockSize
        second.byteCount += blocks * blockSize
        first.update(UnsafeRawBufferPointer(rebasing: a[(blocks * blockSize)...]))
        second.update(UnsafeRawBufferPointer(rebasing: b[(blocks * blockSize)...]))
    }

    /// Whether a text has the form of a digest.
    static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy("0123456789abcdef".utf8.contains)
    }

    /// The digest as 64 lower-case hexadecimal digits.
    consuming func finalize() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        guard context == nil else {
            var count: UInt32 = 0
            EVP_DigestFinal_ex(context, &digest, &count)
            return hexadecimal(digest)
        }
        // Padding (section 5.1.1): a one bit, zeros, and the number of bits in the last eight bytes of a block.
        let bitCount = UInt64(byteCount) * 8
        let zeros = (2 * Self.blockSize - 9 - byteCount % Self.blockSize) % Self.blockSize
        let end =
            [0x80] + [UInt8](repeating: 0, count: zeros)
            + (0..<8).map { UInt8(truncatingIfNeeded: bitCount >> (56 - 8 * UInt64($0))) }
        end.withUnsafeBytes { update($0) }
        withState { state in
            for index in digest.indices {
                digest[index] = UInt8(truncatingIfNeeded: state[index / 4] >> (24 - 8 * UInt32(index % 4)))
            }
        }
        return hexadecimal(digest)
    }

    /// Fills up the partial block, and returns the bytes that are left.
    private mutating func fillPending(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let held = byteCount % Self.blockSize
        guard held > 0 else { return bytes }
        let count = min(bytes.count, Self.blockSize - held)
        hold(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        if held + count == Self.blockSize {
            let block = pending
            withState { ckpt_sha256_blocks($0, block, 1) }
        }
        return UnsafeRawBufferPointer(rebasing: bytes[count...])
    }

    /// Adds bytes that fit into the partial block.
    private mutating func hold(_ bytes: UnsafeRawBufferPointer) {
        for (index, byte) in bytes.enumerated() { pending[byteCount % Self.blockSize + index] = byte }
        byteCount += bytes.count
    }

    private mutating func withState(_ body: (UnsafeMutablePointer<UInt32>) -> Void) {
        // The state is never empty.
        // swift-format-ignore: NeverForceUnwrap
        withUnsafeMutableBytes(of: &state) { body($0.assumingMemoryBound(to: UInt32.self).baseAddress!) }
    }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

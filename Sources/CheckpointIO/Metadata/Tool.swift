import CCrypto
import CZstd

/// The name and version of this program.
package enum Tool {
    package static let version = "0.1.0"
    /// The name and version, as recorded in the files written.
    package static let name = "ckpt \(version)"
    /// The version of the checkpoint format that is written.
    package static var formatVersion: Int { CheckpointLayout.version }

    /// The C libraries used for compression and hashing, with their versions.
    package static var libraries: [String] {
        let crypto = String(cString: OpenSSL_version(OPENSSL_VERSION)).split(separator: " ").prefix(2)
        return ["zstd \(String(cString: ZSTD_versionString()))", crypto.joined(separator: " ")]
    }
}

import CCrypto
import CZstd

/// What this program calls itself in the files it writes.
public enum Tool {
    public static let version = "0.1.0"
    public static let name = "ckpt \(version)"
    /// The version of the checkpoint format that it writes.
    public static var formatVersion: Int { CheckpointLayout.version }

    /// The C libraries that checkpoints are compressed and hashed with, and their versions.
    public static var libraries: [String] {
        let crypto = String(cString: OpenSSL_version(OPENSSL_VERSION)).split(separator: " ").prefix(2)
        return ["zstd \(String(cString: ZSTD_versionString()))", crypto.joined(separator: " ")]
    }
}

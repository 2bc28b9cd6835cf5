import CCrypto
import CHDF5
import CZstd

/// What this program calls itself in the files it writes.
public enum Tool {
    public static let version = "0.1.0"
    public static let name = "ckpt \(version)"
    /// The version of the checkpoint format that it writes.
    public static var formatVersion: Int { CheckpointLayout.version }

    /// The C libraries that hold checkpoints, with the versions in use. HDF5's is that of its headers: libhdf5 refuses
    /// to work with another.
    public static var libraries: [String] {
        let crypto = String(cString: OpenSSL_version(OPENSSL_VERSION)).split(separator: " ").prefix(2)
        return [
            "HDF5 \(H5_VERS_MAJOR).\(H5_VERS_MINOR).\(H5_VERS_RELEASE)",
            "zstd \(String(cString: ZSTD_versionString()))", crypto.joined(separator: " "),
        ]
    }
}

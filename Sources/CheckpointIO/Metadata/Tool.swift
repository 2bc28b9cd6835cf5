/// What this program calls itself in the files it writes.
public enum Tool {
    public static let version = "0.1.0"
    public static let name = "ckpt \(version)"
}

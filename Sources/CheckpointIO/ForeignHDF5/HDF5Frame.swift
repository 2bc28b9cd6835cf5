/// The messages of the process that reads an HDF5 file, on its standard output.
///
/// A message is a byte of kind, the size of the content in four bytes, and the content.
enum HDF5Frame: UInt8 {
    /// An object of the file, as JSON.
    case object = 0x4F
    /// The end of the list of objects.
    case end = 0x45
    /// The bytes that were asked for.
    case data = 0x44
    /// Why the file, or a part of it, cannot be read: a text.
    case failure = 0x46

    static let headerByteCount = 5
    /// The most bytes that are read at once.
    static let maximumDataByteCount = 8 << 20
    /// The largest description of an object.
    static let maximumObjectByteCount = 256 << 10
    static let maximumFailureByteCount = 4 << 10
    /// The most objects of a file that are listed.
    static let maximumObjectCount = 100_000
    /// A request: the number of an object, its first element, and the number of elements.
    static let requestByteCount = 24

    /// The largest content of a frame of this kind.
    var maximumByteCount: Int {
        switch self {
        case .object: Self.maximumObjectByteCount
        case .end: 0
        case .data: Self.maximumDataByteCount
        case .failure: Self.maximumFailureByteCount
        }
    }
}

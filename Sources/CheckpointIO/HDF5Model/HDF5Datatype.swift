/// The datatypes that checkpoints use, as an HDF5 file stores them.
enum HDF5Datatype: Sendable, Equatable {
    case element(ElementType)
    case text(byteCount: Int, HDF5TextPadding)

    /// The datatype that ckpt writes for `type`.
    init(_ type: HDF5ValueType) {
        switch type {
        case .element(let type): self = .element(type)
        case .text(let byteCount): self = .text(byteCount: byteCount, .zeros)
        }
    }

    /// Bytes of one element in the file.
    var byteCount: Int {
        switch self {
        case .element(let type): type.byteCount
        case .text(let byteCount, _): byteCount
        }
    }
}

/// How a fixed-length text is ended.
enum HDF5TextPadding: Sendable {
    /// By a NUL; the bytes after it have no meaning.
    case terminator
    /// By NULs up to the full length.
    case zeros
}

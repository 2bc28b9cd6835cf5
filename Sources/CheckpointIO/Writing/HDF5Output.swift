import CHDF5
import Glibc

/// An HDF5 file being written through libhdf5. Every method must be called on `HDF5Thread`.
final class HDF5Output: @unchecked Sendable {
    // Sendable because all use is on the one thread of HDF5Thread.
    private let path: String
    private var file: hid_t
    private let linkProperties: hid_t

    /// Creates a file that must not exist.
    ///
    /// The library bounds keep to the oldest format that holds what is needed; every HDF5 since 1.8 reads it, and so
    /// does the strict reader.
    /// - Parameter name: the path that errors show.
    init(creating path: String, reportedAs name: String) throws {
        self.path = name
        let access = H5Pcreate(ckpt_h5p_file_access())
        defer { H5Pclose(access) }
        H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110)
        // After an error datasets may still be open; closing the file closes them.
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG)
        // Metadata in larger blocks: fewer and longer reads when the file is opened.
        H5Pset_meta_block_size(access, 64 << 10)
        linkProperties = H5Pcreate(ckpt_h5p_link_create())
        H5Pset_create_intermediate_group(linkProperties, 1)
        file = H5Fcreate(path, ckpt_h5f_create_exclusively(), ckpt_h5p_default(), access)
        guard file >= 0 else {
            // Read the error first: every further call of the library clears it.
            let failure = Self.failure(name, "create the file")
            H5Pclose(linkProperties)
            throw failure
        }
    }

    /// Closes all that is open. Needed before the file is complete.
    func close() throws {
        guard file >= 0 else { return }
        H5Pclose(linkProperties)
        let code = H5Fclose(file)
        file = -1
        guard code >= 0 else { throw Self.failure(path, "finish the file") }
    }

    /// Creates a group, and those above it that are missing.
    func createGroup(_ name: String) throws {
        H5Gclose(try opened(H5Gcreate2(file, name, linkProperties, ckpt_h5p_default(), ckpt_h5p_default()), name))
    }

    /// Creates a dataset of a known type; chunked and filtered where `storage` says so.
    func createDataset(_ name: String, _ type: HDF5ValueType, _ shape: [Int]?, _ storage: HDF5Storage) throws -> hid_t {
        let typeID = type.make()
        defer { H5Tclose(typeID) }
        let space = makeSpace(shape)
        defer { H5Sclose(space) }
        let properties = H5Pcreate(ckpt_h5p_dataset_create())
        defer { H5Pclose(properties) }
        H5Pset_obj_track_times(properties, false)
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER)
        if case .chunked(let chunkShape, let filters) = storage {
            let dimensions = chunkShape.map { hsize_t($0) }
            H5Pset_chunk(properties, Int32(dimensions.count), dimensions)
            for filter in filters {
                let isMandatory = UInt32(H5Z_FLAG_MANDATORY)
                let code =
                    filter.identifier == CheckpointLayout.shuffleFilter
                    ? H5Pset_shuffle(properties)
                    : H5Pset_filter(
                        properties, filter.identifier, isMandatory, filter.parameters.count, filter.parameters)
                guard code >= 0 else { throw Self.failure(path, "set up filters of \(name)") }
            }
        }
        return try opened(
            H5Dcreate2(file, name, typeID, space, linkProperties, properties, ckpt_h5p_default()), name)
    }

    /// Closes a dataset when all of it is written.
    func closeDataset(_ dataset: hid_t, _ name: String) throws {
        guard H5Dclose(dataset) >= 0 else { throw Self.failure(path, "write \(name)") }
    }

    /// Writes an unfiltered dataset whole.
    func write(_ bytes: UnsafeRawBufferPointer, to dataset: hid_t, _ name: String) throws {
        guard bytes.count > 0 else { return }
        let type = H5Dget_type(dataset)
        defer { H5Tclose(type) }
        let code = H5Dwrite(dataset, type, ckpt_h5s_all(), ckpt_h5s_all(), ckpt_h5p_default(), bytes.baseAddress)
        guard code >= 0 else { throw Self.failure(path, "write \(name)") }
    }

    /// Writes one chunk as it is to be stored.
    func writeChunk(
        _ bytes: UnsafeRawBufferPointer, filterMask: UInt32, offset: [Int], to dataset: hid_t, _ name: String
    ) throws {
        let position = offset.map { hsize_t($0) }
        let code = H5Dwrite_chunk(
            dataset, ckpt_h5p_default(), filterMask, position, bytes.count, bytes.baseAddress)
        guard code >= 0 else { throw Self.failure(path, "write \(name)") }
    }

    /// Writes an attribute of the object at `objectPath`.
    func writeAttribute(_ name: String, of objectPath: String, _ value: HDF5Value) throws {
        let object = try opened(H5Oopen(file, objectPath, ckpt_h5p_default()), objectPath)
        defer { H5Oclose(object) }
        try writeAttribute(name, of: object, objectPath, value)
    }

    /// Writes an attribute of an open object.
    func writeAttribute(_ name: String, of object: hid_t, _ objectPath: String, _ value: HDF5Value) throws {
        let type = value.type.make()
        defer { H5Tclose(type) }
        let space = makeSpace(value.shape)
        defer { H5Sclose(space) }
        let attribute = try opened(
            H5Acreate2(object, name, type, space, ckpt_h5p_default(), ckpt_h5p_default()), "\(objectPath)@\(name)")
        defer { H5Aclose(attribute) }
        let code = value.bytes.withUnsafeBytes { H5Awrite(attribute, type, $0.baseAddress) }
        guard code >= 0 else { throw Self.failure(path, "write \(objectPath)@\(name)") }
    }

    private func makeSpace(_ shape: [Int]?) -> hid_t {
        guard let shape, !shape.isEmpty else { return H5Screate(H5S_SCALAR) }
        return H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil)
    }

    private func opened(_ identifier: hid_t, _ name: String) throws -> hid_t {
        guard identifier >= 0 else { throw Self.failure(path, "create \(name)") }
        return identifier
    }

    /// The error on top of libhdf5's stack as one of ours; a failed system call keeps its number.
    private static func failure(_ path: String, _ operation: String) -> CheckpointError {
        var innermost = ""
        withUnsafeMutablePointer(to: &innermost) { text in
            _ = H5Ewalk2(
                ckpt_h5e_default(), H5E_WALK_UPWARD,
                { depth, record, text in
                    guard depth == 0, let description = record?.pointee.desc, let text else { return 0 }
                    text.assumingMemoryBound(to: String.self).pointee = String(cString: description)
                    return 0
                }, text)
        }
        H5Eclear2(ckpt_h5e_default())
        // libhdf5 puts the number into the text: "... errno = 28, error message = ...".
        if let range = innermost.firstRange(of: "errno = ") {
            let digits = innermost[range.upperBound...].prefix { $0.isNumber }
            if let code = Int32(digits), code != 0 {
                return .system(path: path, operation: operation, code: code)
            }
        }
        return .hdf5(path: path, operation: operation, detail: innermost.isEmpty ? "libhdf5 failed" : innermost)
    }
}

/// How a dataset lies in the file.
enum HDF5Storage: Sendable, Equatable {
    case contiguous
    case chunked([Int], [HDF5Filter])
}

/// A step of a filter pipeline.
struct HDF5Filter: Sendable, Equatable {
    var identifier: Int32
    var parameters: [UInt32]
}

import CHDF5
import Glibc

/// An HDF5 file being written through libhdf5. Every method must be called on `HDF5Thread`.
final class HDF5Output: @unchecked Sendable {
    // Sendable because all use is on the one thread of HDF5Thread.
    private let path: String
    private let driver: HDF5FileDriver.State
    private var file: hid_t
    private let linkProperties: hid_t

    /// Creates a file that must not exist.
    ///
    /// The library bounds keep to the oldest format that holds what is needed; every HDF5 since 1.8 reads it, and so
    /// does the strict reader.
    /// - Parameters:
    ///   - name: the path that errors show.
    ///   - datasetCount: about how many datasets there will be.
    init(creating path: String, reportedAs name: String, datasetCount: Int) throws {
        self.path = name
        driver = HDF5FileDriver.State(try DirectOutput(creating: path, reportedAs: name))
        let access = H5Pcreate(ckpt_h5p_file_access())
        defer { H5Pclose(access) }
        guard HDF5FileDriver.use(driver, for: access) else { throw Self.failure(name, driver, "set up the file") }
        H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110)
        // After an error datasets may still be open; closing the file closes them.
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG)
        // Metadata in larger blocks: fewer and longer reads when the file is opened. About 2 KiB a dataset are used.
        H5Pset_meta_block_size(access, hsize_t(min(max(datasetCount * 2048, 8 << 10), 256 << 10)))
        Self.keepMetadataInMemory(access)
        linkProperties = H5Pcreate(ckpt_h5p_link_create())
        H5Pset_create_intermediate_group(linkProperties, 1)
        file = H5Fcreate(path, ckpt_h5f_create_exclusively(), ckpt_h5p_default(), access)
        guard file >= 0 else {
            // Read the error first: every further call of the library clears it.
            let failure = Self.failure(name, driver, "create the file")
            H5Pclose(linkProperties)
            throw failure
        }
    }

    /// Lets the cache of metadata grow, so that it is written once, at the end, and in a few long pieces.
    private static func keepMetadataInMemory(_ access: hid_t) {
        var cache = H5AC_cache_config_t()
        cache.version = H5AC__CURR_CACHE_CONFIG_VERSION
        guard H5Pget_mdc_config(access, &cache) >= 0 else { return }
        cache.max_size = 64 << 20
        cache.set_initial_size = true
        cache.initial_size = cache.max_size
        H5Pset_mdc_config(access, &cache)
    }

    /// Closes all that is open. Needed before the file is complete.
    func close() throws {
        guard file >= 0 else { return }
        H5Pclose(linkProperties)
        let code = H5Fclose(file)
        file = -1
        guard code >= 0 else { throw Self.failure(path, driver, "finish the file") }
        try driver.output.finish(byteCount: Int(driver.allocated))
    }

    /// Creates a group where it is missing, and those above it.
    func createGroup(_ name: String) throws {
        if H5Lexists(file, name, ckpt_h5p_default()) > 0 { return }
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
                guard code >= 0 else { throw Self.failure(path, driver, "set up filters of \(name)") }
            }
        }
        return try opened(
            H5Dcreate2(file, name, typeID, space, linkProperties, properties, ckpt_h5p_default()), name)
    }

    /// Closes a dataset when all of it is written.
    func closeDataset(_ dataset: hid_t, _ name: String) throws {
        guard H5Dclose(dataset) >= 0 else { throw Self.failure(path, driver, "write \(name)") }
    }

    /// Writes an unfiltered dataset whole.
    func write(_ bytes: UnsafeRawBufferPointer, to dataset: hid_t, _ name: String) throws {
        guard bytes.count > 0 else { return }
        let type = H5Dget_type(dataset)
        defer { H5Tclose(type) }
        let code = H5Dwrite(dataset, type, ckpt_h5s_all(), ckpt_h5s_all(), ckpt_h5p_default(), bytes.baseAddress)
        guard code >= 0 else { throw Self.failure(path, driver, "write \(name)") }
    }

    /// Writes one chunk as it is to be stored.
    func writeChunk(
        _ bytes: UnsafeRawBufferPointer, filterMask: UInt32, offset: [Int], to dataset: hid_t, _ name: String
    ) throws {
        let position = offset.map { hsize_t($0) }
        let code = H5Dwrite_chunk(
            dataset, ckpt_h5p_default(), filterMask, position, bytes.count, bytes.baseAddress)
        guard code >= 0 else { throw Self.failure(path, driver, "write \(name)") }
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
        guard code >= 0 else { throw Self.failure(path, driver, "write \(objectPath)@\(name)") }
    }

    private func makeSpace(_ shape: [Int]?) -> hid_t {
        guard let shape, !shape.isEmpty else { return H5Screate(H5S_SCALAR) }
        return H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil)
    }

    private func opened(_ identifier: hid_t, _ name: String) throws -> hid_t {
        guard identifier >= 0 else { throw Self.failure(path, driver, "create \(name)") }
        return identifier
    }

    /// What the file driver reports, or else the error on top of libhdf5's stack, as one of ours.
    private static func failure(
        _ path: String, _ driver: HDF5FileDriver.State, _ operation: String
    ) -> CheckpointError {
        if let failure = driver.failure { return failure }
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

    /// What data are stored through; single bytes need no shuffling.
    static func shuffleAndZstd(elementSize: Int, level: Int32) -> [HDF5Filter] {
        let zstd = HDF5Filter(
            identifier: CheckpointLayout.zstdFilter, parameters: [UInt32(bitPattern: level)])
        guard elementSize > 1 else { return [zstd] }
        return [HDF5Filter(identifier: CheckpointLayout.shuffleFilter, parameters: [UInt32(elementSize)]), zstd]
    }
}

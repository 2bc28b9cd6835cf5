import Glibc

/// The functions of libhdf5, loaded when the child process starts, so that nothing else depends on the library.
struct HDF5Library {
    typealias ID = Int64
    typealias Text = UnsafePointer<CChar>
    typealias Sizes = UnsafeMutablePointer<UInt64>
    typealias Visit = @convention(c) (ID, Text?, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> Int32

    let version:
        @convention(c) (
            UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>
        ) -> Int32
    let silenceErrors: @convention(c) (ID, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> Int32
    let walkErrors:
        @convention(c) (
            ID, Int32, @convention(c) (UInt32, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> Int32,
            UnsafeMutableRawPointer?
        ) -> Int32
    let registerFilter: @convention(c) (UnsafeRawPointer) -> Int32
    let filterIsAvailable: @convention(c) (Int32) -> Int32
    let freeMemory: @convention(c) (UnsafeMutableRawPointer?) -> Int32
    let allocateMemory: @convention(c) (Int, Int32) -> UnsafeMutableRawPointer?

    let openFile: @convention(c) (Text, UInt32, ID) -> ID
    let openObject: @convention(c) (ID, Text, ID) -> ID
    let closeObject: @convention(c) (ID) -> Int32
    let kindOfObject: @convention(c) (ID) -> Int32
    let objectInfo: @convention(c) (ID, UnsafeMutableRawPointer) -> Int32
    let iterateLinks: @convention(c) (ID, Int32, Int32, Sizes?, Visit, UnsafeMutableRawPointer?) -> Int32
    let iterateAttributes: @convention(c) (ID, Int32, Int32, Sizes?, Visit, UnsafeMutableRawPointer?) -> Int32

    let openDataset: @convention(c) (ID, Text, ID) -> ID
    let closeDataset: @convention(c) (ID) -> Int32
    let datasetSpace: @convention(c) (ID) -> ID
    let datasetType: @convention(c) (ID) -> ID
    let datasetCreation: @convention(c) (ID) -> ID
    let readDataset: @convention(c) (ID, ID, ID, ID, ID, UnsafeMutableRawPointer) -> Int32

    let openAttribute: @convention(c) (ID, Text, ID) -> ID
    let attributeSpace: @convention(c) (ID) -> ID
    let attributeType: @convention(c) (ID) -> ID
    let readAttribute: @convention(c) (ID, ID, UnsafeMutableRawPointer) -> Int32
    let closeAttribute: @convention(c) (ID) -> Int32

    let makeSpace: @convention(c) (Int32, UnsafePointer<UInt64>, UnsafePointer<UInt64>?) -> ID
    let closeSpace: @convention(c) (ID) -> Int32
    let kindOfSpace: @convention(c) (ID) -> Int32
    let rank: @convention(c) (ID) -> Int32
    let dimensions: @convention(c) (ID, Sizes?, Sizes?) -> Int32
    let select:
        @convention(c) (
            ID, Int32, UnsafePointer<UInt64>, UnsafePointer<UInt64>?, UnsafePointer<UInt64>, UnsafePointer<UInt64>?
        ) -> Int32

    let closeType: @convention(c) (ID) -> Int32
    let classOfType: @convention(c) (ID) -> Int32
    let sizeOfType: @convention(c) (ID) -> Int
    let orderOfType: @convention(c) (ID) -> Int32
    let signOfType: @convention(c) (ID) -> Int32
    let precisionOfType: @convention(c) (ID) -> Int
    let offsetOfType: @convention(c) (ID) -> Int32
    let fieldsOfType:
        @convention(c) (
            ID, UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int>,
            UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int>
        ) -> Int32
    let exponentBias: @convention(c) (ID) -> Int
    let normalization: @convention(c) (ID) -> Int32
    let isVariableText: @convention(c) (ID) -> Int32
    let memberCount: @convention(c) (ID) -> Int32
    let memberName: @convention(c) (ID, UInt32) -> UnsafeMutablePointer<CChar>?

    let makeProperties: @convention(c) (ID) -> ID
    let setChunkCache: @convention(c) (ID, Int, Int, Double) -> Int32
    let layout: @convention(c) (ID) -> Int32
    let chunk: @convention(c) (ID, Int32, Sizes) -> Int32
    let filterCount: @convention(c) (ID) -> Int32
    let filter:
        @convention(c) (
            ID, UInt32, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Int>, UnsafeMutablePointer<UInt32>, Int,
            UnsafeMutablePointer<CChar>, UnsafeMutablePointer<UInt32>
        ) -> Int32
    let externalFileCount: @convention(c) (ID) -> Int32
    /// The identifier of the class of dataset access properties.
    let datasetAccess: ID

    /// Names under which Linux distributions install the library, newest first.
    static let names =
        [320, 310, 200, 103, 101, 100].flatMap { ["libhdf5_serial.so.\($0)", "libhdf5.so.\($0)"] }
        + ["libhdf5_serial.so", "libhdf5.so"]

    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    /// Loads the library, or the one that the environment variable `CKPT_LIBHDF5` names.
    ///
    /// - Throws: `Missing`
    init() throws {
        let given = getenv("CKPT_LIBHDF5").map { String(cString: $0) }
        let names = given.map { [$0] } ?? Self.names
        guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW) }).first else {
            throw Missing(
                description: given.map { "cannot load \($0), which CKPT_LIBHDF5 names" }
                    ?? "needs libhdf5; install it (Debian: libhdf5-103-1 or newer)")
        }
        func load<Function>(_ names: String...) throws -> Function {
            for name in names {
                if let symbol = dlsym(library, name) { return unsafeBitCast(symbol, to: Function.self) }
            }
            throw Missing(description: "this libhdf5 has no function \(names[0]); use version 1.10 or newer")
        }
        let start: @convention(c) () -> Int32 = try load("H5open")
        guard start() >= 0 else { throw Missing(description: "libhdf5 does not start") }
        version = try load("H5get_libversion")
        silenceErrors = try load("H5Eset_auto2")
        walkErrors = try load("H5Ewalk2")
        registerFilter = try load("H5Zregister")
        filterIsAvailable = try load("H5Zfilter_avail")
        freeMemory = try load("H5free_memory")
        allocateMemory = try load("H5allocate_memory")
        openFile = try load("H5Fopen")
        openObject = try load("H5Oopen")
        closeObject = try load("H5Oclose")
        kindOfObject = try load("H5Iget_type")
        // The structs that these pass begin alike in all versions, as far as ckpt reads them.
        objectInfo = try load("H5Oget_info1", "H5Oget_info")
        iterateLinks = try load("H5Literate1", "H5Literate")
        iterateAttributes = try load("H5Aiterate2")
        openDataset = try load("H5Dopen2")
        closeDataset = try load("H5Dclose")
        datasetSpace = try load("H5Dget_space")
        datasetType = try load("H5Dget_type")
        datasetCreation = try load("H5Dget_create_plist")
        readDataset = try load("H5Dread")
        openAttribute = try load("H5Aopen")
        attributeSpace = try load("H5Aget_space")
        attributeType = try load("H5Aget_type")
        readAttribute = try load("H5Aread")
        closeAttribute = try load("H5Aclose")
        makeSpace = try load("H5Screate_simple")
        closeSpace = try load("H5Sclose")
        kindOfSpace = try load("H5Sget_simple_extent_type")
        rank = try load("H5Sget_simple_extent_ndims")
        dimensions = try load("H5Sget_simple_extent_dims")
        select = try load("H5Sselect_hyperslab")
        closeType = try load("H5Tclose")
        classOfType = try load("H5Tget_class")
        sizeOfType = try load("H5Tget_size")
        orderOfType = try load("H5Tget_order")
        signOfType = try load("H5Tget_sign")
        precisionOfType = try load("H5Tget_precision")
        offsetOfType = try load("H5Tget_offset")
        fieldsOfType = try load("H5Tget_fields")
        exponentBias = try load("H5Tget_ebias")
        normalization = try load("H5Tget_norm")
        isVariableText = try load("H5Tis_variable_str")
        memberCount = try load("H5Tget_nmembers")
        memberName = try load("H5Tget_member_name")
        makeProperties = try load("H5Pcreate")
        setChunkCache = try load("H5Pset_chunk_cache")
        layout = try load("H5Pget_layout")
        chunk = try load("H5Pget_chunk")
        filterCount = try load("H5Pget_nfilters")
        filter = try load("H5Pget_filter2")
        externalFileCount = try load("H5Pget_external_count")
        guard let access = dlsym(library, "H5P_CLS_DATASET_ACCESS_ID_g") else {
            throw Missing(description: "this libhdf5 has no H5P_CLS_DATASET_ACCESS_ID_g; use version 1.10 or newer")
        }
        datasetAccess = access.load(as: ID.self)
        _ = silenceErrors(0, nil, nil)
    }

    /// The version, for example 1.10.8.
    var versionText: String {
        var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
        _ = version(&major, &minor, &release)
        return "\(major).\(minor).\(release)"
    }

    /// The innermost reason of the last failure.
    var lastError: String {
        var text = ""
        withUnsafeMutablePointer(to: &text) { text in
            _ = walkErrors(
                0, 0,
                { depth, error, result in
                    // H5E_error2_t: three identifiers, the line, names of function and file, then the description.
                    guard depth == 0, let description = error?.load(fromByteOffset: 48, as: Text?.self) else {
                        return 0
                    }
                    result?.assumingMemoryBound(to: String.self).pointee = String(cString: description)
                    return 0
                }, text)
        }
        return text.isEmpty ? "unknown reason" : text
    }
}

import Glibc

/// The process that reads an HDF5 file of another program: a ckpt whose only argument is `verb`.
///
/// libhdf5 can crash, loop or fill the memory on a damaged or hostile file; here this ends a process that holds
/// nothing. The file is descriptor 3. The objects are listed on standard output (`HDF5Frame`), then requests for
/// elements are answered until standard input ends.
package enum HDF5Child {
    package static let verb = "read-hdf5"
    /// Seconds of processor time for the list of objects, and for each answer.
    static let secondsPerAnswer = 20
    /// Bytes of address space that the library may take.
    static let memoryLimit = 4 << 30
    static let fileDescriptor: Int32 = 3

    /// Serves the file; the process ends with 0 when standard input does.
    package static func run() -> Never {
        limit(RLIMIT_CORE, to: 0)
        limit(RLIMIT_FSIZE, to: 0)
        limit(RLIMIT_AS, to: addressSpace() + memoryLimit)
        extendTime()
        // The file is only read, and locks fail on some network file systems.
        setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1)
        do {
            let library = try HDF5Library()
            LZFFilter.register(library)
            let file = library.openFile("/proc/self/fd/\(fileDescriptor)", 0, 0)
            guard file >= 0 else { throw HDF5Objects.Problem(text: library.lastError) }
            var entries: [HDF5Entry] = []
            var objects = HDF5Objects(library) { entry in
                guard entries.count < HDF5Frame.maximumObjectCount else {
                    throw HDF5Objects.Problem(text: "the file has more than \(HDF5Frame.maximumObjectCount) links")
                }
                entries.append(entry)
                try send(.object, Array(entry.json.serialized().utf8))
            }
            let root = library.openObject(file, "/", 0)
            guard root >= 0 else { throw HDF5Objects.Problem(text: library.lastError) }
            try objects.list(root, at: "")
            try send(.end, [])
            var reader = HDF5ElementReader(library, file, entries)
            while let request = request() {
                extendTime()
                try send(.data, reader.read(request))
            }
            exit(0)
        } catch {
            let text = (error as? HDF5Objects.Problem)?.text ?? "\(error)"
            try? send(.failure, Array(text.utf8.prefix(HDF5Frame.maximumFailureByteCount)))
            exit(1)
        }
    }

    private static func limit(_ resource: __rlimit_resource, to value: Int) {
        var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
        setrlimit(Int32(resource.rawValue), &limit)
    }

    /// Lets the process compute for `secondsPerAnswer` from now on; the kernel ends it after that.
    private static func extendTime() {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let used = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        var limit = rlimit()
        getrlimit(Int32(RLIMIT_CPU.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, rlim_t(used + secondsPerAnswer + 1))
        setrlimit(Int32(RLIMIT_CPU.rawValue), &limit)
    }

    /// Bytes of address space in use.
    private static func addressSpace() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        return strtol(line, nil, 10) * sysconf(Int32(_SC_PAGESIZE))
    }

    private static func send(_ kind: HDF5Frame, _ content: [UInt8]) throws {
        guard content.count <= kind.maximumByteCount else {
            throw HDF5Objects.Problem(text: "an object has a description of \(content.count) bytes")
        }
        var frame = [kind.rawValue]
        withUnsafeBytes(of: UInt32(content.count).littleEndian) { frame += $0 }
        try write(frame)
        try write(content)
    }

    private static func write(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress?.advanced(by: done), bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { exit(1) }
            done += count
        }
    }

    /// The next request; nil at the end of the input.
    private static func request() -> HDF5ElementReader.Request? {
        var bytes = [UInt8](repeating: 0, count: HDF5Frame.requestByteCount)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(0, $0.baseAddress?.advanced(by: done), HDF5Frame.requestByteCount - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            done += count
        }
        let numbers = bytes.withUnsafeBytes { bytes in
            (0..<3).map { Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self))) }
        }
        return HDF5ElementReader.Request(object: numbers[0], first: numbers[1], count: numbers[2])
    }
}

/// Reads consecutive elements of datasets, in the child process.
struct HDF5ElementReader {
    struct Request {
        var object: Int
        var first: Int
        var count: Int
    }

    /// The dataset that was read last stays open, with its chunks.
    private struct Opened {
        var object: Int
        var dataset: HDF5Library.ID
        var type: HDF5Library.ID
        var isBigEndian: Bool
    }

    private static let chunkCacheByteCount = 256 << 20
    private let library: HDF5Library
    private let file: HDF5Library.ID
    private let entries: [HDF5Entry]
    private let access: HDF5Library.ID
    private var opened: Opened?

    init(_ library: HDF5Library, _ file: HDF5Library.ID, _ entries: [HDF5Entry]) {
        self.library = library
        self.file = file
        self.entries = entries
        access = library.makeProperties(library.datasetAccess)
        _ = library.setChunkCache(access, 12_421, Self.chunkCacheByteCount, 1)
    }

    /// The little-endian bytes of the requested elements.
    mutating func read(_ request: Request) throws -> [UInt8] {
        guard entries.indices.contains(request.object), let type = entries[request.object].elementType,
            request.first >= 0, request.count >= 0, request.count <= HDF5Frame.maximumDataByteCount / type.byteCount,
            let total = checkedByteCount(entries[request.object].shape, 1), request.first <= total - request.count
        else { throw HDF5Objects.Problem(text: "an invalid request") }
        let entry = entries[request.object]
        let dataset = try open(request.object, entry)
        var bytes = [UInt8](repeating: 0, count: request.count * type.byteCount)
        var done = 0
        try bytes.withUnsafeMutableBytes { bytes in
            while done < request.count {
                let block = Block(entry.shape, first: request.first + done, count: request.count - done)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: bytes[done * type.byteCount..<(done + block.count) * type.byteCount])
                try read(block, of: dataset, entry.path, into: target)
                done += block.count
            }
            if dataset.isBigEndian { HDF5ForeignType.swapBytes(bytes, width: type.byteCount) }
        }
        return bytes
    }

    private mutating func open(_ object: Int, _ entry: HDF5Entry) throws -> Opened {
        if let opened, opened.object == object { return opened }
        if let opened {
            _ = library.closeType(opened.type)
            _ = library.closeDataset(opened.dataset)
            self.opened = nil
        }
        let dataset = library.openDataset(file, "/" + entry.path, access)
        guard dataset >= 0 else { throw HDF5Objects.Problem(text: "\(entry.path): \(library.lastError)") }
        let type = library.datasetType(dataset)
        guard type >= 0 else { throw HDF5Objects.Problem(text: "\(entry.path): \(library.lastError)") }
        let result = Opened(
            object: object, dataset: dataset, type: type,
            isBigEndian: HDF5ForeignType(library, type, isBFloat16: true).isBigEndian)
        opened = result
        return result
    }

    private func read(
        _ block: Block, of opened: Opened, _ path: String, into target: UnsafeMutableRawBufferPointer
    ) throws {
        guard let start = target.baseAddress else { return }
        let (space, memory) = (library.datasetSpace(opened.dataset), library.makeSpace(1, [UInt64(block.count)], nil))
        defer {
            _ = library.closeSpace(space)
            _ = library.closeSpace(memory)
        }
        // A scalar has nothing to select.
        let isSelected = block.starts.isEmpty || library.select(space, 0, block.starts, nil, block.counts, nil) >= 0
        // Elements arrive as stored, without a conversion.
        guard space >= 0, memory >= 0, isSelected,
            library.readDataset(opened.dataset, opened.type, memory, space, 0, start) >= 0
        else { throw HDF5Objects.Problem(text: "\(path): \(library.lastError)") }
    }

    /// A box of elements that are consecutive in row-major order, beginning at a given one.
    struct Block {
        private(set) var starts: [UInt64] = []
        private(set) var counts: [UInt64] = []
        private(set) var count = 1

        /// The largest box of at most `count` elements that begins with element `first`.
        init(_ shape: [Int], first: Int, count: Int) {
            // A box spans one index of the outer dimensions, some of one dimension, and all of the inner ones.
            var inner = 1
            var rest = first
            var isWhole = true
            for size in shape.reversed() {
                let position = rest % size
                rest /= size
                let length = isWhole ? min(size - position, count / inner) : 1
                isWhole = isWhole && length == size
                starts.append(UInt64(position))
                counts.append(UInt64(length))
                inner *= length
            }
            starts.reverse()
            counts.reverse()
            self.count = inner
        }
    }
}

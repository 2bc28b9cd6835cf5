import Glibc

/// Lists the objects of an HDF5 file by libhdf5, in the child process.
///
/// Only hard links are followed, each object once. Soft and external links, external data and virtual datasets, which
/// could lead to other files, are listed but never opened.
struct HDF5Objects {
    private static let maximumDepth = 64
    private static let maximumPathByteCount = 4096
    private static let maximumAttributeCount = 32

    private let library: HDF5Library
    private let emit: (HDF5Entry) throws -> Void
    /// Addresses of the groups and datasets that have been listed.
    private var seen: [UInt64: String] = [:]

    struct Problem: Error { var text: String }

    init(_ library: HDF5Library, _ emit: @escaping (HDF5Entry) throws -> Void) {
        self.library = library
        self.emit = emit
    }

    /// A link or an attribute as libhdf5 names it; `kind` is the first number of its description.
    private struct Name {
        var text: String
        var kind: Int32
    }

    private func names(_ object: HDF5Library.ID, attributes: Bool) throws -> [Name] {
        var names: [Name] = []
        let visit: HDF5Library.Visit = { _, name, info, result in
            guard let name, let result else { return -1 }
            let kind = info?.load(as: Int32.self) ?? -1
            let names = result.assumingMemoryBound(to: [Name].self)
            names.pointee.append(Name(text: String(cString: name), kind: kind))
            return names.pointee.count > HDF5Frame.maximumObjectCount ? -1 : 0
        }
        let status = withUnsafeMutablePointer(to: &names) {
            attributes
                ? library.iterateAttributes(object, 0, 0, nil, visit, $0)
                : library.iterateLinks(object, 0, 0, nil, visit, $0)
        }
        guard status >= 0 else { throw Problem(text: library.lastError) }
        return names
    }

    /// Lists the object `object` and everything below it.
    mutating func list(_ object: HDF5Library.ID, at path: String, depth: Int = 0) throws {
        var info = [UInt64](repeating: 0, count: 64)
        let known = info.withUnsafeMutableBytes { buffer -> UInt64? in
            guard let start = buffer.baseAddress, library.objectInfo(object, start) >= 0 else { return nil }
            return start.load(fromByteOffset: 8, as: UInt64.self)
        }
        guard let address = known else { throw Problem(text: library.lastError) }
        if let first = seen[address] {
            var entry = HDF5Entry(path: path, kind: .link)
            entry.remark = "the same object as \(first.isEmpty ? "/" : first)"
            return try emit(entry)
        }
        guard seen.count < HDF5Frame.maximumObjectCount else {
            throw Problem(text: "the file has more than \(HDF5Frame.maximumObjectCount) objects")
        }
        seen[address] = path
        switch library.kindOfObject(object) {
        case 2: try listGroup(object, path, depth)
        case 5: try emit(dataset(object, path))
        default:
            var entry = HDF5Entry(path: path, kind: .type)
            entry.remark = "a named datatype"
            try emit(entry)
        }
    }

    private mutating func listGroup(_ group: HDF5Library.ID, _ path: String, _ depth: Int) throws {
        guard depth < Self.maximumDepth else {
            throw Problem(text: "groups are nested deeper than \(Self.maximumDepth)")
        }
        var entry = HDF5Entry(path: path, kind: .group)
        entry.attributes = attributes(group)
        try emit(entry)
        for link in try names(group, attributes: false) {
            let below = path.isEmpty ? link.text : path + "/" + link.text
            guard below.utf8.count <= Self.maximumPathByteCount else {
                throw Problem(text: "a path has more than \(Self.maximumPathByteCount) bytes")
            }
            guard link.kind == 0 else {
                var entry = HDF5Entry(path: below, kind: .link)
                entry.remark =
                    link.kind == 1
                    ? "a soft link, which is not followed" : "a link to another file, which is not followed"
                try emit(entry)
                continue
            }
            let object = library.openObject(group, link.text, 0)
            guard object >= 0 else {
                // Newer versions write what older ones do not read.
                var entry = HDF5Entry(path: below, kind: .dataset)
                entry.remark =
                    "cannot be opened by libhdf5 \(library.versionText) (\(library.lastError)); a newer one, which"
                    + " CKPT_LIBHDF5 can name, may read it"
                try emit(entry)
                continue
            }
            defer { _ = library.closeObject(object) }
            try list(object, at: below, depth: depth + 1)
        }
    }

    private func dataset(_ dataset: HDF5Library.ID, _ path: String) throws -> HDF5Entry {
        var entry = HDF5Entry(path: path, kind: .dataset)
        entry.attributes = attributes(dataset)
        let (space, type) = (library.datasetSpace(dataset), library.datasetType(dataset))
        let creation = library.datasetCreation(dataset)
        defer {
            _ = library.closeSpace(space)
            _ = library.closeType(type)
            _ = library.closeObject(creation)
        }
        guard space >= 0, type >= 0, creation >= 0 else { throw Problem(text: "\(path): \(library.lastError)") }
        let datatype = HDF5ForeignType(
            library, type, isBFloat16: entry.attributes.contains { $0.name == "dtype" && $0.value == "bfloat16" })
        entry.typeText = datatype.text
        entry.elementType = datatype.elementType
        if datatype.elementType == nil { entry.remark = "has elements that ckpt does not import: \(datatype.text)" }
        entry.shape = try shape(space, path)
        if checkedByteCount(entry.shape, 8).map({ $0 <= HDF5Entry.maximumByteCount }) != true {
            entry.elementType = nil
            entry.remark = "has an implausible size"
        }
        if library.kindOfSpace(space) == 2 {
            entry.elementType = nil
            entry.remark = "has no elements, not even a shape"
        }
        let storage = HDF5ForeignStorage(library, creation, rank: entry.shape.count)
        entry.storage = storage.text
        if let problem = storage.problem {
            entry.elementType = nil
            entry.remark = problem
        }
        return entry
    }

    private func shape(_ space: HDF5Library.ID, _ path: String) throws -> [Int] {
        let rank = Int(library.rank(space))
        guard (0...32).contains(rank) else { throw Problem(text: "\(path): \(library.lastError)") }
        var sizes = [UInt64](repeating: 0, count: max(1, rank))
        guard rank == 0 || library.dimensions(space, &sizes, nil) == Int32(rank) else {
            throw Problem(text: "\(path): \(library.lastError)")
        }
        return try sizes[..<rank].map {
            guard let size = Int(exactly: $0) else { throw Problem(text: "\(path): a dimension of \($0)") }
            return size
        }
    }

    // MARK: - Attributes

    private func attributes(_ object: HDF5Library.ID) -> [(name: String, value: String)] {
        guard let names = try? names(object, attributes: true) else { return [("?", library.lastError)] }
        var result = names.prefix(Self.maximumAttributeCount).map {
            (name: String($0.text.prefix(200)), value: value(object, $0.text))
        }
        if names.count > result.count { result.append(("…", "\(names.count - result.count) more")) }
        return result
    }

    /// The value of a text or of a few numbers, else the datatype.
    private func value(_ object: HDF5Library.ID, _ name: String) -> String {
        let attribute = library.openAttribute(object, name, 0)
        guard attribute >= 0 else { return "cannot be read: \(library.lastError)" }
        let (space, type) = (library.attributeSpace(attribute), library.attributeType(attribute))
        defer {
            _ = library.closeAttribute(attribute)
            _ = library.closeSpace(space)
            _ = library.closeType(type)
        }
        guard space >= 0, type >= 0, let shape = try? shape(space, name),
            let count = checkedByteCount(shape, 1), library.kindOfSpace(space) != 2
        else { return "cannot be read" }
        let datatype = HDF5ForeignType(library, type, isBFloat16: false)
        let what = "\(datatype.text)\(shape.isEmpty ? "" : " \(shape)")"
        let byteCount = library.sizeOfType(type)
        guard byteCount > 0, byteCount <= 1 << 16, count >= 1, count <= 16, count * byteCount <= 1 << 16 else {
            return what
        }
        return withUnsafeTemporaryAllocation(byteCount: count * byteCount, alignment: 8) { buffer in
            guard let start = buffer.baseAddress else { return what }
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            guard library.readAttribute(attribute, type, start) >= 0 else { return "cannot be read" }
            if library.isVariableText(type) > 0 {
                let texts = (0..<count).map { start.load(fromByteOffset: $0 * byteCount, as: HDF5Library.Text?.self) }
                defer { for text in texts { _ = library.freeMemory(UnsafeMutableRawPointer(mutating: text)) } }
                return Self.cut(texts.map { $0.map { Self.cut(String(cString: $0)) } ?? "" }.joined(separator: ", "))
            }
            if library.classOfType(type) == 3 {
                let texts = (0..<count).map { index in
                    let bytes = buffer[index * byteCount..<(index + 1) * byteCount]
                    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                return Self.cut(texts.joined(separator: ", "))
            }
            guard let element = datatype.elementType else { return what }
            if datatype.isBigEndian { HDF5ForeignType.swapBytes(buffer, width: element.byteCount) }
            return (0..<count).map { Self.text(element, start + $0 * element.byteCount) }.joined(separator: ", ")
        }
    }

    private static func cut(_ text: String) -> String { text.count > 200 ? text.prefix(200) + "…" : text }

    private static func text(_ type: ElementType, _ bytes: UnsafeRawPointer) -> String {
        switch type {
        case .float64: "\(bytes.loadUnaligned(as: Double.self))"
        case .float32: "\(bytes.loadUnaligned(as: Float.self))"
        case .float16, .bfloat16: type.rawValue
        case .int8: "\(bytes.load(as: Int8.self))"
        case .int16: "\(bytes.loadUnaligned(as: Int16.self))"
        case .int32: "\(bytes.loadUnaligned(as: Int32.self))"
        case .int64: "\(bytes.loadUnaligned(as: Int64.self))"
        case .uint8: "\(bytes.load(as: UInt8.self))"
        case .uint16: "\(bytes.loadUnaligned(as: UInt16.self))"
        case .uint32: "\(bytes.loadUnaligned(as: UInt32.self))"
        case .uint64: "\(bytes.loadUnaligned(as: UInt64.self))"
        case .bool: bytes.load(as: UInt8.self) == 0 ? "false" : "true"
        }
    }
}

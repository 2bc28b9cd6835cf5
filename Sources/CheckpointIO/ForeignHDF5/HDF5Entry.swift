import OrderedJSON

/// An object of an HDF5 file of another program, as the process that reads the file describes it.
package struct HDF5Entry: Sendable, Equatable {
    package enum Kind: String, Sendable { case group, dataset, link, type }

    /// More bytes than any dataset has.
    static let maximumByteCount = 1 << 50

    /// Names from the root, without a leading slash; empty for the root.
    package var path: String
    package var kind: Kind
    package var shape: [Int] = []
    /// The elements of a dataset that can be imported; nil for others.
    package var elementType: ElementType?
    /// The datatype as text, for example `float32, big-endian`.
    package var typeText = ""
    /// Storage as text: the layout, chunks and filters.
    package var storage = ""
    /// Why the dataset cannot be imported, or where a link points; nil if nothing is to be said.
    package var remark: String?
    /// Names and values, the values cut.
    package var attributes: [(name: String, value: String)] = []

    package static func == (left: HDF5Entry, right: HDF5Entry) -> Bool { left.json == right.json }

    package var json: JSON {
        var members = JSONObject([("path", .string(path)), ("kind", .string(kind.rawValue))])
        if kind == .dataset {
            members["shape"] = .array(shape.map(JSON.integer))
            if let elementType { members["dtype"] = .string(elementType.rawValue) }
            members["type"] = .string(typeText)
            members["storage"] = .string(storage)
        }
        if let remark { members["remark"] = .string(remark) }
        if !attributes.isEmpty {
            members["attributes"] = .array(
                attributes.map { .array([.string($0.name), .string($0.value)]) })
        }
        return .object(members)
    }

    package init(path: String, kind: Kind) {
        self.path = path
        self.kind = kind
    }

    /// Reads a description, which may be hostile.
    ///
    /// - Throws: `Problem`
    package init(_ bytes: [UInt8]) throws {
        let json: JSON
        do { json = try JSON.parse(bytes) } catch { throw Problem(description: "is not valid JSON") }
        guard let path = json["path"]?.string, let kind = json["kind"]?.string.flatMap(Kind.init) else {
            throw Problem(description: "has no path and kind")
        }
        guard !path.hasPrefix("/"), !path.utf8.contains(0) else { throw Problem(description: "has an invalid path") }
        self.path = path
        self.kind = kind
        remark = json["remark"]?.string
        for pair in json["attributes"]?.array ?? [] {
            guard let texts = pair.array?.map(\.string), texts.count == 2, let name = texts[0], let value = texts[1]
            else { throw Problem(description: "has an invalid attribute") }
            attributes.append((name, value))
        }
        guard kind == .dataset else { return }
        guard let sizes = json["shape"]?.array?.map(\.int), sizes.count <= 32 else {
            throw Problem(description: "has no shape")
        }
        for size in sizes {
            guard let size, size >= 0 else { throw Problem(description: "has an invalid shape") }
            shape.append(size)
        }
        if let type = json["dtype"]?.string {
            guard let known = ElementType(rawValue: type), let count = checkedByteCount(shape, known.byteCount),
                count <= Self.maximumByteCount
            else { throw Problem(description: "has an invalid type or size") }
            elementType = known
        }
        typeText = json["type"]?.string ?? ""
        storage = json["storage"]?.string ?? ""
    }

    package struct Problem: Error, CustomStringConvertible { package var description: String }
}

import Foundation
import Parallel
import Synchronization

/// The SHA-256 of files, and of the tensors in those of other formats.
///
/// The text has a line `SHA256  NAME` for each file, which `sha256sum -c` checks too, and a comment
/// `# tensor SHA256 FILE TAB NAME` for each tensor.
package struct FileManifest: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var sha256: String
        /// The SHA-256 of the stored bytes of each tensor by its name in the file.
        package var tensors: [String: String] = [:]
    }

    /// The files by their paths relative to the folder.
    package private(set) var files: [String: Entry] = [:]

    package var tensorCount: Int { files.values.reduce(0) { $0 + $1.tensors.count } }

    private static let heading = "# ckpt manifest 1: SHA-256 of files, for sha256sum -c, and of tensors"
    private static let tensorMark = "# tensor "
    /// More than the manifest of any model has.
    private static let maximumByteCount = 256 << 20

    init(_ files: [String: Entry]) { self.files = files }

    /// Hashes a file, or all files below a folder, on all cores.
    ///
    /// - Parameters:
    ///   - path: the file or folder.
    ///   - excluded: a file to leave out, such as the manifest itself.
    ///   - progress: receives the bytes hashed so far.
    /// - Returns: the manifest, and the tensors found on the way, by file.
    /// - Throws: `ModelFormatError` if a file cannot be read.
    static func scan(
        _ path: String, excluding excluded: String, progress: (@Sendable (Int) -> Void)?
    ) throws -> (FileManifest, tensors: [String: [ScannedTensor]]) {
        let folder = try ModelFiles(path).folder
        // Large files first, so that no core waits for the last one.
        let files = try files(of: path, excluding: excluded).sorted {
            ($1.byteCount, $0.name) < ($0.byteCount, $1.name)
        }
        let done = ProgressCount(progress)
        let found = Mutex<(files: [String: Entry], tensors: [String: [ScannedTensor]])>(([:], [:]))
        try ParallelWork.forEach(files.count) { index in
            let name = files[index].name
            let file = try RandomAccessFile(path: FilePath.join(folder, name))
            // A file whose header is damaged is hashed as a whole.
            let layout = TensorLayout.isWeightsFile(name) ? try? TensorLayout(file) : nil
            let whole = try FileScan.whole(layout ?? TensorLayout(withoutTensors: file), done)
            let digests = Dictionary(whole.1.map { ($0.name, $0.sha256) }, uniquingKeysWith: { first, _ in first })
            found.withLock {
                $0.files[name] = Entry(sha256: whole.sha256, tensors: digests)
                if layout != nil { $0.tensors[name] = whole.1 }
            }
        }
        let (entries, tensors) = found.withLock { ($0.files, $0.tensors) }
        return (FileManifest(entries), tensors)
    }

    /// The bytes that `scan` reads.
    static func byteCount(of path: String, excluding excluded: String) throws -> Int {
        try files(of: path, excluding: excluded).reduce(0) { $0 + $1.byteCount }
    }

    private static func files(
        of path: String, excluding excluded: String
    ) throws -> [(name: String, byteCount: Int)] {
        let place = try ModelFiles(path)
        var own = stat()
        let hasOwn = stat(excluded, &own) == 0
        return try (place.given ?? FolderFiles.all(in: place.folder)).compactMap { name in
            var other = stat()
            guard stat(FilePath.join(place.folder, name), &other) == 0 else { return (name, 0) }
            let isOwn = hasOwn && (other.st_dev, other.st_ino) == (own.st_dev, own.st_ino)
            return isOwn ? nil : (name, Int(other.st_size))
        }
    }
}

// MARK: Text

extension FileManifest {
    /// The text of the manifest.
    var text: String {
        var lines = [Self.heading]
        for (name, entry) in files.sorted(by: { $0.key < $1.key }) {
            let escaped = Self.escaped(name)
            // A backslash in front says that the name is escaped.
            lines.append("\(escaped == name ? "" : "\\")\(entry.sha256)  \(escaped)")
            for (tensor, sha256) in entry.tensors.sorted(by: { $0.key < $1.key }) {
                lines.append("\(Self.tensorMark)\(sha256) \(escaped)\t\(Self.escaped(tensor))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Reads a manifest, or the output of `sha256sum`.
    ///
    /// - Throws: `ModelFormatError`
    init(path: String) throws {
        guard let text = try TextFile.text(path, maximumByteCount: Self.maximumByteCount) else {
            throw ModelFormatError.cannotRead(path: path, reason: "no such file or directory")
        }
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        for (number, line) in lines.enumerated() {
            func malformed(_ reason: String) -> ModelFormatError {
                .malformed(
                    path: path, place: "line \(number + 1)",
                    reason: reason + "; give what ckpt verify --manifest or sha256sum wrote")
            }
            if line.hasPrefix(Self.tensorMark) {
                let parts = line.dropFirst(Self.tensorMark.count).split(separator: "\t", maxSplits: 1)
                guard parts.count == 2, let (sha256, name) = Self.pair(parts[0], separator: 1),
                    files[Self.unescaped(name)] != nil
                else { throw malformed("is not the SHA-256 of a tensor in a file named before") }
                files[Self.unescaped(name)]?.tensors[Self.unescaped(parts[1])] = sha256
                continue
            }
            guard let first = line.utf8.first, first != UInt8(ascii: "#") else { continue }
            let isEscaped = first == UInt8(ascii: "\\")
            guard let (sha256, name) = Self.pair(isEscaped ? line.dropFirst() : line, separator: 2) else {
                throw malformed("is not a SHA-256 and the name of a file")
            }
            let plain = isEscaped ? Self.unescaped(name) : String(name)
            files[plain.hasPrefix("./") ? String(plain.dropFirst(2)) : plain] = Entry(sha256: sha256)
        }
        guard !files.isEmpty else {
            throw ModelFormatError.malformed(
                path: path, place: "the manifest",
                reason: "names no files; give what ckpt verify --manifest or sha256sum wrote")
        }
    }

    /// A SHA-256 and the text behind `separator` bytes, of which the first is a space.
    private static func pair(_ line: Substring, separator: Int) -> (sha256: String, name: Substring)? {
        let digits = line.utf8.prefix(64)
        let rest = line.utf8.dropFirst(64)
        let isDigest = digits.allSatisfy { byte in
            (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
        }
        guard digits.count == 64, isDigest, rest.first == UInt8(ascii: " "), rest.count > separator else { return nil }
        return (Substring(digits).lowercased(), Substring(rest.dropFirst(separator)))
    }

    private static let escapes: [(plain: Character, code: Character)] = [
        ("\\", "\\"), ("\n", "n"), ("\r", "r"), ("\t", "t"),
    ]

    private static func escaped(_ name: String) -> String {
        var result = ""
        for character in name.unicodeScalars {
            if let escape = escapes.first(where: { $0.plain == Character(character) }) {
                result += "\\\(escape.code)"
            } else {
                result.unicodeScalars.append(character)
            }
        }
        return result
    }

    private static func unescaped(_ text: Substring) -> String {
        var result = ""
        var isCode = false
        for character in text.unicodeScalars {
            if isCode {
                let plain = escapes.first { $0.code == Character(character) }?.plain ?? Character(character)
                result.append(plain)
                isCode = false
            } else if character == "\\" {
                isCode = true
            } else {
                result.unicodeScalars.append(character)
            }
        }
        return result
    }
}

// MARK: Comparison

extension FileManifest {
    /// How the files differ from what a manifest says of them, as damage; and the files that it does not name.
    ///
    /// - Parameters:
    ///   - recorded: the manifest.
    ///   - isFile: Whether only one file was hashed, so that the others of the manifest are not missing.
    /// - Returns: the differences, and the names of the files that the manifest does not have.
    func differences(from recorded: FileManifest, isFile: Bool) -> (damages: [Damage], unnamed: [String]) {
        var damages: [Damage] = []
        for (name, entry) in recorded.files.sorted(by: { $0.key < $1.key }) {
            guard let own = files[name] else {
                if !isFile { damages.append(Damage(place: name, problem: "is in the manifest, but not there")) }
                continue
            }
            guard own.sha256 != entry.sha256 else { continue }
            let changed = entry.tensors.keys.filter { own.tensors[$0] != entry.tensors[$0] }.sorted()
            if changed.isEmpty {
                let place = entry.tensors.isEmpty ? "" : ", outside of the tensors"
                damages.append(Damage(place: name, problem: "does not have the SHA-256 of the manifest\(place)"))
            }
            damages += changed.map { tensor in
                Damage(
                    place: "\(name), \(tensor)", tensor: tensor,
                    problem: own.tensors[tensor] == nil
                        ? "is in the manifest, but not there" : "does not have the SHA-256 of the manifest")
            }
        }
        return (damages, files.keys.filter { recorded.files[$0] == nil }.sorted())
    }

    /// Writes the manifest.
    ///
    /// - Throws: `CheckpointError.system`, or `.exists` unless it may be replaced.
    func write(to path: String, overwrite: Bool) throws {
        try AtomicFile.write(text, to: path, overwrite: overwrite)
    }
}

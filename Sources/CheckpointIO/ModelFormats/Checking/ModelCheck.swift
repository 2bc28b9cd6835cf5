/// Checks a model: its structure, the values of the tensors, and the digests.
///
/// Unlike `ModelReader`, this needs no architecture that ckpt knows: tensors of other formats have the names that they
/// have in the files.
package struct ModelCheck: Sendable {
    /// Something that may be intended.
    package struct Remark: Sendable, Equatable {
        package enum Kind: String, Sendable {
            case zero, constant, duplicate, note
        }

        package var kind: Kind
        /// The tensors it is about, as `FILE: NAME` if there are several files.
        package var tensors: [String]
        package var text: String

        /// The remark on one line.
        package var line: String {
            tensors.isEmpty ? text.onOneLine(limit: 300) : "\(text): \(listed(tensors))"
        }
    }

    /// What is wrong with the files: their structure, or values that are not finite.
    package private(set) var damages: [Damage] = []
    package private(set) var remarks: [Remark] = []
    package private(set) var tensorCount = 0
    /// The size of the tensors in the files.
    package private(set) var byteCount = 0
    /// The digests that were computed for a manifest.
    package private(set) var manifest: FileManifest?

    /// How much is checked.
    package enum Depth: Sendable, Equatable {
        /// Headers, index, configuration and tokenizer.
        case structure
        /// Also every value.
        case values
        /// Also the SHA-256 of all files, for a manifest at this path.
        case manifest(String)
    }

    /// Whether a path is for this check: a folder, or a file of another format.
    package static func applies(to path: String) -> Bool { ModelReader.isOtherFormat(path) }

    /// Checks a folder, a safetensors file or index, or a GGUF file.
    ///
    /// - Parameters:
    ///   - path: the folder or file; for a manifest, any folder or file.
    ///   - depth: how much to check.
    ///   - progress: receives the bytes read so far.
    /// - Throws: `ModelFormatError` if something cannot be read, or is not supported; damage is part of the result.
    package init(_ path: String, _ depth: Depth, progress: (@Sendable (Int) -> Void)? = nil) throws {
        let place = try ModelFiles(path)
        let (folder, names) = (place.folder, place.weights)
        var layouts: [(name: String, layout: TensorLayout)] = []
        for name in names {
            let label = names.count == 1 ? "" : name + ", "
            damages += try Self.damages(label) {
                layouts.append((name, try TensorLayout(RandomAccessFile(path: FilePath.join(folder, name)))))
            }
        }
        tensorCount = layouts.reduce(0) { $0 + $1.layout.tensors.count }
        byteCount = layouts.reduce(0) { $0 + $1.layout.tensors.reduce(0) { $0 + $1.range.count } }
        var scanned: [(name: String, tensors: [ScannedTensor])] = []
        switch depth {
        case .structure: break
        case .values:
            let tensors = try FileScan.tensors(of: layouts.map(\.layout), progress: progress)
            scanned = zip(layouts, tensors).map { ($0.name, $1) }
        case .manifest(let own):
            let result = try FileManifest.scan(path, excluding: own, progress: progress)
            manifest = result.0
            scanned = layouts.compactMap { file in result.tensors[file.name].map { (file.name, $0) } }
        }
        takeValues(scanned)
        // Names and shapes of a model whose files are damaged say nothing.
        if layouts.count == names.count, !names.isEmpty { try checkModel(path) }
    }

    /// Takes malformed and truncated files as damage.
    private static func damages(_ label: String, _ body: () throws -> Void) throws -> [Damage] {
        do {
            try body()
            return []
        } catch ModelFormatError.malformed(_, let place, let reason) {
            return [Damage(place: label + place, problem: reason)]
        } catch ModelFormatError.truncated(_, let place, let needed, let available) {
            let problem = "the file ends too early (\(needed) bytes needed, \(available) there)"
            return [Damage(place: label + place, problem: problem)]
        }
    }

    /// Checks every byte and every value of a checkpoint.
    ///
    /// - Parameters:
    ///   - file: the checkpoint.
    ///   - progress: receives the uncompressed bytes done so far.
    /// - Throws: `CheckpointError` if the file cannot be read; damage is part of the result.
    package init(_ file: CheckpointFile, progress: (@Sendable (Int) -> Void)? = nil) throws {
        let found = try file.verifyWithValues(progress: progress)
        damages = found.damages
        for (tensor, values) in found.values {
            if let problem = values.problem { damages.append(file.damage(to: tensor, chunk: nil, problem)) }
        }
        // Moments and adapters are zero where nothing was trained.
        takeRemarks(
            found.values.filter { $0.tensor.group == .weights }.map { tensor, values in
                let description = tensor.description
                let content = [
                    tensor.sha256 ?? tensor.path, description.elementType.rawValue, "\(description.shape)",
                ]
                return (description.name, content, description.elementCount, values)
            })
    }

    /// Looks at what was found in the tensors of files.
    private mutating func takeValues(_ files: [(name: String, tensors: [ScannedTensor])]) {
        let tensors = files.flatMap { file, tensors in
            tensors.map { (name: files.count == 1 ? $0.name : "\(file): \($0.name)", tensor: $0) }
        }
        for (name, tensor) in tensors {
            guard let problem = tensor.values.problem else { continue }
            damages.append(
                Damage(place: name, tensor: tensor.name, fileOffset: tensor.fileOffset, problem: problem))
        }
        takeRemarks(
            tensors.map { name, tensor in
                (
                    name, [tensor.sha256, tensor.typeName, "\(tensor.shape)"], tensor.shape.reduce(1, &*),
                    tensor.values
                )
            })
    }

    /// Lists tensors of one value, and those of equal content, type and shape.
    private mutating func takeRemarks(
        _ tensors: [(name: String, content: [String], elementCount: Int, values: ValueScan)]
    ) {
        var zero: [String] = []
        var constant: [String] = []
        var equal: [[String]: [String]] = [:]
        for (name, content, elementCount, values) in tensors where elementCount > 0 {
            if values.isConstant, elementCount > 1 {
                if values.isZero { zero.append(name) } else { constant.append(name) }
            } else {
                equal[content, default: []].append(name)
            }
        }
        if !zero.isEmpty { remarks.append(Remark(kind: .zero, tensors: zero, text: "all zero")) }
        if !constant.isEmpty {
            remarks.append(Remark(kind: .constant, tensors: constant, text: "one value throughout"))
        }
        for names in equal.values.filter({ $0.count > 1 }).sorted(by: { $0[0] < $1[0] }) {
            remarks.append(Remark(kind: .duplicate, tensors: names, text: "equal tensors"))
        }
    }

    /// Checks the index, the configuration and the tokenizer of a model, and that no tensor of its architecture is
    /// missing.
    private mutating func checkModel(_ path: String) throws {
        var notes: [String] = []
        var missing: [String] = []
        do {
            damages += try Self.damages("") {
                if ModelReader.isAdapter(path) {
                    _ = try PEFTAdapter(path: path)
                    return
                }
                let model = try ModelImport.open(path: path, requiresConfig: false)
                // Those of GGUF are about an import.
                if model.format != .gguf { notes = model.notes }
                guard let configuration = try? ModelConfiguration(json: model.metadata.config) else { return }
                let (tensors, tied) = (model.source.tensors, model.metadata.tiedTensors)
                missing = ArchitectureFit.missing(configuration, tensors, tied: tied)
                if missing.isEmpty, let problem = ArchitectureFit.problem(configuration, tensors, tied: tied) {
                    notes.append(problem)
                }
            }
        } catch ModelFormatError.unsupported(_, let what, _) {
            notes.append("\(what) is not supported by other commands")
        } catch ModelFormatError.missing(_, let what, _) {
            notes.append("there is no \(what)")
        }
        if !missing.isEmpty {
            let number = missing.count == 1 ? "a tensor of its architecture is" : "\(missing.count) tensors are"
            damages.append(Damage(place: "the model", problem: "\(number) missing: \(listed(missing))"))
        }
        remarks += notes.map { Remark(kind: .note, tensors: [], text: $0) }
    }
}

extension ModelCheck {
    /// Writes the digests as a manifest.
    ///
    /// - Throws: `CheckpointError.system`, or `.exists` unless it may be replaced.
    package func writeManifest(to path: String, overwrite: Bool) throws {
        try manifest?.write(to: path, overwrite: overwrite)
    }

    /// Compares the digests with those of a manifest; differences become damages, files that it does not name remarks.
    ///
    /// - Throws: `ModelFormatError` if the manifest cannot be read, or does not name the file `path`.
    package mutating func compare(with manifestPath: String, _ path: String) throws {
        guard let manifest else { return }
        let isFile = try ModelFiles(path).given != nil
        let (damages, unnamed) = manifest.differences(from: try FileManifest(path: manifestPath), isFile: isFile)
        if isFile, let name = unnamed.first {
            throw ModelFormatError.missing(
                path: manifestPath, what: "entry for \(quoted(name))", remedy: "give the folder, or another manifest")
        }
        self.damages += damages
        if !unnamed.isEmpty {
            remarks.append(Remark(kind: .note, tensors: [], text: "not in the manifest: \(listed(unnamed))"))
        }
    }

    /// The bytes that a check reads, for a progress bar.
    package static func byteCount(of path: String, _ depth: Depth) throws -> Int {
        if case .manifest(let own) = depth { return try FileManifest.byteCount(of: path, excluding: own) }
        let files = try ModelFiles(path)
        return try files.weights.reduce(0) {
            try $0 + RandomAccessFile(path: FilePath.join(files.folder, $1)).byteCount
        }
    }
}

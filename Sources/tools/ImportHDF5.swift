import ArgumentParser
import CheckpointIO
import Surgery

/// Options of `ckpt import` for HDF5 files of other programs.
struct HDF5ImportOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The model's config.json, for an HDF5 file of another program; a tokenizer beside it is imported, too.",
            valueName: "config.json"), completion: .file(extensions: ["json"]))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The name of a dataset in the checkpoint, for HDF5 files; * matches anything, no NEW leaves it out.",
            valueName: "old=new"))
    var rename: [String] = []

    @Option(
        help: ArgumentHelp(
            "Transpose the matrices of these datasets, for HDF5 files: Keras stores kernels as inputs × outputs.",
            valueName: "pattern"))
    var transpose: [String] = []

    @Flag(help: "Keep the matrices of a Keras file as stored, instead of naming those to transpose.")
    var asStored = false

    /// Opens an HDF5 file of another program; nil if `path` is a file of another kind.
    ///
    /// - Throws: `HDF5ImportError`, `ModelFormatError`
    func open(_ path: String) throws -> ImportedModel? {
        guard try ForeignHDF5File.isForeign(path) else {
            let given = [
                config.map { _ in "config" }, rename.first.map { _ in "rename" },
                transpose.first.map { _ in "transpose" },
            ]
            if let option = given.compactMap(\.self).first {
                throw HDF5ImportError.otherFormat(path: path, option: option)
            }
            return nil
        }
        guard let config else { throw HDF5ImportError.noConfig(path: path) }
        let file = try ForeignHDF5File(path: path)
        if file.isKeras, transpose.isEmpty, !asStored { throw HDF5ImportError.keras(path: path) }
        let mapping = try HDF5NameMapping(file, rules: rename, transposed: transpose)
        var model = try ModelImport.open(MappedTensors(file, mapping.tensors), path: path, config: config)
        model.notes.insert(contentsOf: mapping.notes, at: 0)
        return model
    }
}

/// The names of an HDF5 file's datasets in the checkpoint.
struct HDF5NameMapping {
    private(set) var tensors: [MappedTensors.Tensor] = []
    private(set) var notes: [String] = []

    /// Applies the first rule that matches a dataset's path; without one, dots replace the slashes.
    ///
    /// - Throws: `HDF5ImportError`
    init(_ file: ForeignHDF5File, rules texts: [String], transposed: [String]) throws {
        let rules = try texts.map { text -> (NamePattern, Rename.Rule?) in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else { throw HDF5ImportError.rule(text) }
            return (NamePattern(parts[0]), parts[1].isEmpty ? nil : try Rename.Rule(parts[0], parts[1]))
        }
        var unused = Set(rules.indices)
        var leftOut: [String] = []
        var taken: [String: String] = [:]
        for entry in file.entries where entry.kind == .dataset {
            var name = entry.path.replacing("/", with: ".")
            if let index = rules.firstIndex(where: { $0.0.matches(entry.path) }) {
                unused.remove(index)
                guard let rule = rules[index].1 else {
                    leftOut.append(entry.path)
                    continue
                }
                name = rule.name(for: entry.path) ?? name
            }
            guard entry.elementType != nil else {
                throw HDF5ImportError.dataset(
                    file: file.path, path: entry.path, problem: entry.remark ?? "cannot be imported")
            }
            if let other = taken.updateValue(entry.path, forKey: name) {
                throw HDF5ImportError.twice(file: file.path, name: name, first: other, second: entry.path)
            }
            tensors.append(MappedTensors.Tensor(stored: entry.path, name: name, isTransposed: false))
        }
        if let index = unused.min() { throw HDF5ImportError.noMatch(file: file.path, rule: texts[index]) }
        try transpose(file, transposed)
        if !leftOut.isEmpty { notes.append("\(Format.counted(leftOut.count, "dataset")) left out as --rename says") }
    }

    private mutating func transpose(_ file: ForeignHDF5File, _ patterns: [String]) throws {
        let ranks = Dictionary(file.tensors.map { ($0.name, $0.shape.count) }) { first, _ in first }
        for text in patterns {
            let pattern = NamePattern(text)
            var found = false
            for index in tensors.indices where ranks[tensors[index].stored] == 2 {
                guard pattern.matches(tensors[index].stored) || pattern.matches(tensors[index].name) else { continue }
                tensors[index].isTransposed = true
                found = true
            }
            guard found else { throw HDF5ImportError.noMatrix(file: file.path, pattern: text) }
        }
    }
}

enum HDF5ImportError: Error, CustomStringConvertible {
    case noConfig(path: String)
    case otherFormat(path: String, option: String)
    case keras(path: String)
    case rule(String)
    case noMatch(file: String, rule: String)
    case noMatrix(file: String, pattern: String)
    case dataset(file: String, path: String, problem: String)
    case twice(file: String, name: String, first: String, second: String)

    var description: String {
        switch self {
        case .noConfig(let path):
            "\(path): an HDF5 file says nothing of the architecture; give the model's configuration with"
                + " --config config.json"
        case .otherFormat(let path, let option):
            "--\(option): \(path) is not an HDF5 file of another program; leave out --\(option)"
        case .keras(let path):
            "\(path): Keras stores kernels as inputs × outputs; name those to transpose with --transpose, or say"
                + " --as-stored"
        case .rule(let text): "--rename: \(text) is not a valid rule; give OLD=NEW, or OLD= to leave datasets out"
        case .noMatch(let file, let rule): "--rename: \(rule) matches no dataset of \(file); ckpt inspect lists them"
        case .noMatrix(let file, let pattern):
            "--transpose: \(pattern) matches no matrix of \(file); ckpt inspect lists its datasets"
        case .dataset(let file, let path, let problem):
            "\(file): dataset \(path) \(problem); leave it out with --rename '\(path)='"
        case .twice(let file, let name, let first, let second):
            "\(file): \(first) and \(second) would both become \(name); give another --rename"
        }
    }
}

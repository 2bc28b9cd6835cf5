import OrderedJSON

/// Which modules have an adapter, as PEFT decides it.
struct PEFTTargets: Sendable {
    private enum Modules: Sendable {
        /// `all-linear`, or none named: every module that has tensors.
        case all
        case names([String])
        case pattern(ModulePattern)

        init(_ fields: PEFTFields, _ key: String) throws {
            switch fields[key] {
            case nil, .string("all-linear")?: self = .all
            case .string(let text)?: self = .pattern(try ModulePattern(text, path: fields.path))
            default: self = .names(try fields.texts(key))
            }
        }

        func contains(_ module: String) throws -> Bool {
            switch self {
            case .all: true
            case .names(let names): names.contains { module == $0 || module.hasSuffix("." + $0) }
            case .pattern(let pattern): try pattern.matches(module)
            }
        }
    }

    private let targets: Modules
    private let excluded: Modules?
    /// The layers that have adapters; nil for all.
    private let layers: Set<Int>?
    /// The names of lists of layers; empty for any.
    private let lists: [String]

    init(_ fields: PEFTFields) throws {
        targets = try Modules(fields, "target_modules")
        excluded = fields.isOff("exclude_modules") ? nil : try Modules(fields, "exclude_modules")
        lists = try fields.texts("layers_pattern")
        layers = fields.isOff("layers_to_transform") ? nil : Set(try fields.integers("layers_to_transform"))
    }

    func contains(_ module: String) throws -> Bool {
        if try excluded?.contains(module) ?? false { return false }
        guard try targets.contains(module) else { return false }
        guard let layers, case .names(let names) = targets, !names.contains(module) else { return true }
        return layer(of: module).map(layers.contains) ?? false
    }

    /// The first number in a module's name that follows the name of a list of layers.
    private func layer(of module: String) -> Int? {
        let parts = module.split(separator: ".").map(String.init)
        for index in parts.indices.dropFirst().dropLast() {
            guard let number = Int(parts[index]) else { continue }
            if lists.isEmpty ? index > 1 : lists.contains(parts[index - 1]) { return number }
        }
        return nil
    }
}

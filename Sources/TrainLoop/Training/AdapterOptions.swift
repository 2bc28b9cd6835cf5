import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// The value of `--lora`: adapters instead of the whole model are trained.
package struct AdapterOptions: Sendable, Equatable {
    package var rank = 16
    /// nil: twice the rank.
    package var alpha: Double?
    package var usesRankStabilizedScaling = false
    package var dropout = 0.0
    /// Short names of the projections, such as `q`; nil: all.
    package var targets: [String]?
    /// Whether the control tokens' rows of embedding and head are trained too.
    package var trainsControlRows = true

    private static let projections = ["q", "k", "v", "o", "gate", "up", "down"]

    /// Reads `r=16,alpha=32,targets=q+k+v+o+gate+up+down,dropout=0.05,rslora,rows=control`, in any order.
    ///
    /// - Throws: `OptionError`.
    package init(_ text: String) throws {
        for item in text.split(separator: ",") {
            let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
            let value = parts.count == 2 ? parts[1] : ""
            func refuse(_ expected: String) -> OptionError {
                OptionError("\(item): \(expected); an example: --lora r=16,alpha=32,targets=q+v")
            }
            switch (parts.first ?? "", parts.count) {
            case ("r", 2), ("rank", 2):
                guard let number = Int(value), 1...1024 ~= number else { throw refuse("r is a number from 1 to 1024") }
                rank = number
            case ("alpha", 2):
                guard let number = Double(value), number > 0, number <= 1e6 else {
                    throw refuse("alpha is a number above 0")
                }
                alpha = number
            case ("dropout", 2):
                guard let number = Double(value), (0..<1).contains(number) else {
                    throw refuse("dropout is a number from 0 to below 1")
                }
                dropout = number
            case ("rslora", 1): usesRankStabilizedScaling = true
            case ("targets", 2):
                let names = value.split(separator: "+").map { name in
                    name.hasSuffix("_proj") ? String(name.dropLast(5)) : String(name)
                }
                if names == ["all"] {
                    targets = nil
                    continue
                }
                guard !names.isEmpty, names.allSatisfy(Self.projections.contains), Set(names).count == names.count
                else {
                    throw refuse("targets are some of \(Self.projections.joined(separator: "+"))")
                }
                targets = Self.projections.filter(names.contains)
            case ("rows", 2):
                guard ["control", "none"].contains(value) else { throw refuse("rows is control or none") }
                trainsControlRows = value == "control"
            default: throw refuse("the keys are r, alpha, targets, dropout, rslora and rows")
            }
        }
    }

    /// The options as text that `init` reads.
    package var text: String {
        var parts = ["r=\(rank)", "alpha=\(alpha ?? Double(2 * rank))"]
        if let targets { parts.append("targets=" + targets.joined(separator: "+")) }
        if dropout > 0 { parts.append("dropout=\(dropout)") }
        if usesRankStabilizedScaling { parts.append("rslora") }
        if !trainsControlRows { parts.append("rows=none") }
        return parts.joined(separator: ",")
    }

    /// The adapters of a model: those of a state, or new ones on the weights of a checkpoint.
    ///
    /// - Throws: `OptionError` if the targets are parts of matrices that the model stores as one,
    ///   `TrainingStateError.damagedState` if the state has other adapters.
    func record(
        of file: CheckpointFile, _ model: ModelConfiguration, control: ControlTokens, resuming: Bool
    ) throws -> AdapterRecord {
        var record = AdapterRecord(
            rank: rank, alpha: alpha ?? Double(2 * rank), usesRankStabilizedScaling: usesRankStabilizedScaling,
            dropout: dropout, targets: try modules(of: model), rows: trainsControlRows ? control.rows : [],
            baseDigest: file.weightsDigest, basePath: Self.absolutePath(file.path))
        guard resuming else { return record }
        if let stored = file.metadata.adapter {
            (record.baseDigest, record.basePath) = (stored.baseDigest, stored.basePath)
        }
        guard file.metadata.adapter == record else {
            throw TrainingStateError.damagedState(file.path, reason: "its adapters are not those of its options")
        }
        return record
    }

    /// The path by which a state finds the base from any folder.
    private static func absolutePath(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// The names of the modules that have adapters.
    private func modules(of model: ModelConfiguration) throws -> [String] {
        let wanted = targets ?? Self.projections
        var names = wanted.map { $0 + "_proj" }
        if model.fusesProjections {
            func fused(_ parts: [String], _ name: String) throws -> [String] {
                let given = parts.filter(wanted.contains)
                try OptionError.require(
                    given.isEmpty || given == parts,
                    "--lora: this model stores \(parts.joined(separator: ", ")) as one matrix \(name); give all of "
                        + "targets=\(parts.joined(separator: "+")) or none")
                return given.isEmpty ? [] : [name]
            }
            names =
                try fused(["q", "k", "v"], "qkv_proj") + ["o"].filter(wanted.contains).map { $0 + "_proj" }
                + fused(["gate", "up"], "gate_up_proj") + ["down"].filter(wanted.contains).map { $0 + "_proj" }
        }
        return names
    }
}

extension TrainingOptions {
    /// - Throws: `OptionError`.
    func checkSharedCombinations() throws {
        let (adapters, freeze, weights) = (optimizer.adapters, optimizer.freeze, optimizer.weights)
        try OptionError.require(
            optimizer.activations == .fp32 || optimizer.recomputation == .always,
            "--activations bf16 is the format of what --recompute always keeps; give both")
        try OptionError.require(
            adapters != nil || run.savedContent == .complete,
            "--save adapter keeps only what --lora trains; give --lora, or leave it out")
        try OptionError.require(
            adapters == nil || optimizer.trainRows == .all,
            "--train-rows control trains rows alone; --lora trains them beside adapters, so leave one of the two out")
        try OptionError.require(
            adapters == nil || freeze.isEmpty,
            "--freeze has no effect with --lora, which trains adapters only; choose them with targets=")
        try OptionError.require(
            adapters == nil || weights == .fp32,
            "--weights bf16 is for training the model itself; --lora keeps the types of the base (ckpt cast changes them)"
        )
    }
}

extension OptionField where Options: TrainingOptions {
    static var adapters: Self {
        .of(
            "lora", "--lora", \.optimizer.adapters, to: { $0.map { .string($0.text) } ?? .null },
            from: { $0.isNull ? .some(nil) : $0.string.flatMap { try? AdapterOptions($0) } }
        ).recordedIfSet
    }
}

import CheckpointIO
import OrderedJSON
import Transformer

/// A model whose mode preference is measured: a checkpoint, or a model behind a server.
package enum PreferenceSubject {
    case checkpoint(CheckpointFile)
    case served(ServedModel)

    /// The path of a checkpoint, or the model's name and the server's address.
    package var name: String {
        switch self {
        case .checkpoint(let file): file.path
        case .served(let model): model.name
        }
    }

    /// P(`<think>`) and P(`<short>`) as first response token to each problem, as a table with one snapshot.
    ///
    /// - Throws: errors of loading a checkpoint and rendering a prompt, `ServerError`, `ServedModelError`.
    package func preference(_ problems: [Problem]) throws -> ProbeTable {
        var table = ModeProbe.emptyTable(problems)
        switch self {
        case .checkpoint(let file):
            let encoder = try PromptEncoder(file)
            try ModeProbe.record(&table, step: 0, encoder: encoder, model: Model(try ModelParameters(file)))
        case .served(let model):
            var options = Evaluation.Options()
            options.prompt = .plain
            var snapshot = [(think: Double, short: Double)](repeating: (.nan, .nan), count: problems.count)
            let asked = options
            try ConcurrentRequests.forEach(
                problems, atOnce: model.concurrency, ask: { try await model.start($0, asked) },
                receive: { snapshot[$0] = $1.firstToken })
            guard snapshot.allSatisfy({ $0.think.isFinite && $0.short.isFinite }) else {
                throw ServedModelError.noProbabilities
            }
            table.steps.append(0)
            table.pThink.append(snapshot.map(\.think))
            table.pShort.append(snapshot.map(\.short))
        }
        return table
    }
}

extension ModeProbe {
    /// Up to `limit` of the problems or pairs in a file, chosen evenly over the levels.
    ///
    /// - Throws: `DataFileError`.
    package static func problems(in path: String, limit: Int = 64) throws -> [Problem] {
        try choose(ProblemFile.read(path: path), count: limit, seed: 0)
    }
}

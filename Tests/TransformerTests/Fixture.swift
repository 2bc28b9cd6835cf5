import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing
import Transformer

/// Unwraps what the fixtures contain.
func required<T>(_ value: T?, _ description: String) -> T {
    guard let value else { fatalError("the fixtures have no \(description)") }
    return value
}

/// Reference numbers of one tiny transformers model; see Fixtures/make_fixtures.py.
struct Fixture: Sendable, CustomTestStringConvertible {
    let name: String
    let json: JSON
    let weights: [String: [Float]]
    private let numbers: [Float]

    var testDescription: String { name }

    static let all: [Fixture] = {
        let folder = fixturesFolder()
        guard let text = try? String(contentsOf: folder.appendingPathComponent("fixtures.json"), encoding: .utf8),
            let data = try? Data(contentsOf: folder.appendingPathComponent("fixtures.bin")),
            let cases = try? JSON.parse(text)["cases"]?.array
        else { return [] }
        let numbers = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        var weights: [String: [String: [Float]]] = [:]
        for json in cases {
            guard let name = json["name"]?.string, let stored = json["weights"] else { continue }
            weights[name] = tensors(stored, numbers)
        }
        return cases.compactMap { json in
            guard let name = json["name"]?.string, let source = json["weightsOf"]?.string else { return nil }
            return Fixture(name: name, json: json, weights: weights[source] ?? [:], numbers: numbers)
        }
    }()

    static func named(_ name: String) -> Fixture { required(all.first { $0.name == name }, name) }

    private init(name: String, json: JSON, weights: [String: [Float]], numbers: [Float]) {
        self.name = name
        self.json = json
        self.weights = weights
        self.numbers = numbers
    }

    private static func tensors(_ json: JSON, _ numbers: [Float]) -> [String: [Float]] {
        var result: [String: [Float]] = [:]
        for (name, place) in required(json.object, "tensors") { result[name] = slice(place, numbers) }
        return result
    }

    private static func slice(_ place: JSON, _ numbers: [Float]) -> [Float] {
        let values = required(place.array?.compactMap(\.int), "place")
        return Array(numbers[values[0]..<(values[0] + values[1])])
    }

    func tensors(_ json: JSON?) -> [String: [Float]]? { json.map { Self.tensors($0, numbers) } }

    func lists(_ key: String) -> [[Float]] { required(json[key]?.array, key).map { Self.slice($0, numbers) } }

    var sequences: [[Int]] {
        required(json["sequences"]?.array, "sequences").map { ($0.array ?? []).compactMap(\.int) }
    }

    var configuration: ModelConfiguration {
        get throws { try ModelConfiguration(json: required(json["config"]?.string, "config")) }
    }

    func parameters() throws -> ModelParameters {
        try ModelParameters(configuration) { description, into in
            let source = required(weights[description.name], description.name)
            precondition(source.count == into.count)
            for (index, value) in source.enumerated() { into[index] = value }
        }
    }
}

/// The largest difference, relative to the largest reference number.
func relativeError(_ values: some Collection<Float>, _ reference: some Collection<Float>) -> Float {
    guard values.count == reference.count else { return .infinity }
    let scale = reference.reduce(0) { max($0, abs($1)) }
    let difference = zip(values, reference).reduce(Float(0)) { worst, pair in
        let own = abs(pair.0 - pair.1)
        return own.isNaN ? .infinity : max(worst, own)
    }
    return scale == 0 ? difference : difference / scale
}

/// All positions of a batch of independent sequences that have a next token.
func nextTokens(_ sequences: [[Int]]) -> [ScoredPosition] {
    var result: [ScoredPosition] = []
    var start = 0
    for sequence in sequences {
        for index in 0..<max(0, sequence.count - 1) {
            result.append(ScoredPosition(position: start + index, target: sequence[index + 1]))
        }
        start += sequence.count
    }
    return result
}

/// Reproducible pseudo-random numbers from −1 to 1.
func noise(_ count: Int, seed: UInt64 = 1) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int32(truncatingIfNeeded: state >> 33)) / Float(1 << 30) - 1
    }
}

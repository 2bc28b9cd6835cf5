import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Rotary frequencies against those of transformers (`Fixtures/make_rotary.py`).
@Suite struct RotaryReferenceTests {
    @Test func frequenciesEqualThoseOfTransformers() throws {
        let url = fixturesFolder().appending(path: "rotary.json")
        let cases = try #require(try JSON.parse([UInt8](Data(contentsOf: url)))["cases"]?.array)
        #expect(cases.count > 50)
        for entry in cases {
            let text = try #require(entry["config"]?.string)
            let length = try #require(entry["length"]?.int)
            let configuration = try ModelConfiguration(json: text)
            let (inverse, magnitude) = configuration.ropeScaling.frequencies(
                theta: configuration.ropeTheta, dimension: configuration.headDimension,
                maxPositionEmbeddings: configuration.maxPositionEmbeddings, sequenceLength: length)
            let wanted = (entry["frequencies"]?.array ?? []).compactMap(\.double)
            #expect(inverse.count == wanted.count, "\(text)")
            // transformers computes in float32.
            #expect(zip(inverse, wanted).allSatisfy { abs($0 - $1) <= 2e-6 * $1 }, "\(text), length \(length)")
            #expect(abs(magnitude - (entry["factor"]?.double ?? 0)) <= 1e-6, "\(text)")
        }
    }
}

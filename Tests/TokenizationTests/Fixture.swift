import Foundation
import OrderedJSON
import TestSupport

/// Reads the files that the scripts in `Fixtures` generate.
enum Fixture {
    static func path(_ name: String) -> String { fixturesFolder().appending(path: name).path }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func json(_ name: String) throws -> JSON { try JSON.parse(try bytes(name)) }
}

extension JSON {
    /// The elements of an array of integers.
    var ids: [Int] { (array ?? []).compactMap(\.int) }
}

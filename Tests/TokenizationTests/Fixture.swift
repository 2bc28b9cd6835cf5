import Foundation
import OrderedJSON

/// Files that the scripts in `Fixtures` wrote.
enum Fixture {
    static func bytes(_ name: String, from file: String = #filePath) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Fixtures")
        return Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    static func json(_ name: String) throws -> JSON { try JSON.parse(try bytes(name)) }
}

extension JSON {
    /// The elements of an array of integers.
    var ids: [Int] { (array ?? []).compactMap(\.int) }
}

import Foundation

/// The folder that holds Package.swift.
package let repositoryRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// The folder `Fixtures` beside the test file that asks for it.
package func fixturesFolder(of testFile: String = #filePath) -> URL {
    URL(filePath: testFile).deletingLastPathComponent().appending(path: "Fixtures")
}

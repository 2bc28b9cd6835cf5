import Glibc
import Testing
import Transformer

@Suite struct MatrixLibraryTests {
    /// OpenBLAS alone falls back to SSE3 on a processor that is newer than it.
    @Test func usesTheInstructionsOfTheProcessor() {
        guard getenv("OPENBLAS_CORETYPE") == nil, EngineThreads.instructionSet != "SSE2" else { return }
        let library = EngineThreads.library
        let kinds = ["Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"]
        #expect(kinds.contains { library.lowercased().contains("(\($0.lowercased()))") }, "\(library)")
        #expect(getenv("OPENBLAS_CORETYPE") == nil)
    }
}

import CheckpointIO
import OrderedJSON
import Ranks
import Transformer

extension RankGroup {
    /// Checks that all ranks start the same run on processors that compute the same bits.
    ///
    /// `record` is the stage's own part of the training state, which names options and data.
    ///
    /// - Throws: `RankError.differ`.
    func checkSameRun(_ file: CheckpointFile, _ record: [(String, JSON)]) throws {
        func check(_ what: String, _ own: String) throws {
            try checkEqual(own) { rank, first, other in
                "\(what) of rank 0 is \(first.onOneLine(limit: 120)), that of rank \(rank) "
                    + other.onOneLine(limit: 120)
            }
        }
        try check("the program", Tool.name)
        try check("the instruction set", EngineThreads.instructionSet)
        try check("the matrix library", EngineThreads.library)
        try check("the number of threads", String(EngineThreads.count))
        try check("the digest of the checkpoint", file.digest)
        for (name, value) in record { try check("\(name)", value.serialized()) }
    }
}

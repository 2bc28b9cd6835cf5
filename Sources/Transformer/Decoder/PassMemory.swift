import Foundation

/// The memory of passes through a model, which models that compute in turns share.
final class PassMemory {
    /// Held while the memory is in use.
    let turn = NSLock()
    let head = Workspace()
    private var all: [Workspace] = []

    /// The memory of the parts of a batch.
    func workspaces(_ count: Int) -> [Workspace] {
        while all.count < count { all.append(Workspace()) }
        return all
    }
}

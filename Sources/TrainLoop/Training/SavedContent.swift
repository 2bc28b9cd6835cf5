/// What a run's states contain.
package enum SavedContent: String, Sendable, CaseIterable {
    /// The whole model.
    case complete
    /// The adapters and the trained rows; the model is computed from them and the base, which must stay where it is.
    case adapter
}

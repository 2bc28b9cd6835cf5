/// A node of the binary tree in which the gradients of an update's slices are added.
package struct SliceNode: Sendable {
    /// 0 for the sums of two slices.
    package let level: Int
    /// The number of the node in its level.
    package let index: Int

    package init(level: Int, index: Int) {
        self.level = level
        self.index = index
    }
}

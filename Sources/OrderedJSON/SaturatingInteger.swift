extension Int {
    /// A number without its fraction; the nearest integer if it is out of range, and 0 if it is not a number.
    ///
    /// Numbers from files go through this initializer, because `Int(_:)` traps for those that it cannot represent.
    package init(saturating value: Double) {
        self = value.isNaN ? 0 : value >= 0x1p63 ? .max : value < -0x1p63 ? .min : Int(value)
    }
}

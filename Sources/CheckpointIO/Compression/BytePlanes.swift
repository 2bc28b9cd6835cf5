/// Elements of two bytes each, with low and high bytes separated.
package struct BytePlanes {
    package let low: UnsafePointer<UInt8>
    package let high: UnsafePointer<UInt8>
    package let count: Int

    package init(low: UnsafePointer<UInt8>, high: UnsafePointer<UInt8>, count: Int) {
        self.low = low
        self.high = high
        self.count = count
    }
}

import CheckpointIO
import Testing

@Suite struct ElementConversionTests {
    @Test func everyFloat16RoundTrips() throws {
        for bits in UInt16.min...UInt16.max {
            let value = ElementConversion.float16ToFloat32(bits)
            #expect(ElementConversion.float32ToFloat16(value) == (value.isNaN ? bits | 0x200 : bits))
            let reference = Float(Float16(bitPattern: bits))
            #expect(value.bitPattern == reference.bitPattern || (value.isNaN && reference.isNaN))
        }
    }

    @Test func float16RoundsToNearestEven() {
        for bits in stride(from: UInt32(0x3300_0000), to: 0x4790_0000, by: 0x7f3) {
            let value = Float(bitPattern: bits)
            #expect(ElementConversion.float32ToFloat16(value) == Float16(value).bitPattern)
            #expect(ElementConversion.float32ToFloat16(-value) == Float16(-value).bitPattern)
        }
    }

    @Test(arguments: [
        (0x3f80_0000 as UInt32, 0x3f80 as UInt16), (0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82),
        (0x3f80_8001, 0x3f81), (0x7f80_0000, 0x7f80), (0x7f7f_ffff, 0x7f80), (0x7f80_0001, 0x7fc0),
        (0xffc0_1234, 0xffc0), (0x0000_8000, 0x0000), (0x8000_0001, 0x8000),
    ]) func bfloat16Rounds(bits: UInt32, expected: UInt16) {
        #expect(ElementConversion.float32ToBFloat16(Float(bitPattern: bits)) == expected)
    }

    @Test(arguments: ElementType.allCases) func smallNumbersSurviveEveryType(type: ElementType) throws {
        let values: [Float] = [0, 1, 1, 0, 1]
        var bytes = [UInt8](repeating: 0xaa, count: values.count * type.byteCount)
        try values.withUnsafeBufferPointer { values in
            try bytes.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, type, into: $0) }
        }
        var back = [Float](repeating: -1, count: values.count)
        try bytes.withUnsafeBytes { bytes in
            try back.withUnsafeMutableBufferPointer { try ElementConversion.toFloat32(bytes, type, into: $0) }
        }
        #expect(back == values)
    }

    @Test func integersRefuseWhatTheyCannotHold() {
        for (value, type) in [
            (0.5 as Float, ElementType.int32), (128, .int8), (-1, .uint64), (.nan, .int64), (2, .bool),
        ] {
            var bytes = [UInt8](repeating: 0, count: type.byteCount)
            #expect(throws: ElementConversionError.self) {
                try [value].withUnsafeBufferPointer { values in
                    try bytes.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, type, into: $0) }
                }
            }
        }
    }
}

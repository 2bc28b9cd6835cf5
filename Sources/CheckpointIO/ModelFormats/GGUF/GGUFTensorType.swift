/// The supported element types of GGUF tensors, with ggml's numbers.
///
/// Quantised rows are sequences of blocks with scales; see `GGUFDequantization`.
package enum GGUFTensorType: UInt32, CaseIterable, Sendable {
    case f32 = 0
    case f16 = 1
    case q40 = 2
    case q41 = 3
    case q50 = 6
    case q51 = 7
    case q80 = 8
    case q2K = 10
    case q3K = 11
    case q4K = 12
    case q5K = 13
    case q6K = 14
    case iq2XXS = 16
    case iq2XS = 17
    case iq3XXS = 18
    case iq1S = 19
    case iq4NL = 20
    case iq3S = 21
    case iq2S = 22
    case iq4XS = 23
    case iq1M = 29
    case bf16 = 30
    case tq10 = 34
    case tq20 = 35
    case mxfp4 = 39

    /// ggml's name.
    package var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .q40: "Q4_0"
        case .q41: "Q4_1"
        case .q50: "Q5_0"
        case .q51: "Q5_1"
        case .q80: "Q8_0"
        case .q2K: "Q2_K"
        case .q3K: "Q3_K"
        case .q4K: "Q4_K"
        case .q5K: "Q5_K"
        case .q6K: "Q6_K"
        case .iq2XXS: "IQ2_XXS"
        case .iq2XS: "IQ2_XS"
        case .iq3XXS: "IQ3_XXS"
        case .iq1S: "IQ1_S"
        case .iq4NL: "IQ4_NL"
        case .iq3S: "IQ3_S"
        case .iq2S: "IQ2_S"
        case .iq4XS: "IQ4_XS"
        case .iq1M: "IQ1_M"
        case .bf16: "BF16"
        case .tq10: "TQ1_0"
        case .tq20: "TQ2_0"
        case .mxfp4: "MXFP4"
        }
    }

    /// Elements per block.
    package var blockElementCount: Int {
        switch self {
        case .f32, .f16, .bf16: 1
        case .q40, .q41, .q50, .q51, .q80, .iq4NL, .mxfp4: 32
        case .q2K, .q3K, .q4K, .q5K, .q6K: 256
        case .iq1S, .iq1M, .iq2XXS, .iq2XS, .iq2S, .iq3XXS, .iq3S, .iq4XS, .tq10, .tq20: 256
        }
    }

    /// Bytes per block.
    package var blockByteCount: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .mxfp4: 17
        case .q40, .iq4NL: 18
        case .q41: 20
        case .q50: 22
        case .q51: 24
        case .q80: 34
        case .iq1S: 50
        case .tq10: 54
        case .iq1M: 56
        case .iq2XXS, .tq20: 66
        case .iq2XS: 74
        case .iq2S: 82
        case .q2K: 84
        case .iq3XXS: 98
        case .q3K, .iq3S: 110
        case .iq4XS: 136
        case .q4K: 144
        case .q5K: 176
        case .q6K: 210
        }
    }

    /// The type in a checkpoint; quantised types become float32 with the exact values that llama.cpp uses.
    var elementType: ElementType {
        switch self {
        case .f16: .float16
        case .bf16: .bfloat16
        default: .float32
        }
    }

    /// ggml's names of the unsupported types: those that models' weights do not have, NVFP4, whose tensors come with
    /// further scales, and Q1_0.
    static let otherNames: [UInt32: String] = [
        9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 40: "NVFP4",
        41: "Q1_0",
    ]
}

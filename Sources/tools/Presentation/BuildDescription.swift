import CheckpointIO
import Tokenization
import Transformer

/// The text of `ckpt --version`: the program, and the compiler and libraries it was built with.
enum BuildDescription {
    static var text: String {
        let libraries =
            Tool.libraries + [EngineThreads.library, "kernels for \(EngineThreads.instructionSet)", Tokenizer.library]
        return """
            \(Tool.name)
            built with Swift \(compiler) for \(system) on \(architecture), \(configuration)
            \(libraries.joined(separator: ", "))
            checkpoint format \(Tool.formatVersion)
            """
    }

    /// The compiler's version, which is available only to `#if`.
    private static var compiler: String {
        #if compiler(>=6.5)
            "6.5 or newer"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #elseif compiler(>=6.2)
            "6.2"
        #else
            "6.1"
        #endif
    }

    private static var system: String {
        #if os(Linux)
            "Linux"
        #elseif os(macOS)
            "macOS"
        #else
            "another system"
        #endif
    }

    private static var architecture: String {
        #if arch(x86_64)
            "x86-64"
        #elseif arch(arm64)
            "arm64"
        #else
            "another processor"
        #endif
    }

    private static var configuration: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}

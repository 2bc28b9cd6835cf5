// swift-tools-version: 6.2
import PackageDescription

let warningsAreErrors: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: warningsAreErrors)
}

/// - Parameter fixtures: whether the tests have a folder `Fixtures`, which they read where it stands.
func tests(of name: String, _ dependencies: [Target.Dependency] = [], fixtures: Bool = false) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        exclude: fixtures ? ["Fixtures"] : [],
        swiftSettings: warningsAreErrors)
}

func systemLibrary(
    _ name: String, in folder: String = "Sources/CLibraries", pkgConfig: String, apt package: String
) -> Target {
    .systemLibrary(name: name, path: "\(folder)/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

let package = Package(
    name: "ckpt",
    products: [
        .executable(name: "ckpt", targets: ["ckpt"]),
        .library(name: "CheckpointIO", targets: ["CheckpointIO"]),
        .library(name: "Tokenization", targets: ["Tokenization"]),
        .library(name: "Jinja", targets: ["Jinja"]),
        .library(name: "OrderedJSON", targets: ["OrderedJSON"]),
        .library(name: "Transformer", targets: ["Transformer"]),
        .library(name: "Surgery", targets: ["Surgery"]),
        .library(name: "TrainLoop", targets: ["TrainLoop"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        systemLibrary("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        systemLibrary("COpenBLAS", pkgConfig: "openblas", apt: "libopenblas-dev"),
        systemLibrary("CPCRE2", pkgConfig: "libpcre2-8", apt: "libpcre2-dev"),
        systemLibrary("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
        .systemLibrary(name: "CSystem", path: "Sources/CLibraries/CSystem"),
        // For instructions that are found at run time; see docs/engine.md and docs/benchmarks.md.
        .target(name: "CKernels"),
        .target(name: "SHA256Blocks"),

        library("OrderedJSON", []),
        library("Parallel", ["CSystem"]),
        library("Jinja", ["OrderedJSON"]),
        library("CheckpointIO", ["OrderedJSON", "Parallel", "CZstd", "CCrypto", "CSystem", "SHA256Blocks"]),
        library("Tokenization", ["OrderedJSON", "Jinja", "CPCRE2"]),
        library("Transformer", ["OrderedJSON", "Parallel", "CheckpointIO", "COpenBLAS", "CKernels"]),
        library("Surgery", ["OrderedJSON", "Parallel", "CheckpointIO", "Tokenization", "Transformer"]),
        library("TrainLoop", ["OrderedJSON", "Parallel", "CheckpointIO", "Tokenization", "Transformer"]),
        .executableTarget(
            name: "ckpt",
            dependencies: [
                "OrderedJSON", "CheckpointIO", "Tokenization", "Transformer", "Surgery", "TrainLoop",
                .product(name: "ArgumentParser", package: "swift-argument-parser"), "Yams",
            ],
            path: "Sources/tools",
            swiftSettings: warningsAreErrors),

        // Saves, loads and copies for bench/io and for the tests of crashes and faults.
        .executableTarget(
            name: "io-bench", dependencies: ["CheckpointIO", "Parallel"], path: "bench/io", exclude: ["compare.py"],
            sources: ["main.swift"], swiftSettings: warningsAreErrors),

        // Damages a checkpoint bit by bit and cut by cut, and sees what verifying says.
        .executableTarget(
            name: "damage-bench", dependencies: ["CheckpointIO"], path: "bench/damage",
            swiftSettings: warningsAreErrors),

        // Measures the engine; see docs/engine.md.
        .executableTarget(
            name: "engine-bench", dependencies: ["Transformer", "Parallel", "CheckpointIO", "COpenBLAS"], path: "bench/engine",
            exclude: ["compare.py", "rounding.py"], sources: ["main.swift"], swiftSettings: warningsAreErrors),

        // Compares with other tokenizers and measures; see bench/tokenization.
        .executableTarget(
            name: "tokenization-bench", dependencies: ["OrderedJSON", "CheckpointIO", "Tokenization"],
            path: "bench/tokenization",
            exclude: ["compare.py"],
            swiftSettings: warningsAreErrors),

        // Moves models between formats and measures; see bench/foreign.
        .executableTarget(
            name: "foreign-bench", dependencies: ["CheckpointIO"], path: "bench/foreign",
            swiftSettings: warningsAreErrors),

        // What the readers are fuzzed with; built with libFuzzer by scripts/check/fuzz.
        .target(
            name: "FuzzTargets", dependencies: ["OrderedJSON", "Jinja", "CheckpointIO", "Tokenization", "Transformer"],
            path: "Tests/FuzzTargets", swiftSettings: warningsAreErrors),
        tests(of: "FuzzTargets", fixtures: true),

        // Temporary folders, running commands, and what else the test targets share.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: warningsAreErrors),

        tests(of: "OrderedJSON"),
        // The library that stock tools read HDF5 with; the program itself does without it.
        systemLibrary("CHDF5", in: "Tests", pkgConfig: "hdf5", apt: "libhdf5-dev"),
        tests(of: "CheckpointIO", ["OrderedJSON", "CHDF5", "CZstd"], fixtures: true),
        tests(of: "Jinja", ["OrderedJSON"], fixtures: true),
        tests(of: "Tokenization", ["OrderedJSON", "CheckpointIO"], fixtures: true),
        tests(of: "Transformer", ["OrderedJSON", "Parallel", "CheckpointIO"], fixtures: true),
        tests(of: "Surgery", ["OrderedJSON", "CheckpointIO", "Tokenization", "Transformer"], fixtures: true),
        tests(
            of: "TrainLoop", ["OrderedJSON", "Parallel", "CheckpointIO", "Tokenization", "Transformer", "HostileAnswers"],
            fixtures: true),
        // Answers made to cost time; tests and grading-bench share them.
        .target(name: "HostileAnswers", path: "Tests/HostileAnswers", swiftSettings: warningsAreErrors),

        // Measures what hostile answers cost the grader; compare.py compares with math-verify.
        .executableTarget(
            name: "grading-bench", dependencies: ["TrainLoop", "HostileAnswers"], path: "bench/grading",
            exclude: ["compare.py"], sources: ["main.swift"], swiftSettings: warningsAreErrors),

        .testTarget(
            name: "EndToEndTests", dependencies: ["OrderedJSON", "CheckpointIO", "TestSupport"], exclude: ["Fixtures"],
            swiftSettings: warningsAreErrors),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

let warningsAreErrors: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func library(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: warningsAreErrors)
}

/// The tests of a library; `fixtures` says whether they have a folder `Fixtures`, which they read in place.
func tests(of name: String, _ dependencies: [Target.Dependency] = [], fixtures: Bool = false) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        exclude: fixtures ? ["Fixtures"] : [],
        swiftSettings: warningsAreErrors)
}

/// A program that `bench/FOLDER/compare.py` or a person runs to measure.
func benchmark(
    _ name: String, in folder: String, _ dependencies: [Target.Dependency], scripts: [String] = []
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "bench/\(folder)", exclude: scripts, sources: ["main.swift"],
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
        .package(url: "https://github.com/attaswift/BigInt", from: "6.0.1"),
    ],
    targets: [
        systemLibrary("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        systemLibrary("COpenBLAS", pkgConfig: "openblas", apt: "libopenblas-dev"),
        systemLibrary("CPCRE2", pkgConfig: "libpcre2-8", apt: "libpcre2-dev"),
        systemLibrary("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
        // Loaded at run time, so only its headers are used.
        .systemLibrary(
            name: "CCurl", path: "Sources/CLibraries/CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        systemLibrary("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        .systemLibrary(name: "CSystem", path: "Sources/CLibraries/CSystem"),
        // Compiled for instructions that are detected at run time; see docs/engine.md and docs/benchmarks.md.
        .target(name: "CKernels"),
        .target(name: "CFileKernels"),

        library("OrderedJSON", []),
        library("Parallel", ["CSystem"]),
        library("Ranks", []),
        library("HTTP", ["OrderedJSON", "Parallel", "CCurl"]),
        library("DataFiles", ["OrderedJSON", "CZstd", "CZlib", "CSystem"]),
        library("Jinja", ["OrderedJSON"]),
        library("CheckpointIO", ["OrderedJSON", "Parallel", "CZstd", "CCrypto", "CPCRE2", "CSystem", "CFileKernels"]),
        library("Tokenization", ["OrderedJSON", "Jinja", "CPCRE2"]),
        library("Transformer", ["OrderedJSON", "Parallel", "CheckpointIO", "CKernels"]),
        library("Surgery", ["OrderedJSON", "Parallel", "CheckpointIO", "Tokenization", "Transformer"]),
        library(
            "TrainLoop",
            [
                "OrderedJSON", "Parallel", "Ranks", "DataFiles", "HTTP", "CheckpointIO", "Tokenization", "Transformer",
                "BigInt",
            ]),
        .executableTarget(
            name: "ckpt",
            dependencies: [
                "OrderedJSON", "Parallel", "Ranks", "DataFiles", "HTTP", "CheckpointIO", "Tokenization", "Transformer",
                "Surgery", "TrainLoop", .product(name: "ArgumentParser", package: "swift-argument-parser"), "Yams",
                "CSystem",
            ],
            path: "Sources/tools",
            swiftSettings: warningsAreErrors),

        // Also run by the tests of crashes and faults.
        benchmark("io-bench", in: "io", ["CheckpointIO", "Parallel"], scripts: ["compare.py"]),
        benchmark("damage-bench", in: "damage", ["CheckpointIO", "Parallel"], scripts: ["stock.py"]),
        benchmark("formats-bench", in: "formats", ["CheckpointIO"]),
        benchmark(
            "engine-bench", in: "engine", ["Transformer", "Parallel", "CheckpointIO", "COpenBLAS"],
            scripts: ["compare.py", "rounding.py"]),
        benchmark(
            "tokenization-bench", in: "tokenization", ["OrderedJSON", "CheckpointIO", "Tokenization"],
            scripts: ["compare.py"]),
        benchmark(
            "grading-bench", in: "grading", ["TrainLoop", "HostileAnswers"],
            scripts: ["compare.py", "math-verify-tests.py"]),

        // Temporary folders, running commands, and what else the test targets share.
        library("TestSupport", ["CheckpointIO"], path: "Tests/TestSupport"),
        // Answers that take long to grade, for the tests and grading-bench.
        library("HostileAnswers", [], path: "Tests/HostileAnswers"),
        // The readers that scripts/check/fuzz builds with libFuzzer.
        library(
            "FuzzTargets",
            ["OrderedJSON", "CZlib", "Jinja", "DataFiles", "CheckpointIO", "Tokenization", "Transformer"],
            path: "Tests/FuzzTargets"),
        // libhdf5 checks in a test what the program writes without it.
        systemLibrary("CHDF5", in: "Tests", pkgConfig: "hdf5", apt: "libhdf5-dev"),

        tests(of: "FuzzTargets", fixtures: true),
        tests(of: "OrderedJSON"),
        tests(of: "Ranks"),
        tests(of: "DataFiles", ["OrderedJSON"], fixtures: true),
        tests(of: "CheckpointIO", ["OrderedJSON", "Parallel", "CHDF5", "CZstd"], fixtures: true),
        tests(of: "Jinja", ["OrderedJSON"], fixtures: true),
        tests(of: "Tokenization", ["OrderedJSON", "CheckpointIO"], fixtures: true),
        tests(of: "Transformer", ["OrderedJSON", "Parallel", "CheckpointIO"], fixtures: true),
        tests(of: "Surgery", ["OrderedJSON", "CheckpointIO", "Tokenization", "Transformer"], fixtures: true),
        tests(
            of: "TrainLoop",
            ["OrderedJSON", "Parallel", "HTTP", "CheckpointIO", "Tokenization", "Transformer", "HostileAnswers"],
            fixtures: true),
        tests(of: "ckpt", ["TrainLoop"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["OrderedJSON", "CheckpointIO", "Transformer", "TestSupport"],
            exclude: ["Fixtures"], swiftSettings: warningsAreErrors),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "ReadCheckpoint",
    dependencies: [.package(name: "ckpt", path: "../..")],
    targets: [
        .executableTarget(
            name: "ReadCheckpoint", dependencies: [.product(name: "CheckpointIO", package: "ckpt")], path: "Sources")
    ]
)

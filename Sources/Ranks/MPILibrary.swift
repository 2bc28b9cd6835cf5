import Foundation
import Glibc

/// The functions of the MPI plugin (Sources/MPIPlugin), which `scripts/install-mpi` builds.
///
/// It is opened only when a launcher started the process, so that the program needs no MPI.
struct MPILibrary: Sendable {
    typealias Bytes = UnsafeRawPointer
    typealias MutableBytes = UnsafeMutableRawPointer

    let start: @convention(c) @Sendable (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> Int32
    let exchangeHeaders: @convention(c) @Sendable (Bytes, MutableBytes, Int32) -> Int32
    let exchange: @convention(c) @Sendable (Bytes?, Int64, MutableBytes?, Int64, Int32) -> Int32
    let announceFailure: @convention(c) @Sendable (Bytes, Int32) -> Void
    let receiveFailure: @convention(c) @Sendable (MutableBytes, Int32, UnsafeMutablePointer<Int32>) -> Int32
    let finish: @convention(c) @Sendable () -> Void
    private let errorText: @convention(c) @Sendable () -> UnsafePointer<CChar>?
    private let versionText: @convention(c) @Sendable (UnsafeMutablePointer<CChar>, Int32) -> Void

    /// The text of the last error of MPI.
    var error: String { errorText().map { String(cString: $0) } ?? "unknown error" }

    /// The first line of the version of the MPI library.
    var version: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { text in
            guard let start = text.baseAddress else { return "" }
            versionText(start, 1024)
            return String(cString: start).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        }
    }

    /// The folders in which plugins are looked for.
    static func folders(_ environment: [String: String]) -> [String] {
        if let folder = environment["CKPT_MPI_PLUGINS"], !folder.isEmpty { return [folder] }
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = program.lastIndex(of: "/").map { String(program[..<$0]) }
        let own = environment["HOME"].map { $0 + "/.local/lib/ckpt" }
        return [beside, own].compactMap { $0 }
    }

    /// Opens the plugin of a launcher.
    ///
    /// - Throws: `RankError` if it is missing or cannot be opened.
    init(of launcher: MPILauncher, _ environment: [String: String]) throws {
        let folders = Self.folders(environment)
        let paths = launcher.kinds.flatMap { kind in folders.map { "\($0)/libckpt-mpi-\(kind).so" } }
        guard let path = paths.first(where: { access($0, F_OK) == 0 }) else {
            throw RankError.noPlugin(launcher: launcher.name, folders: folders)
        }
        // Global, because Open MPI opens parts of itself that need its symbols.
        guard let library = dlopen(path, RTLD_NOW | RTLD_GLOBAL) else {
            let reason = dlerror().map { String(cString: $0) } ?? "unknown reason"
            throw RankError.unusablePlugin(path: path, reason: reason)
        }
        func function<Function>(_ name: String, _ type: Function.Type = Function.self) throws -> Function {
            guard let address = dlsym(library, "ckpt_mpi_" + name) else {
                throw RankError.unusablePlugin(path: path, reason: "it has no function ckpt_mpi_\(name)")
            }
            return unsafeBitCast(address, to: type)
        }
        start = try function("start")
        exchangeHeaders = try function("exchange_headers")
        exchange = try function("exchange")
        announceFailure = try function("announce_failure")
        receiveFailure = try function("receive_failure")
        finish = try function("finish")
        errorText = try function("error")
        versionText = try function("version")
    }
}

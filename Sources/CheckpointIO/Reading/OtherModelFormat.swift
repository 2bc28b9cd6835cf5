import Foundation

/// Recognises models of other formats where a checkpoint is needed.
enum OtherModelFormat {
    /// Refuses a folder, and a file of another format, with what makes a checkpoint of it.
    ///
    /// - Throws: `CheckpointError.notACheckpoint`
    static func refuse(_ path: String) throws {
        var status = stat()
        // Opening a path that cannot be examined says why.
        guard stat(path, &status) == 0 else { return }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            throw CheckpointError.notACheckpoint(path: path, what: "a folder", remedy: remedy(forFolder: path))
        case S_IFREG:
            guard let what = format(ofFile: path, byteCount: Int(status.st_size)) else { return }
            throw CheckpointError.notACheckpoint(path: path, what: what, remedy: importing(path))
        default: return
        }
    }

    private static func importing(_ path: String) -> String { "make one with `ckpt import \(path) -o model.h5`" }

    private static func remedy(forFolder path: String) -> String {
        func has(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }
        if has("config.json") || has("model.safetensors") { return importing(path) }
        if has("adapter_config.json") { return "make one with `ckpt import BASE --adapter \(path) -o model.h5`" }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        // Names of states begin with their steps.
        let last = files.filter { $0.hasSuffix(".h5") }.max()
        return last.map { "give a file in it, such as \(path)/\($0)" } ?? "it has no .h5 file; give a checkpoint"
    }

    /// The format of a file by its first bytes; nil if it is neither GGUF nor safetensors.
    private static func format(ofFile path: String, byteCount: Int) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var start = [UInt8](repeating: 0, count: 9)
        guard pread(descriptor, &start, start.count, 0) == start.count else { return nil }
        if start.starts(with: "GGUF".utf8) { return "a GGUF file" }
        let headerByteCount = start.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        return start[8] == UInt8(ascii: "{") && headerByteCount < UInt64(byteCount) ? "a safetensors file" : nil
    }
}

import Foundation

/// The target and its folder, from the environment: `CKPT_FUZZ_TARGET`, `CKPT_FUZZ_COMPANIONS`, `TMPDIR`.
private let session: (target: FuzzTarget, reading: FuzzFolder, exporting: FuzzFolder) = {
    let environment = ProcessInfo.processInfo.environment
    guard let target = environment["CKPT_FUZZ_TARGET"].flatMap(FuzzTarget.init),
        let folder = environment["CKPT_FUZZ_COMPANIONS"]
    else {
        print("CKPT_FUZZ_TARGET or CKPT_FUZZ_COMPANIONS is missing; run scripts/check/fuzz")
        exit(2)
    }
    let work = NSTemporaryDirectory() + "/ckpt-fuzz-\(target.rawValue)-\(getpid())"
    do {
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        let companions = try FuzzFolder.companions(in: folder)
        return (
            target, FuzzFolder(path: work, companions: companions, exports: false),
            FuzzFolder(path: work, companions: companions, exports: true)
        )
    } catch {
        print("\(error)")
        exit(2)
    }
}()

/// The entry point that libFuzzer calls.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    // One input in eight, always the same ones.
    let isExported = bytes.reduce(0, &+) % 8 == 0
    do {
        _ = try session.target.run(bytes, in: isExported ? session.exporting : session.reading)
    } catch {
        FileHandle.standardError.write(Data("finding: \(error)\n".utf8))
        abort()
    }
    return 0
}

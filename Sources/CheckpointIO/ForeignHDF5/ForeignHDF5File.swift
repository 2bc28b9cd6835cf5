import Foundation

/// An HDF5 file that is not a checkpoint, or the weights in a `.keras` archive, read by libhdf5 in a child process.
///
/// A checkpoint is never opened this way: `CheckpointFile` reads it without libhdf5.
package final class ForeignHDF5File: TensorSource {
    package let path: String
    /// All objects, in the order of the file's groups.
    package let entries: [HDF5Entry]
    /// The datasets that can be imported; their names are paths.
    package let tensors: [TensorDescription]
    private let numbers: [String: Int]
    private let process: HDF5Process

    /// Whether a file begins like an HDF5 file or is an archive of Keras, and is not a checkpoint.
    ///
    /// - Throws: `ModelFormatError` if the file cannot be read.
    package static func isForeign(_ path: String) throws -> Bool {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        let file = try RandomAccessFile(path: path)
        return try (isHDF5(file) && !isCheckpoint(path)) || KerasArchive.weights(in: file) != nil
    }

    /// Whether a file is for the strict reader, damaged or not.
    private static func isCheckpoint(_ path: String) throws -> Bool {
        if CheckpointSignature.isFound(in: path) || CheckpointSignature.isClaimed(in: path) { return true }
        return try isCut(RandomAccessFile(path: path))
    }

    /// Whether the file is shorter than its superblock of version 0 says, which checkpoints have.
    ///
    /// libhdf5 reads no such file either, and the strict reader names the length that is missing.
    private static func isCut(_ file: RandomAccessFile) throws -> Bool {
        guard file.byteCount >= 48, try file.bytes(at: 8, count: 1, place: "superblock") == [0] else { return false }
        let end = try file.bytes(at: 40, count: 8, place: "superblock")
        return end.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) } > UInt64(file.byteCount)
    }

    /// Whether the file has HDF5's signature, at its start or after a user block.
    private static func isHDF5(_ file: RandomAccessFile) throws -> Bool {
        let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
        var offset = 0
        while offset + 8 <= file.byteCount, offset <= 1 << 20 {
            if try file.bytes(at: offset, count: 8, place: "signature") == signature { return true }
            offset = offset == 0 ? 512 : 2 * offset
        }
        return false
    }

    /// Opens a file and lists its objects.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - program: the ckpt that runs as the child.
    /// - Throws: `ModelFormatError`
    package init(path: String, program: String = "/proc/self/exe") throws {
        self.path = path
        let file = try RandomAccessFile(path: path)
        guard try !Self.isHDF5(file) || !Self.isCheckpoint(path) else {
            throw ModelFormatError.unsupported(
                path: path, what: "a checkpoint of ckpt as a file of another program",
                remedy: "give it to ckpt's other commands as it is")
        }
        let copy = try KerasArchive.weights(in: file).map { try KerasArchive.extract($0, from: file) }
        // The child has opened the copy when it lists its objects.
        let process = try HDF5Process(program: program, reading: copy?.descriptor ?? file.descriptor, path: path)
        let entries = try withExtendedLifetime(copy) { try process.entries() }
        self.entries = entries
        var numbers: [String: Int] = [:]
        var tensors: [TensorDescription] = []
        for (number, entry) in entries.enumerated() {
            guard let type = entry.elementType else { continue }
            numbers[entry.path] = number
            tensors.append(TensorDescription(name: entry.path, elementType: type, shape: entry.shape))
        }
        self.numbers = numbers
        self.tensors = tensors
        self.process = process
    }

    /// Whether Keras wrote the file, which stores kernels as `[inputs, outputs]`.
    package var isKeras: Bool {
        tensors.contains { tensor in
            let parts = tensor.name.split(separator: "/")
            return parts.count >= 2 && parts[parts.count - 2] == "vars" && Int(parts[parts.count - 1]) != nil
                || tensor.name.hasSuffix("/kernel:0")
        }
    }

    package func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
        guard let number = numbers[name], let type = entries[number].elementType else {
            throw ModelFormatError.missing(
                path: path, what: "dataset \(quoted(name))", remedy: "ckpt inspect lists the datasets")
        }
        let total = tensorByteCount(number, type)
        guard range.lowerBound >= 0, range.upperBound <= total, range.count == destination.count else {
            throw ModelFormatError.malformed(
                path: path, place: "dataset \(quoted(name))", reason: "bytes \(range) are outside the dataset")
        }
        let width = type.byteCount
        guard range.lowerBound % width == 0, range.count % width == 0 else {
            return try readParts(name, range, width, into: destination)
        }
        var done = 0
        while done < range.count {
            let count = min(HDF5Frame.maximumDataByteCount, range.count - done)
            try process.read(
                object: number, first: (range.lowerBound + done) / width, count: count / width,
                into: UnsafeMutableRawBufferPointer(rebasing: destination[done..<done + count]))
            done += count
        }
    }

    private func tensorByteCount(_ number: Int, _ type: ElementType) -> Int {
        TensorDescription(name: "", elementType: type, shape: entries[number].shape).byteCount
    }

    /// Reads a range that does not begin and end with whole elements.
    private func readParts(
        _ name: String, _ range: Range<Int>, _ width: Int, into destination: UnsafeMutableRawBufferPointer
    ) throws {
        let whole = range.lowerBound / width * width..<(range.upperBound + width - 1) / width * width
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: whole.count, alignment: 8)
        defer { bytes.deallocate() }
        try read(name, range: whole, into: bytes)
        let start = range.lowerBound - whole.lowerBound
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + range.count]))
    }
}

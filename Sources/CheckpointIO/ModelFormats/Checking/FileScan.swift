import Parallel
import Synchronization

/// What the bytes of a tensor in a file of another format are.
struct ScannedTensor: Sendable {
    /// The name in the file.
    let name: String
    /// `float32`, `bfloat16` …, or ggml's name of a quantised type.
    let typeName: String
    let shape: [Int]
    let fileOffset: Int
    /// The SHA-256 of the stored bytes.
    let sha256: String
    let values: ValueScan
}

/// Hashes tensors and whole files, and looks at the values on the way.
enum FileScan {
    /// Bytes read at a time.
    private static let pieceByteCount = 1 << 20

    /// Scans the tensors of files on all cores, two at a time on each.
    ///
    /// - Returns: the tensors of each file, in the order of the file.
    /// - Throws: `ModelFormatError` if a file cannot be read.
    static func tensors(
        of layouts: [TensorLayout], progress: (@Sendable (Int) -> Void)?
    ) throws -> [[ScannedTensor]] {
        let work = layouts.indices.flatMap { file in layouts[file].tensors.indices.map { (file: file, tensor: $0) } }
            .sorted { left, right in
                let (a, b) = (layouts[left.file].tensors[left.tensor], layouts[right.file].tensors[right.tensor])
                return (b.range.count, left.file, left.tensor) < (a.range.count, right.file, right.tensor)
            }
        let done = ProgressCount(progress)
        let found = Mutex<[[ScannedTensor?]]>(layouts.map { $0.tensors.map { _ in nil } })
        // Neighbours have similar sizes, so that the two messages of a core end at about the same time.
        try ParallelWork.forEach((work.count + 1) / 2) { pair in
            let places = work[2 * pair..<min(2 * pair + 2, work.count)]
            let tensors = places.map { (layouts[$0.file].file, layouts[$0.file].tensors[$0.tensor]) }
            var first = TensorScan(tensors[0].0, tensors[0].1, pieceByteCount)
            var scanned: [ScannedTensor] = []
            if tensors.count == 2 {
                var second = TensorScan(tensors[1].0, tensors[1].1, pieceByteCount)
                while !first.isDone || !second.isDone {
                    let (a, b) = (try first.next(), try second.next())
                    SHA256.update(&first.hash, a, &second.hash, b)
                    done.add(a.count + b.count)
                }
                scanned = [first.finish(), second.finish()]
            } else {
                while !first.isDone {
                    let piece = try first.next()
                    first.hash.update(piece)
                    done.add(piece.count)
                }
                scanned = [first.finish()]
            }
            let results = scanned
            found.withLock { found in
                for (place, result) in zip(places, results) { found[place.file][place.tensor] = result }
            }
        }
        return found.withLock { $0.map { $0.compactMap(\.self) } }
    }

    /// Scans a file in one pass: its SHA-256, and its tensors.
    ///
    /// - Throws: `ModelFormatError` if the file cannot be read.
    static func whole(_ layout: TensorLayout, _ done: ProgressCount) throws -> (sha256: String, [ScannedTensor]) {
        var hash = SHA256()
        var scanned: [ScannedTensor] = []
        var position = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceByteCount, alignment: 64)
        defer { buffer.deallocate() }
        func skip(to end: Int, _ hash: inout SHA256) throws {
            while position < end {
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, end - position)])
                try layout.file.read(at: position, into: piece, place: "bytes outside of tensors")
                hash.update(UnsafeRawBufferPointer(piece))
                position += piece.count
                done.add(piece.count)
            }
        }
        for tensor in layout.tensors {
            try skip(to: tensor.range.lowerBound, &hash)
            var scan = TensorScan(layout.file, tensor, pieceByteCount)
            while !scan.isDone {
                let piece = try scan.next()
                SHA256.update(&hash, piece, &scan.hash, piece)
                done.add(piece.count)
            }
            position = tensor.range.upperBound
            scanned.append(scan.finish())
        }
        try skip(to: layout.file.byteCount, &hash)
        return (hash.finalize(), scanned)
    }
}

/// A tensor while its bytes are read in pieces.
private struct TensorScan: ~Copyable {
    /// The caller hashes the pieces, to hash two messages at once.
    var hash = SHA256()
    private var values = ValueScan()
    private let file: RandomAccessFile
    private let tensor: TensorLayout.Tensor
    private var position: Int
    private let buffer: UnsafeMutableRawBufferPointer

    init(_ file: RandomAccessFile, _ tensor: TensorLayout.Tensor, _ pieceByteCount: Int) {
        self.file = file
        self.tensor = tensor
        position = tensor.range.lowerBound
        let unit = tensor.storage.unitByteCount
        buffer = .allocate(byteCount: min(pieceByteCount / unit * unit, max(tensor.range.count, 1)), alignment: 64)
    }

    deinit { buffer.deallocate() }

    var isDone: Bool { position == tensor.range.upperBound }

    /// Reads the next piece and looks at its values; it is valid until the next call, and empty at the end.
    mutating func next() throws -> UnsafeRawBufferPointer {
        let count = min(buffer.count, tensor.range.upperBound - position)
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try file.read(at: position, into: piece, place: "tensor \(quoted(tensor.name))")
        position += count
        values.add(UnsafeRawBufferPointer(piece), as: tensor.storage)
        return UnsafeRawBufferPointer(piece)
    }

    /// The result; the scan is over.
    mutating func finish() -> ScannedTensor {
        var hash = SHA256()
        swap(&hash, &self.hash)
        return ScannedTensor(
            name: tensor.name, typeName: tensor.storage.typeName, shape: tensor.shape,
            fileOffset: tensor.range.lowerBound, sha256: hash.finalize(), values: values)
    }
}

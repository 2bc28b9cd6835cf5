import CheckpointIO
import DataFiles
import Foundation
import OrderedJSON
import Tokenization
import Transformer

/// The work of each target.
extension FuzzTarget {
    /// Maximum total size of tensors that are read: a valid header of a few bytes may declare very large ones.
    private static let readLimit = 4 << 20

    static func checkpoint(_ bytes: [UInt8], _ folder: FuzzFolder) throws {
        var bytes = bytes
        // Corrects the end of the file in the superblock, so that inputs of any length pass that check.
        if bytes.count >= 48 {
            withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { bytes.replaceSubrange(40..<48, with: $0) }
        }
        let path = try folder.file(bytes, "input.h5")
        // Also test opening with all checks.
        _ = try? CheckpointFile(path: path)
        let file = try CheckpointFile(path: path, checkingDigests: false)
        let tensors = TensorGroup.allCases.flatMap { file.tensors(in: $0) }
        _ = file.weightsDigest
        guard tensors.allSatisfy({ $0.description.byteCount <= readLimit }) else { return }
        _ = try file.verify()
        for tensor in tensors { try read(tensor, of: file) }
        guard folder.exports else { return }
        let copy = tensors.map { TensorToWrite(group: $0.group, description: $0.description, content: .copy(file, $0)) }
        let output = folder.path + "/copy.h5"
        _ = try CheckpointWriter.write(file.metadata, tensors: copy, to: output, overwrite: true)
        try expectReadable(output, file.metadata)
    }

    static func object(_ bytes: [UInt8]) throws {
        let entry = try HDF5Entry(bytes)
        guard try HDF5Entry(Array(entry.json.serialized().utf8)) == entry else {
            throw FuzzFinding("an object is not the same after it was written and read")
        }
    }

    static func archive(_ path: String) throws {
        guard try ForeignHDF5File.isForeign(path) else {
            throw ModelFormatError.unrecognised(path: path)
        }
    }

    /// Reads the first rows; a small file may hold very many.
    static func data(_ path: String) throws {
        let reader = try DataFileReader(path: path)
        var table = FieldTable()
        while table.rowCount < 2000, let row = try reader.next() { table.add(row.members) }
    }

    /// Reads the whole tensor and a part across chunks; damage is not a finding.
    private static func read(_ tensor: StoredTensor, of file: CheckpointFile) throws {
        let count = tensor.description.byteCount
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        defer { buffer.deallocate() }
        try? file.read(tensor, into: buffer)
        let range = count / 3..<count - count / 5
        try? file.read(tensor, range: range, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count]))
        _ = try? file.statistics(of: tensor)
    }

    /// Compares a manifest with a file that it may name.
    static func manifest(_ path: String) throws {
        let work = path + "-work"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: work + "/a.bin"))
        var check = try ModelCheck(work, .manifest(path))
        try check.compare(with: path, work)
    }

    /// Decodes a frame by `EntropyFrameDecoder` and by libzstd, which may not differ.
    static func frame(_ bytes: [UInt8]) throws {
        guard bytes.count > 3 else { throw FrameProblem() }
        let planeCount = 1 << (Int(bytes[2]) % 4)
        let size = (Int(bytes[0]) | Int(bytes[1]) << 8) * planeCount + planeCount
        // Magic number; flags for single segment, content size of four bytes and no checksum; the content size.
        let sizeBytes = (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
        var frame = [0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000] + sizeBytes + bytes[3...]
        var expected: [UInt8]? = [UInt8](repeating: 0, count: size)
        let isRead = expected?.withUnsafeMutableBytes { content in
            frame.withUnsafeBytes { try? ZstdDecompressor().decompress($0, into: content) } != nil
        }
        if isRead != true { expected = nil }
        // With a checksum, that of the content if there is one: `EntropyFrame` writes it at the end of its frames.
        frame[4] |= 0b100
        frame += expected.map(checksum) ?? [0, 0, 0, 0]
        var planes = [UInt8](repeating: 0, count: size)
        let isDecoded = planes.withUnsafeMutableBytes { planes in
            frame.withUnsafeBytes { EntropyFrameDecoder().decodePlanes($0, planeCount: planeCount, into: planes) }
        }
        if isDecoded, planes != expected { throw FuzzFinding("a frame that libzstd decodes otherwise") }
        if planeCount == 2 || planeCount == 4 {
            var elements = [UInt8](repeating: 0, count: size)
            let areDecoded = elements.withUnsafeMutableBytes { elements in
                frame.withUnsafeBytes { EntropyFrameDecoder().decode($0, elementSize: planeCount, into: elements) }
            }
            guard areDecoded == isDecoded else { throw FuzzFinding("a frame of which only planes are decoded") }
            let planeSize = size / planeCount
            if areDecoded,
                !elements.indices.allSatisfy({
                    elements[$0] == planes[$0 % planeCount * planeSize + $0 / planeCount]
                })
            {
                throw FuzzFinding("elements that are not those of the planes")
            }
        }
        guard isDecoded else { throw FrameProblem() }
    }

    /// The last four bytes of a frame with this content.
    private static func checksum(of content: [UInt8]) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: EntropyFrame.outputBound(content.count, elementSize: 1))
        let size = frame.withUnsafeMutableBytes { frame in
            content.withUnsafeBytes { EntropyFrame().compress($0, elementSize: 1, into: frame) }
        }
        return Array(frame[size - 4..<size])
    }

    private struct FrameProblem: Error {}

    /// Opens a model, checks its files, reads its tensors, and writes it in every format.
    static func model(_ path: String, _ folder: FuzzFolder) throws {
        try tolerating { _ = try ModelCheck(path, .values) }
        let model = try ModelImport.open(path: path)
        let byteCount = model.source.tensors.reduce(0) { $0 + min($1.byteCount, readLimit + 1) }
        guard byteCount <= readLimit else { return }
        for tensor in model.source.tensors {
            let range = tensor.byteCount / 3..<tensor.byteCount
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
            defer { buffer.deallocate() }
            try model.source.read(tensor.name, range: range, into: buffer)
        }
        guard folder.exports else { return }
        let output = folder.path + "/imported.h5"
        let tensors = model.source.tensors.map { tensor in
            TensorToWrite(
                description: tensor,
                content: .bytes { range, target in
                    try model.source.read(tensor.name, range: range, into: target)
                })
        }
        try tolerating { _ = try CheckpointWriter.write(model.metadata, tensors: tensors, to: output, overwrite: true) }
            .map { try expectReadable(output, model.metadata) }
        let exported = folder.path + "/exported"
        try tolerating { try HuggingFaceExport.write(model.metadata, model.source, to: exported, overwrite: true) }
            .map { try expectImportable(exported, model) }
        let gguf = folder.path + "/exported.gguf"
        try tolerating { try GGUFExport.write(model.metadata, model.source, to: gguf, overwrite: true) }
            .map { try expectImportable(gguf, nil) }
        if let tokenizer = model.metadata.tokenizer { try tolerating { try Self.tokenizer(tokenizer.json) } }
        if let text = model.metadata.chatTemplate { try tolerating { try template(Array(text.utf8)) } }
        try tolerating { try configuration(Array(model.metadata.config.utf8)) }
    }

    static func tokenizer(_ bytes: [UInt8]) throws {
        let tokenizer = try Tokenizer(json: bytes)
        for text in [
            "Hello  world, it's 2025!\n\n naïve café\t<|im_end|>", "", "\u{0}\u{10FFFF}e\u{301}",
            "aaaaaaaaaaaaaaaaaaaa",
        ] {
            let ids = tokenizer.encode(text, addSpecialTokens: true)
            _ = tokenizer.encode(utf8: [0xFF, 0xC3] + Array(text.utf8), parsingAddedTokens: false)
            let decoded = tokenizer.decode(ids)
            var stream = tokenizer.streamingDecoder(skippingSpecialTokens: false)
            let streamed = ids.reduce("") { $0 + stream.append($1) } + stream.finish()
            guard Array(streamed.utf8) == Array(decoded.utf8) else {
                throw FuzzFinding("streaming gives \(streamed.debugDescription), decoding \(decoded.debugDescription)")
            }
        }
        _ = tokenizer.decode([-1, Int.max, tokenizer.vocabularySize, 0])
        let texts = try TokenTextTable(try JSONMembers(bytes[...]))
        guard texts.vocabularySize == tokenizer.vocabularySize, texts.addedTokens == tokenizer.addedTokens else {
            throw FuzzFinding("the vocabulary differs if merges are not read")
        }
        _ = texts.text(of: 0)
        var editor = try TokenizerEditor(json: bytes)
        do {
            try editor.add(AddedToken(id: editor.nextID, content: "<fuzz>"))
        } catch { return }
        do {
            let edited = try Tokenizer(json: editor.json)
            guard let id = edited.id(of: "<fuzz>"), edited.encode("<fuzz>") == [id] else {
                throw FuzzFinding("a token that was added is not found")
            }
        } catch let error as TokenizerError {
            throw FuzzFinding("a tokenizer with an added token is refused: \(error)")
        }
    }

    static func configuration(_ bytes: [UInt8]) throws {
        guard let text = String(validating: bytes, as: UTF8.self) else { return }
        let configuration = try ModelConfiguration(json: text)
        guard configuration.parameterCount > 0 else { throw FuzzFinding("a model without parameters is accepted") }
    }

    static func template(_ bytes: [UInt8]) throws {
        guard let text = String(validating: bytes, as: UTF8.self) else { return }
        let template = try ChatTemplate(text)
        let messages = [
            ChatMessage(role: "system", content: "Be brief."), ChatMessage(role: "user", content: "What is 17+25?"),
            ChatMessage(role: "assistant", content: "<think>\n17+25\n</think>\n\n42"),
        ]
        _ = try template.render(
            messages, addGenerationPrompt: true, variables: ["bos_token": "<s>", "eos_token": "</s>"])
    }

    /// Nil if `work` refuses its input.
    @discardableResult
    private static func tolerating(_ work: () throws -> Void) throws -> Void? {
        do {
            return try work()
        } catch let finding as FuzzFinding {
            throw finding
        } catch { return nil }
    }

    private static func expectReadable(_ path: String, _ metadata: CheckpointMetadata) throws {
        do {
            let file = try CheckpointFile(path: path)
            guard file.metadata == metadata || lines(file.metadata) == lines(metadata) else {
                throw FuzzFinding("metadata changes when written and read")
            }
        } catch let error as CheckpointError {
            throw FuzzFinding("a written checkpoint is refused: \(error)")
        }
    }

    /// All values as sorted texts: NaN equals NaN as a text, and dictionaries have no order.
    private static func lines(_ metadata: CheckpointMetadata) -> [String] {
        var text = ""
        dump(metadata, to: &text)
        return text.split(separator: "\n").map(String.init).sorted()
    }

    private static func expectImportable(_ path: String, _ model: ImportedModel?) throws {
        let again: ImportedModel
        do {
            again = try ModelImport.open(path: path)
        } catch ModelFormatError.unsupported {
            // A GGUF file can have features that import does not support, such as RoPE divisors that are not llama3's.
            return
        } catch {
            throw FuzzFinding("an exported model is refused: \(error)")
        }
        guard let model else { return }
        guard
            again.source.tensors.sorted(by: { $0.name < $1.name })
                == model.source.tensors.sorted(by: { $0.name < $1.name })
        else { throw FuzzFinding("tensors change on the way through a folder") }
    }
}

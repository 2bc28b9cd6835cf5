/// An object header of version 1: the list of messages that make an object a group or a dataset.
struct HDF5ObjectHeader {
    enum MessageType: Int {
        case null = 0x00
        case dataspace = 0x01
        case datatype = 0x03
        case oldFillValue = 0x04
        case fillValue = 0x05
        case layout = 0x08
        case filterPipeline = 0x0b
        case attribute = 0x0c
        case oldModificationTime = 0x0e
        case continuation = 0x10
        case symbolTable = 0x11
        case modificationTime = 0x12
    }

    private(set) var messages: [(type: MessageType, body: ArraySlice<UInt8>)] = []

    /// Headers are small: some messages, and attributes of at most 64 KiB.
    private static let maximumBlockBytes = 1 << 20
    private static let maximumBlocks = 64

    init(_ source: HDF5Source, at address: UInt64) throws {
        var prefix = HDF5Cursor(try source.claim(address, 16, "an object header"))
        let version = try prefix.uint8()
        guard version == 1 else {
            throw version == UInt8(ascii: "O")
                ? HDF5Problem.unsupported("an object header of the newer format (written with libver=latest?)")
                : HDF5Problem.damaged("there is no object header at byte \(address)")
        }
        try prefix.zeros(1)
        let messageCount = try prefix.uint16()
        let references = try prefix.uint32()
        guard references == 1 else {
            throw HDF5Problem.unsupported("an object that is linked \(references) times")
        }
        let firstBlockBytes = try prefix.uint32()
        try prefix.zeros(4)
        var blocks: [(address: UInt64, byteCount: Int)] = [(address + 16, firstBlockBytes)]
        var count = 0
        var index = 0
        while index < blocks.count {
            let (blockAddress, byteCount) = blocks[index]
            guard byteCount <= Self.maximumBlockBytes, blocks.count <= Self.maximumBlocks else {
                throw HDF5Problem.unsupported("an object header of unusual size")
            }
            var cursor = HDF5Cursor(try source.claim(blockAddress, byteCount, "an object header block"))
            index += 1
            // A gap too small for a message may be left at the end of a block.
            while cursor.remaining >= 8, count < messageCount {
                count += 1
                let (type, body) = try Self.message(&cursor)
                switch type {
                case .null: continue
                case .continuation:
                    var continuation = HDF5Cursor(body)
                    guard let next = try continuation.address() else {
                        throw HDF5Problem.damaged("an object header continues nowhere")
                    }
                    blocks.append((next, try continuation.length()))
                default: messages.append((type, body))
                }
            }
        }
        guard count == messageCount else {
            throw HDF5Problem.damaged("an object header has \(count) of \(messageCount) messages")
        }
    }

    private static func message(_ cursor: inout HDF5Cursor) throws -> (MessageType, ArraySlice<UInt8>) {
        let number = try cursor.uint16()
        let size = try cursor.uint16()
        let flags = try cursor.uint8()
        try cursor.zeros(3)
        guard size % 8 == 0 else { throw HDF5Problem.damaged("a header message has an odd size") }
        let body = try cursor.bytes(size)
        guard let type = MessageType(rawValue: number) else {
            throw HDF5Problem.unsupported(refusal(ofMessage: number))
        }
        // Bit 0: constant, bit 2: not to be shared. Bit 1 would make the body a reference to another object.
        guard flags & ~0b101 == 0 else { throw HDF5Problem.unsupported("a shared header message") }
        return (type, body)
    }

    private static func refusal(ofMessage number: Int) -> String {
        switch number {
        case 0x02, 0x06, 0x0a: "a group of the newer format (links as messages)"
        case 0x07: "a dataset whose bytes lie in external files"
        case 0x15: "attributes in dense storage"
        default: "a header message of type \(number)"
        }
    }

    /// The body of the only message of a type; nil where there is none.
    func only(_ type: MessageType) throws -> HDF5Cursor? {
        let found = messages.filter { $0.type == type }
        guard found.count <= 1 else { throw HDF5Problem.damaged("an object has two messages of type \(type)") }
        return found.first.map { HDF5Cursor($0.body) }
    }
}

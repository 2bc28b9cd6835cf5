/// An object header of version 1: a list of messages that describe a group or a dataset.
struct HDF5ObjectHeader {

    private(set) var messages: [(type: HDF5MessageType, body: ArraySlice<UInt8>)] = []
    /// Whether the header has gaps, continues elsewhere or records a time, as headers of ckpt never do.
    private(set) var isByAnotherProgram = false

    /// Headers are small: a few messages, and attributes of at most 64 KiB.
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
            while cursor.remaining > 0 {
                count += 1
                let (type, body) = try Self.message(&cursor)
                let others: [HDF5MessageType] = [
                    .null, .continuation, .oldFillValue, .modificationTime, .oldModificationTime,
                ]
                isByAnotherProgram = isByAnotherProgram || others.contains(type)
                switch type {
                case .null: continue
                case .continuation:
                    var continuation = HDF5Cursor(body)
                    guard let next = try continuation.address() else {
                        throw HDF5Problem.damaged("an object header continues nowhere")
                    }
                    blocks.append((next, try continuation.length()))
                    try continuation.end(of: "a continuation message")
                default: messages.append((type, body))
                }
            }
        }
        guard count == messageCount else {
            throw HDF5Problem.damaged("an object header has \(count) of \(messageCount) messages")
        }
        try checkTimes()
    }

    /// Checks the messages with the time of the last change, which have no meaning for a checkpoint.
    private func checkTimes() throws {
        if var time = try only(.modificationTime) {
            try time.version(1, of: "the modification time")
            try time.zeros(3)
            try time.skip(4)
            try time.end(of: "the modification time")
        }
        if var time = try only(.oldModificationTime) {
            // Year, month, day, hour, minute and second in decimal digits.
            guard try time.bytes(14).allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
                throw HDF5Problem.damaged("the modification time is not a time")
            }
        }
    }

    private static func message(_ cursor: inout HDF5Cursor) throws -> (HDF5MessageType, ArraySlice<UInt8>) {
        let number = try cursor.uint16()
        let size = try cursor.uint16()
        let flags = try cursor.uint8()
        try cursor.zeros(3)
        guard size % 8 == 0 else { throw HDF5Problem.damaged("a header message has an odd size") }
        let body = try cursor.bytes(size)
        guard let type = HDF5MessageType(rawValue: number) else {
            throw HDF5Problem.unsupported(refusal(ofMessage: number))
        }
        // Bit 0: constant; bit 2: must not be shared; bit 1: the body is a reference to another object.
        guard flags & ~0b101 == 0 else { throw HDF5Problem.unsupported("a shared header message") }
        return (type, body)
    }

    private static func refusal(ofMessage number: Int) -> String {
        switch number {
        case 0x02, 0x06, 0x0a: "a group of the newer format (links as messages)"
        case 0x07: "a dataset whose bytes are in external files"
        case 0x15: "attributes in dense storage"
        default: "a header message of type \(number)"
        }
    }

    /// The body of the only message of a type; nil if there is no such message.
    func only(_ type: HDF5MessageType) throws -> HDF5Cursor? {
        let found = messages.filter { $0.type == type }
        guard found.count <= 1 else { throw HDF5Problem.damaged("an object has two messages of type \(type)") }
        return found.first.map { HDF5Cursor($0.body) }
    }
}

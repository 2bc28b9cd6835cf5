/// Server-sent events, as servers stream completions.
enum EventStream {
    /// Calls `body` with the name and the data of every event in a stream.
    ///
    /// Lines end in LF, CR or both. Comments, and fields other than `event`, `data` and llama.cpp's `error`, are left
    /// out.
    /// An event at the end of the stream needs no empty line after it.
    static func forEachEvent(in stream: [UInt8], _ body: (_ name: String, _ data: ArraySlice<UInt8>) -> Void) {
        var name = ""
        var data: [UInt8]?
        func finish() {
            if let data { body(name, data[...]) }
            (name, data) = ("", nil)
        }
        var rest = stream[...]
        while !rest.isEmpty {
            let end = rest.firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } ?? rest.endIndex
            let line = rest[..<end]
            rest = rest[end...].dropFirst()
            if end < stream.count, stream[end] == UInt8(ascii: "\r"), rest.first == UInt8(ascii: "\n") {
                rest = rest.dropFirst()
            }
            if line.isEmpty {
                finish()
                continue
            }
            let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            var value = line[colon...].dropFirst()
            if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
            switch String(decoding: line[..<colon], as: UTF8.self) {
            case "event": name = String(decoding: value, as: UTF8.self)
            case "data": data = data.map { $0 + [UInt8(ascii: "\n")] + value } ?? Array(value)
            case "error": (name, data) = ("error", Array(value))
            default: break
            }
        }
        finish()
    }
}

/// The description of the error that `body` throws; "none" if it throws nothing.
package func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "none"
    } catch { return "\(error)" }
}

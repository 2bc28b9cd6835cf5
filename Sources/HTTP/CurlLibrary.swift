import CCurl
import Glibc

/// The functions of libcurl, which is loaded before the first request.
///
/// The library is not linked: with what it needs itself it takes longer to load than most commands run.
struct CurlLibrary: Sendable {
    typealias Handle = UnsafeMutableRawPointer
    typealias Callback = @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int

    let makeHandle: @convention(c) @Sendable () -> Handle?
    let freeHandle: @convention(c) @Sendable (Handle?) -> Void
    let append:
        @convention(c) @Sendable (UnsafeMutablePointer<curl_slist>?, UnsafePointer<CChar>?)
            -> UnsafeMutablePointer<curl_slist>?
    let freeList: @convention(c) @Sendable (UnsafeMutablePointer<curl_slist>?) -> Void
    let makeMulti: @convention(c) @Sendable () -> Handle?
    let freeMulti: @convention(c) @Sendable (Handle?) -> CURLMcode
    let add: @convention(c) @Sendable (Handle?, Handle?) -> CURLMcode
    let remove: @convention(c) @Sendable (Handle?, Handle?) -> CURLMcode
    let perform: @convention(c) @Sendable (Handle?, UnsafeMutablePointer<Int32>?) -> CURLMcode
    let poll:
        @convention(c) @Sendable (
            Handle?, UnsafeMutablePointer<curl_waitfd>?, UInt32, Int32, UnsafeMutablePointer<Int32>?
        ) -> CURLMcode
    let wakeUp: @convention(c) @Sendable (Handle?) -> CURLMcode
    let nextMessage: @convention(c) @Sendable (Handle?, UnsafeMutablePointer<Int32>?) -> UnsafeMutablePointer<CURLMsg>?
    private let parseDate: @convention(c) @Sendable (UnsafePointer<CChar>?, UnsafePointer<time_t>?) -> time_t
    private let errorText: @convention(c) @Sendable (CURLcode) -> UnsafePointer<CChar>?
    // Variadic functions, which the C shim calls.
    private let setOption: Symbol
    private let getInformation: Symbol

    private struct Symbol: @unchecked Sendable {
        let address: UnsafeMutableRawPointer
    }

    private static let result = Result { try CurlLibrary() }

    /// Loads and initializes the library, once in the process.
    ///
    /// - Throws: `HTTPError` if it is missing.
    static func shared() throws -> CurlLibrary { try result.get() }

    private init() throws {
        let names = ["libcurl.so.4", "libcurl-gnutls.so.4"]
        guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW) }).first else {
            throw HTTPError.library("libcurl: \(Self.loadError); install libcurl4")
        }
        func symbol(_ name: String) throws -> UnsafeMutableRawPointer {
            guard let address = dlsym(library, name) else {
                throw HTTPError.library("libcurl has no function \(name); version 7.68 or later is needed")
            }
            return address
        }
        func function<Function>(_ name: String, _ type: Function.Type = Function.self) throws -> Function {
            unsafeBitCast(try symbol(name), to: type)
        }
        makeHandle = try function("curl_easy_init")
        freeHandle = try function("curl_easy_cleanup")
        append = try function("curl_slist_append")
        freeList = try function("curl_slist_free_all")
        makeMulti = try function("curl_multi_init")
        freeMulti = try function("curl_multi_cleanup")
        add = try function("curl_multi_add_handle")
        remove = try function("curl_multi_remove_handle")
        perform = try function("curl_multi_perform")
        poll = try function("curl_multi_poll")
        wakeUp = try function("curl_multi_wakeup")
        nextMessage = try function("curl_multi_info_read")
        parseDate = try function("curl_getdate")
        errorText = try function("curl_easy_strerror")
        setOption = Symbol(address: try symbol("curl_easy_setopt"))
        getInformation = Symbol(address: try symbol("curl_easy_getinfo"))
        let initialize: @convention(c) (Int) -> CURLcode = try function("curl_global_init")
        guard initialize(curl_everything()) == CURLE_OK else {
            throw HTTPError.library("libcurl could not be initialized")
        }
    }

    private static var loadError: String { dlerror().map { String(cString: $0) } ?? "it cannot be loaded" }

    func text(of code: CURLcode) -> String { errorText(code).map { String(cString: $0) } ?? "error \(code.rawValue)" }

    /// The seconds since 1970 of a date as HTTP writes it, in one of three forms; nil if the text is not a date.
    func date(_ text: String) -> time_t? {
        let date = parseDate(text, nil)
        return date == -1 ? nil : date
    }

    func set(_ option: CURLoption, of handle: Handle, to value: Int) {
        _ = curl_setopt_number(setOption.address, handle, option, value)
    }

    func set(_ option: CURLoption, of handle: Handle, toSize value: Int) {
        _ = curl_setopt_size(setOption.address, handle, option, curl_off_t(value))
    }

    /// Sets a text or a block of bytes, which libcurl copies.
    func set(_ option: CURLoption, of handle: Handle, to value: String) {
        _ = value.withCString { curl_setopt_pointer(setOption.address, handle, option, $0) }
    }

    func set(_ option: CURLoption, of handle: Handle, toPointer value: UnsafeRawPointer?) {
        _ = curl_setopt_pointer(setOption.address, handle, option, value)
    }

    func set(_ option: CURLoption, of handle: Handle, toCallback value: @escaping Callback) {
        _ = curl_setopt_callback(setOption.address, handle, option, value)
    }

    func number(_ information: CURLINFO, of handle: Handle) -> Int {
        var value = 0
        return curl_getinfo_number(getInformation.address, handle, information, &value) == CURLE_OK ? value : 0
    }
}

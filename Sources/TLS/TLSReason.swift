import COpenSSL

/// The text of OpenSSL's error queue.
enum TLSReason {
    static var last: String {
        let code = ERR_peek_last_error()
        guard code != 0, let text = ERR_reason_error_string(code) else { return "the connection was closed" }
        return String(cString: text)
    }
}

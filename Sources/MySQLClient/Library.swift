import CMariaDB

/// The library's initialisation, once a process and once a thread.
enum Library {
    private static let isStarted: Bool = mysql_server_init(0, nil, nil) == 0

    /// To be called first on every thread that makes the library's calls.
    static func enterThread() {
        precondition(isStarted, "libmariadb cannot start")
        _ = mysql_thread_init()
    }

    /// To be called last on such a thread.
    static func leaveThread() { mysql_thread_end() }
}

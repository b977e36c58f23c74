import CMariaDB
import Foundation

/// The library's initialisation, once a process and once a thread.
enum Library {
    private static let isStarted: Bool = mysql_server_init(0, nil, nil) == 0

    /// To be called first on every thread that makes the library's calls.
    static func enterThread() {
        // A write through TLS to a server that hung up raises the signal, which would end the process.
        var brokenPipe = sigset_t()
        sigemptyset(&brokenPipe)
        sigaddset(&brokenPipe, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &brokenPipe, nil)
        precondition(isStarted, "libmariadb cannot start")
        _ = mysql_thread_init()
    }

    /// To be called last on such a thread.
    static func leaveThread() { mysql_thread_end() }
}

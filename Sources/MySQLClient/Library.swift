import CMariaDB
import Foundation

/// The library's initialisation, once per process and once per thread.
enum Library {
    private static let isStarted: Bool = mysql_server_init(0, nil, nil) == 0

    /// Call it first on every thread that uses the library.
    static func enterThread() {
        // A TLS write to a closed connection raises the signal, which would end the process.
        var brokenPipe = sigset_t()
        sigemptyset(&brokenPipe)
        sigaddset(&brokenPipe, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &brokenPipe, nil)
        precondition(isStarted, "libmariadb cannot start")
        _ = mysql_thread_init()
    }

    /// Call it last on such a thread.
    static func leaveThread() { mysql_thread_end() }
}

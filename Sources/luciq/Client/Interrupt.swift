import Foundation

/// Ctrl-C and SIGTERM end a client at once: 130 and 143 to a shell.
///
/// The system does so by itself, except for the first process of a container, which ignores signals without a handler.
/// So the handler raises the signal with its default, and exits if nothing happens.
enum Interrupt {
    static func install() {
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            // Signals that are ignored (nohup, a shell's background job) stay ignored.
            guard sigaction(number, nil, &action) == 0, !isIgnored(action) else { continue }
            action = sigaction()
            setHandler(of: &action) { number in
                raise(number)
                _exit(128 + number)
            }
            // During the handler the signal has its default, and is not blocked.
            action.sa_flags = CInt(bitPattern: UInt32(SA_RESETHAND)) | CInt(SA_NODEFER)
            sigaction(number, &action, nil)
        }
    }

    #if canImport(Darwin)
        private static func setHandler(of action: inout sigaction, _ handler: @escaping @convention(c) (CInt) -> Void) {
            action.__sigaction_u.__sa_handler = handler
        }

        private static func isIgnored(_ action: sigaction) -> Bool {
            unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
        }
    #else
        private static func setHandler(of action: inout sigaction, _ handler: @escaping @convention(c) (CInt) -> Void) {
            action.__sigaction_handler.sa_handler = handler
        }

        private static func isIgnored(_ action: sigaction) -> Bool {
            unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
        }
    #endif
}

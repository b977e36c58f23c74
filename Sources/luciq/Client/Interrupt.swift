import Foundation

/// Ctrl-C and SIGTERM end a client at once: 130 and 143 to a shell.
///
/// That is what the system does by itself, but not for the first process of a container, for which a signal without a
/// handler is nothing. So there is a handler: it lets the system do it, and where that does nothing, exits.
enum Interrupt {
    static func install() {
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            // What we were told to ignore (nohup, a shell's background job) stays ignored.
            guard sigaction(number, nil, &action) == 0, !isIgnored(action) else { continue }
            action = sigaction()
            setHandler(of: &action) { number in
                raise(number)
                _exit(128 + number)
            }
            // In the handler the signal's own effect is back, and not held up.
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

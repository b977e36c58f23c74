#if DEBUG
    import ArgumentParser
    import Foundation
    import Logging
    import ServiceLifecycle

    /// A server that hangs, for a test of the shutdown's watchdog. In debug builds only.
    struct Hang: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take all of Swift's threads.", shouldDisplay: false)

        func run() async throws {
            ProcessSignals.hold()
            let logger = Logger(label: "luciq") { _ in LineLogHandler(format: .json, level: .info) }
            try await ProcessSignals.run([.init(service: Service())], limit: .zero, logger: logger)
        }

        private struct Service: ServiceLifecycle.Service {
            func run() async throws {
                for _ in 0..<ProcessInfo.processInfo.activeProcessorCount {
                    Task.detached {
                        // Not by the log, which may hang as well.
                        FileHandle.standardError.write(Data("A thread hangs.\n".utf8))
                        while true { sleep(1_000) }
                    }
                }
                try await gracefulShutdown()
            }
        }
    }
#endif

import ArgumentParser
import ChatCore
import NIOHTTP1

extension Apps {
    struct Limits: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show or change the limits of an application.",
            discussion: """
                A limit is user.create=120/60: what each user may do in a minute, and how much of it at once. user is \
                application for all of it, create is change, read or stream; user.stream=600/300/50 lets 50 be open at the \
                same time. user.create=default takes it away, and the server's setting holds again.
                """)

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "Limits to set.") var limits: [Limit] = []

        /// `user.create=120/60`.
        struct Limit: ExpressibleByArgument {
            let principal: LimitedPrincipal
            let action: LimitedAction
            /// Nil: the server's.
            let value: Value?

            init?(argument: String) {
                let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
                let names = parts[0].split(separator: ".", omittingEmptySubsequences: false)
                guard parts.count == 2, names.count == 2,
                    let principal = LimitedPrincipal(rawValue: String(names[0])),
                    let action = LimitedAction(rawValue: String(names[1]))
                else { return nil }
                self.principal = principal
                self.action = action
                guard parts[1] != "default" else {
                    value = nil
                    return
                }
                let numbers = parts[1].split(separator: "/", omittingEmptySubsequences: false).map { Int64(digits: $0) }
                guard (1...3).contains(numbers.count), let perMinute = numbers[0],
                    numbers.allSatisfy({ $0 != nil }), numbers.count < 3 || action == .stream
                else { return nil }
                value = Value(
                    per_minute: perMinute, burst: numbers.count > 1 ? numbers[1] : nil,
                    concurrent: numbers.count > 2 ? numbers[2] : nil)
            }

            struct Value: Codable {
                let per_minute: Int64
                let burst: Int64?
                let concurrent: Int64?

                var text: String {
                    [per_minute, burst, concurrent].compactMap(\.self).map { "\($0)" }.joined(separator: "/")
                }
            }
        }

        private struct Application: Decodable {
            let limits: [String: [String: Limit.Value]]
        }

        /// A value that is absent is null: it is taken away.
        private struct Change: Encodable {
            var limits: [String: [String: Limit.Value?]] = [:]
        }

        func run() async throws {
            var change = Change()
            for limit in limits {
                change.limits[limit.principal.rawValue, default: [:]][limit.action.rawValue] = .some(limit.value)
            }
            try await application.showOrChange(
                limits.isEmpty ? nil : JSONText(encoding: change), member: "limits"
            ) { (application: Application) in
                let lines = LimitedPrincipal.allCases.flatMap { principal in
                    LimitedAction.allCases.compactMap { action in
                        application.limits[principal.rawValue]?[action.rawValue].map {
                            "\(principal).\(action)=\($0.text)"
                        }
                    }
                }
                return lines.isEmpty ? "The server's limits hold." : lines.joined(separator: "\n")
            }
        }
    }

    struct Origins: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show or set the origins whose pages may call the API for an application.",
            discussion: "Those that are given replace all that were there.")

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "Origins to set, such as https://chat.example.com.") var origins: [String] = []
        @Flag(help: "Take all away.") var none = false

        private struct Application: Decodable {
            let origins: [String]
        }

        func validate() throws {
            if none, !origins.isEmpty { throw ValidationError("--none takes all origins away: give none.") }
        }

        func run() async throws {
            try await application.showOrChange(
                origins.isEmpty && !none ? nil : JSONText(encoding: ["origins": origins]), member: "origins"
            ) { (application: Application) in
                application.origins.isEmpty
                    ? "No other origin may call." : application.origins.map(\.printable).joined(separator: "\n")
            }
        }
    }
}

extension ApplicationFlags {
    /// Looks at the application, or changes it, and prints a member of it.
    fileprivate func showOrChange<Answer: Decodable>(
        _ change: JSONText?, member: String, _ text: (Answer) -> String
    ) async throws {
        try await server.show(
            change == nil ? .GET : .PATCH, path(), change, member: member, missing: Self.missing, text)
    }
}

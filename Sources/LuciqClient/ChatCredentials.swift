import Foundation

/// What a client shows the server.
public enum ChatCredentials: Sendable {
    /// Nothing: the application's token, in the place of its id, is what opens it.
    case none
    /// An application key, `lq_app_…`. It stays on your own server.
    case key(String)
    /// A user token, from your own server. The closure is called when one is needed: for the first request, shortly
    /// before one expires, and when one was refused. It is cancelled after 20 seconds.
    case token(@Sendable () async throws -> String)
}

/// Keeps a user token as long as it is good.
actor TokenKeeper {
    /// A token with less time left than this is replaced.
    private static let reserve: TimeInterval = 30
    private static let patience = Duration.seconds(20)

    private let ask: @Sendable () async throws -> String
    private var held: (text: String, end: Date)?
    private var asking: Task<String, any Error>?

    init(_ ask: @escaping @Sendable () async throws -> String) { self.ask = ask }

    /// Asks for a token at most once at a time.
    ///
    /// - Throws: a failure that passes: the application's own server may be away.
    func token() async throws(CallFailure) -> String {
        if let held, held.end > Date() + Self.reserve { return held.text }
        let task = asking ?? Task { [ask] in try await Self.withEnd(ask) }
        asking = task
        do {
            let text = try await task.value
            if asking == task { (asking, held) = (nil, (text, Self.end(of: text))) }
            return text
        } catch {
            if asking == task { asking = nil }
            throw CallFailure(sentence: "There is no token: \(error).", outlook: .passing(), code: "no_token")
        }
    }

    /// A token that was refused is not used again. A newer one stays.
    func refuse(_ text: String?) { if text == nil || held?.text == text { held = nil } }

    private static func withEnd(_ ask: @escaping @Sendable () async throws -> String) async throws -> String {
        try await withThrowingTaskGroup(of: String.self) { tasks in
            tasks.addTask { try await ask() }
            tasks.addTask {
                try await Task.sleep(for: patience)
                throw CallFailure(sentence: "it took too long", outlook: .passing())
            }
            defer { tasks.cancelAll() }
            guard let text = try await tasks.next() else { throw CancellationError() }
            return text
        }
    }

    /// When a token expires, by its `exp` (RFC 7519, 4.1.4). The server is who verifies it.
    static func end(of token: String) -> Date {
        struct Claims: Decodable { let exp: Double? }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return .distantFuture }
        var text = String(parts[1]).replacing("-", with: "+").replacing("_", with: "/")
        text += String(repeating: "=", count: (4 - text.count % 4) % 4)
        // One that cannot be read is good until it is refused.
        let claims = Data(base64Encoded: text).flatMap { try? JSONDecoder().decode(Claims.self, from: $0) }
        return claims?.exp.map { Date(timeIntervalSince1970: $0) } ?? .distantFuture
    }
}

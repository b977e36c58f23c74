import Foundation

/// A small HTTP client for tests: a connection a request.
package struct Client: Sendable {
    package let port: Int

    package init(port: Int) { self.port = port }

    /// - Parameter body: sent with its length; nil for none.
    package func send(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> Answer {
        let connection = try RawConnection(port: port)
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        await connection.send(Array((head + "\r\n").utf8) + (body ?? []))
        var rest: [UInt8] = []
        guard let answer = try await connection.receiveAnswer(rest: &rest, isHead: method == "HEAD") else {
            throw RawConnection.Failure(description: "\(method) \(path): closed without an answer")
        }
        return answer
    }

    package func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("GET", path, headers: headers)
    }

    /// Sends JSON text.
    package func send(
        _ method: String, _ path: String, json: String, headers: [String: String] = [:]
    ) async throws -> Answer {
        let headers = headers.merging(["Content-Type": "application/json"]) { given, _ in given }
        return try await send(method, path, headers: headers, body: Array(json.utf8))
    }

    package func post(_ path: String, json: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("POST", path, json: json, headers: headers)
    }

    /// Creates an application and returns its path, `/applications/<token>`.
    package func makeApplication(_ name: String = "test") async throws -> String {
        let answer = try await post("/applications", json: "{\"name\":\"\(name)\"}")
        guard answer.status == 201, let location = answer["Location"] else {
            throw RawConnection.Failure(description: "no application: \(answer.status) \(answer.text)")
        }
        return location
    }

    /// Creates an application with a chat and returns the chat's path, `/applications/<token>/chats/1`.
    package func makeChat() async throws -> String {
        let answer = try await send("POST", makeApplication() + "/chats")
        guard answer.status == 201, let location = answer["Location"] else {
            throw RawConnection.Failure(description: "no chat: \(answer.status) \(answer.text)")
        }
        return location
    }
}

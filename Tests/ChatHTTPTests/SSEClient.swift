import Foundation
import TestSupport

/// Reads one stream of server-sent events, as the standard tells a browser to.
final class SSEClient {
    struct Event: Equatable {
        var type = "message"
        var data = ""
        /// The last event id, as a browser would send it when it reconnects.
        var id = ""

        var json: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(data.utf8))) as? [String: Any] ?? [:]
        }
        var number: Int? { json["number"] as? Int }
    }

    let connection: RawConnection
    private(set) var status = 0
    private(set) var headers: [String: String] = [:]
    private(set) var comments = 0
    private(set) var retry: Int?
    private(set) var lastEventID = ""
    private var undecoded: [UInt8] = []
    private var unread: [UInt8] = []
    private var hasEnded = false

    /// Sends the request and reads the answer's head.
    init(_ port: Int, _ path: String, headers: [String: String] = [:]) async throws {
        connection = try RawConnection(port: port)
        var head = "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        await connection.send(head + "\r\n")
        while undecoded.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
            let bytes = try await connection.receive()
            if bytes.isEmpty { throw RawConnection.Failure(description: "\(path): closed without an answer") }
            undecoded += bytes
        }
        let end = undecoded.firstRange(of: Array("\r\n\r\n".utf8))!
        let lines = String(decoding: undecoded[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        status = Int(lines[0].split(separator: " ")[1]) ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            self.headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        undecoded.removeFirst(end.upperBound)
    }

    /// The next event; nil at the end of the stream.
    func next() async throws -> Event? {
        while true {
            if let event = try takeBlock() { return event }
            if !(try await readMore()) { return nil }
        }
    }

    /// The numbers of the next messages.
    func numbers(_ count: Int) async throws -> [Int] {
        var numbers: [Int] = []
        while numbers.count < count, let event = try await next() { numbers.append(event.number ?? -1) }
        return numbers
    }

    /// Reads on until that many comments have come in all; events meanwhile are lost.
    func waitForComments(_ count: Int) async throws {
        while comments < count {
            while try takeBlock() != nil {}
            guard comments < count else { return }
            guard try await readMore() else { throw RawConnection.Failure(description: "the stream has ended") }
        }
    }

    /// Reads until the opening has been understood.
    func waitForOpening() async throws {
        while retry == nil {
            guard try takeBlock() == nil else { throw RawConnection.Failure(description: "an event first") }
            guard retry == nil else { return }
            guard try await readMore() else { throw RawConnection.Failure(description: "the stream has ended") }
        }
    }

    private func readMore() async throws -> Bool {
        if hasEnded { return false }
        let bytes = try await connection.receive()
        if bytes.isEmpty { return false }
        undecoded += bytes
        decodeChunks()
        return true
    }

    private func decodeChunks() {
        let newline = Array("\r\n".utf8)
        while let end = undecoded.firstRange(of: newline) {
            let size = Int(String(decoding: undecoded[..<end.lowerBound], as: UTF8.self), radix: 16) ?? -1
            guard size >= 0, undecoded.count >= end.upperBound + size + 2 else { return }
            unread += undecoded[end.upperBound..<end.upperBound + size]
            undecoded.removeFirst(end.upperBound + size + 2)
            if size == 0 { hasEnded = true }
        }
    }

    /// The next complete event, except the first one, which has the cursor that the stream begins after.
    private func takeBlock() throws -> Event? {
        if !undecoded.isEmpty { decodeChunks() }
        takeComments()
        while let end = unread.firstRange(of: Array("\n\n".utf8)) {
            let lines = String(decoding: unread[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\n")
            unread.removeFirst(end.upperBound)
            // Some clients deliver a block that was cut: it must not contain its id yet. Some deliver a block without
            // data.
            if !lines.contains(where: { $0.hasPrefix("data: ") })
                || lines.dropLast().contains(where: { $0.hasPrefix("id: ") })
            {
                throw RawConnection.Failure(description: "a block that not every client understands: \(lines)")
            }
            var event = Event()
            var hasData = false
            for line in lines {
                let parts = line.components(separatedBy: ": ")
                let value = parts.dropFirst().joined(separator: ": ")
                switch parts[0] {
                case "id": lastEventID = value
                case "event": event.type = value
                case "data":
                    event.data += (hasData ? "\n" : "") + value
                    hasData = true
                case "retry": retry = Int(value)
                default: throw RawConnection.Failure(description: "an unknown field: \(line)")
                }
            }
            event.id = lastEventID
            takeComments()
            if event.type == "cursor" {
                guard event.json["cursor"] as? String == lastEventID, retry != nil else {
                    throw RawConnection.Failure(description: "a cursor that is none: \(lines)")
                }
                continue
            }
            return event
        }
        return nil
    }

    /// Counts the comments between blocks; they have no blank line of their own.
    private func takeComments() {
        while unread.starts(with: Array(":\n".utf8)) {
            comments += 1
            unread.removeFirst(2)
        }
    }
}

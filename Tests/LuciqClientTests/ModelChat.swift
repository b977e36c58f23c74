import Foundation

@testable import LuciqClient

/// A chat as the server keeps it: messages by number, some of which are committed later than higher ones. It writes what
/// the server writes.
final class ModelChat {
    typealias Row = [String: JSONValue]

    struct Position {
        var number: Int64
        var revision: Int64
    }

    private(set) var revision: Int64 = 0
    /// The highest number.
    private(set) var given: Int64 = 0
    /// Numbers that are given and not committed yet.
    private(set) var late: Set<Int64> = []
    private var rows: [Int64: Row] = [:]
    /// By number: the revision of its last change.
    private var changed: [Int64: Int64] = [:]

    /// Everything up to it is committed, or never will be.
    var settled: Int64 { late.min().map { $0 - 1 } ?? given }
    var cursor: String { "\(settled).\(revision)" }

    func create(isLate: Bool, thread: Int64? = nil) {
        given += 1
        if isLate { late.insert(given) } else { store(given, thread) }
    }

    /// A number that was given comes after all, or never.
    func settle(_ number: Int64, isStored: Bool) {
        late.remove(number)
        if isStored { store(number, nil) }
    }

    private func store(_ number: Int64, _ thread: Int64?) {
        var row: Row = [
            "number": .integer(number), "body": .string("body \(number)"), "created_at": .string("at \(number)"),
            "sender": number % 3 == 0 ? nil : "u1",
        ]
        if let thread, rows[thread] != nil, rows[thread]?["thread"] == nil { row["thread"] = .integer(thread) }
        rows[number] = row
    }

    /// Nothing happens to what is not there, or deleted.
    private func change(_ number: Int64, _ body: (inout Row, JSONValue) -> Void) {
        guard var row = rows[number], row["deleted_at"] == nil else { return }
        revision += 1
        changed[number] = revision
        body(&row, .integer(revision))
        rows[number] = row
    }

    func edit(_ number: Int64) {
        change(number) { row, revision in
            row["body"] = .string("edit \(self.revision)")
            row["metadata"] = self.revision % 2 == 0 ? ["n": revision] : nil
            (row["rev"], row["edited_at"]) = (revision, .string("edited \(self.revision)"))
            if row["metadata"] == nil { row["metadata"] = .null }
        }
    }

    func delete(_ number: Int64) {
        change(number) { row, revision in
            (row["body"], row["metadata"], row["rev"]) = ("", .null, revision)
            row["edited_at"] = row["edited_at"] ?? .null
            (row["deleted_at"], row["deleted_by"]) = (.string("deleted \(self.revision)"), "u1")
            row["reactions"] = nil
        }
    }

    func react(_ number: Int64) {
        change(number) { row, revision in
            var summary: [JSONValue] = []
            if case .array(let held)? = row["reactions"]?["summary"] { summary = held }
            let name = JSONValue.string("r\(self.revision)")
            summary.append(["name": name, "count": 1, "users": ["u1"], "clipped": false])
            row["reactions"] = ["rev": revision, "summary": .array(summary)]
        }
    }

    /// A list as of now.
    func page(before: Int64? = nil, limit: Int) -> ChatPage {
        let numbers = rows.keys.filter { $0 < before ?? .max }.sorted()
        let messages = numbers.suffix(limit).map { number -> ChatMessage in
            var row = rows[number] ?? [:]
            if case .integer(let root)? = row["thread"] { row["root"] = summary(of: root) }
            return decoded(row)
        }
        return ChatPage(messages: messages, cursor: cursor, hasOlder: numbers.count > limit, before: before)
    }

    /// The thread as of now.
    private func summary(of root: Int64) -> JSONValue {
        let replies = rows.values.compactMap { row -> Int64? in
            if case (.integer(root)?, .integer(let number)?) = (row["thread"], row["number"]) { number } else { nil }
        }
        return [
            "number": .integer(root), "reply_count": .integer(Int64(replies.count)),
            "last_reply": .integer(replies.max() ?? 0),
        ]
    }

    /// What a reader at a position gets: changes by revision, then messages by number; and where it is then.
    func events(after position: Position) -> (events: [ChatEvent], end: Position) {
        var events: [ChatEvent] = []
        let due = changed.filter { $0.value > position.revision && $0.key <= position.number }
        for (number, revision) in due.sorted(by: { $0.value < $1.value }) {
            let json = encoded(["number": .integer(number), "parts": parts(of: number, since: position.revision)])
            events.append(event("message.changed", json, "\(position.number).\(revision)"))
        }
        let end = Position(number: max(position.number, settled), revision: revision)
        for number in position.number..<end.number {
            guard var row = rows[number + 1] else { continue }
            if case .integer(let root)? = row["thread"] { row["root"] = summary(of: root) }
            events.append(event("message", encoded(row), "\(number + 1).\(revision)"))
        }
        return (events, end)
    }

    private func parts(of number: Int64, since base: Int64) -> JSONValue {
        let row = rows[number] ?? [:]
        var parts: Row = [:]
        if case .integer(let revision)? = row["rev"], revision > base {
            var content: Row = [:]
            for key in ["rev", "body", "metadata", "edited_at", "deleted_at", "deleted_by"] {
                content[key] = row[key] ?? .null
            }
            parts["content"] = .object(content)
        }
        if let reactions = row["reactions"], case .integer(let revision)? = reactions["rev"], revision > base {
            parts["reactions"] = reactions
        }
        return .object(parts)
    }

    private func event(_ type: String, _ json: String, _ id: String) -> ChatEvent {
        ChatEvent(ServerSentEvent(type: type, data: json, id: id))!
    }

    private func encoded(_ row: Row) -> String {
        String(decoding: try! JSONEncoder().encode(row), as: UTF8.self)
    }

    private func decoded(_ row: Row) -> ChatMessage {
        try! JSONDecoder().decode(ChatMessage.self, from: Data(encoded(row).utf8))
    }
}

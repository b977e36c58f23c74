import ChatCore
import HTTPTypes

/// Edits and deletions of messages, and what edits have replaced.
struct MessageEditsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/messages/{message_number}"
        routes.onJSON(.patch, path, takesBody: true, scopes.chat(.write, edit))
        routes.onJSON(.delete, path, scopes.chat(.write, delete))
        routes.onJSON(.get, path + "/versions", scopes.chat(.read, versions))
    }

    @Sendable private func edit(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let patch = try MessageParameters(call.request.typedBody()).patch()
        let (number, key) = (call.parameters.messageNumber, try call.request.idempotencyKey())
        let expected = call.request.expectedRevisions(of: number)
        return Self.submit(try chat.editing(number, patch, expecting: expected, key: key), to: chat, call)
    }

    @Sendable private func delete(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (number, key) = (call.parameters.messageNumber, try call.request.idempotencyKey())
        let expected = call.request.expectedRevisions(of: number)
        return Self.submit(try chat.deleting(number, expecting: expected, key: key), to: chat, call)
    }

    private static func submit(_ change: MessageChange, to chat: ChatScope, _ call: Call) -> EndpointResult {
        .later { reply in
            chat.submit(change, on: call.eventLoop) { result in
                switch result {
                case .success(let changed) where changed.message.content.thread != nil:
                    Task {
                        // It is stored, whether its thread can be read or not.
                        let message = (try? await chat.tellingThread(changed.message)) ?? changed.message
                        reply(.success(answer(message, isReplay: changed.isReplay)))
                    }
                case .success(let changed):
                    reply(.success(answer(changed.message, isReplay: changed.isReplay)))
                case .failure(let error): reply(.failure(error))
                }
            }
        }
    }

    private static func answer(_ message: Message, isReplay: Bool) -> Response {
        var response = Response(message: message)
        if isReplay { response.replay() }
        return response
    }

    @Sendable private func versions(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (number, page) = (call.parameters.messageNumber, try Page(QueryItems(call.request.query)))
        return .task {
            let versions = try await chat.versions(of: number, page)
            var response = Response(json: versions.items.map(VersionItem.init), size: 512 * versions.items.count)
            let path = "\(chat.path)/messages/\(number)/versions"
            response.add("Link", versions.links(path: path, page: page, number: \.revision))
            return response
        }
    }
}

extension Response {
    /// One message, with its `ETag`.
    init(message: Message) {
        self.init(json: MessageJSON(message, as: .answer), size: 256 + message.body.utf8.count)
        add("ETag", message.entityTag)
    }
}

extension Message {
    /// Its number and the revision of its content: `"43.18"`.
    var entityTag: String { "\"\(number.rawValue).\(revision)\"" }
}

extension Request {
    /// The revisions in `If-Match` (RFC 9110, 13.1.1): what is no tag of this message expects none that it can have.
    ///
    /// - Returns: nil for any.
    func expectedRevisions(of number: Substring) -> Set<Int64>? {
        guard headers.has(.ifMatch) else { return nil }
        let tags = headers.values(of: .ifMatch).joined(separator: ",").split(separator: ",").map { tag in
            tag.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
        }
        if tags.contains(where: { $0.utf8.elementsEqual("*".utf8) }) { return nil }
        let prefix = "\"\(number)."
        return Set(
            tags.compactMap { tag in
                guard tag.hasPrefix(prefix), tag.hasSuffix("\"") else { return nil }
                return Int64(digits: tag.dropFirst(prefix.count).dropLast())
            })
    }
}

/// A content that was replaced.
private struct VersionItem: JSONWritable {
    let version: MessageVersion

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("rev", version.revision)
            json.member("body", version.body)
            json.member("metadata", RawJSON(text: version.metadata ?? "null"))
            if let mentions = version.mentions { json.member("mentions", mentions) }
            json.member("created_at", version.createdAt)
            json.member("replaced_at", version.replacedAt)
        }
    }
}

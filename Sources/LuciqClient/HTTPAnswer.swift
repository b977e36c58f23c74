import Foundation

/// An HTTP answer other than the expected one, or one whose body is still to be read.
package struct HTTPAnswer: Sendable {
    package let status: Int
    package var contentType = ""
    package var retryAfter: String?
    package var location: String?
    /// The path of the next page, from `Link` (RFC 8288).
    package var next: String?
    /// `Luciq-Cursor`, of a list of messages.
    package var cursor: String?
    package var body: [UInt8] = []

    private struct Problem: Decodable {
        var code: String?
        var detail: String?
        var errors: [String]?
    }

    package func failure(of address: ChatAddress) -> CallFailure {
        failure(at: address.server, missing: address.description)
    }

    /// - Parameter missing: what there is not after a 404: `key 0aB…`.
    package func failure(at server: ServerAddress, missing: String) -> CallFailure {
        // A proxy in between may answer in another format.
        let problem =
            contentType.hasPrefix("application/problem+json")
            ? try? JSONDecoder().decode(Problem.self, from: Data(body)) : nil
        let said = (problem?.errors?.joined(separator: "; ") ?? problem?.detail).map(\.asSentence)
        func failure(
            _ sentence: String, _ outlook: CallFailure.Outlook, mayHaveHappened: Bool = false
        ) -> CallFailure {
            CallFailure(
                sentence: sentence, outlook: outlook, mayHaveHappened: mayHaveHappened, status: status,
                code: problem?.code)
        }
        switch status {
        case 401 where problem?.code == "credentials_required": return failure("\(server.base) needs a key.", .final)
        case 404 where problem?.code == "not_found":
            return failure("There is no \(missing) at \(server.base).", .final)
        case 409 where problem?.code == "cursor_epoch":
            return failure(said ?? "The chat has never been where the cursor is.", .final)
        case 409 where problem?.code == "message_deleted":
            return failure(said ?? "The message was deleted.", .refused)
        case 413, 422: return failure(said ?? "The server refuses it (\(status)).", .refused)
        case 408, 409, 429, 500, 502, 503, 504:
            let seconds = retryAfter.flatMap { Int64($0) }.flatMap { $0 < 0 ? nil : $0 }
            return failure(
                said ?? "The server cannot take it now (\(status)).",
                .passing(asked: seconds.map { .seconds(min($0, 3600)) }), mayHaveHappened: true)
        case 300..<400:
            let target = location.map { " to \($0)" } ?? ""
            return failure("\(server.base) sends us on\(target); give the server's own URL.", .final)
        default:
            let kind = contentType.isEmpty ? "" : " with \(contentType)"
            return failure(
                said ?? "There is no Luciq Chat server at \(server.base): it answers \(status)\(kind).", .final)
        }
    }
}

extension String {
    /// Adds a full stop unless the text ends with one.
    fileprivate var asSentence: String { hasSuffix(".") ? self : self + "." }

    /// In a `Link` header as this server writes it.
    package var nextLink: String? {
        split(separator: ", ").first { $0.hasSuffix(">; rel=\"next\"") && $0.hasPrefix("</") }
            .map { String($0.dropFirst().prefix { $0 != ">" }) }
    }
}

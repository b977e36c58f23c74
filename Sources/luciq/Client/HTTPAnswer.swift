import ChatCore
import Foundation

/// An HTTP answer other than the expected one.
struct HTTPAnswer {
    let status: Int
    var contentType = ""
    var retryAfter: String?
    var location: String?
    /// The path of the next page, from `Link` (RFC 8288).
    var next: String?
    var body: [UInt8] = []

    private struct Problem: Decodable {
        var code: String?
        var detail: String?
        var errors: [String]?
    }

    func failure(of address: ChatAddress) -> CallFailure {
        let application =
            switch address.application {
            case .token(let token): token.description
            case .publicID(let id): id.text
            }
        return failure(at: address.server, missing: "chat \(address.chat) of application \(application)")
    }

    /// - Parameter missing: what there is not after a 404: `key 0aB…`.
    func failure(at server: ServerAddress, missing: String) -> CallFailure {
        // A proxy in between may answer in another format.
        let problem =
            contentType.hasPrefix("application/problem+json")
            ? try? JSONDecoder().decode(Problem.self, from: Data(body)) : nil
        let words = problem?.errors?.joined(separator: "; ") ?? problem?.detail
        let said = words.map { $0.printable.asSentence }
        switch status {
        case 401 where problem?.code == "credentials_required":
            return CallFailure(
                sentence: "\(server.base) needs a key: set LUCIQ_KEY or LUCIQ_ADMIN_KEY.", outlook: .final)
        case 404 where problem?.code == "not_found":
            return CallFailure(sentence: "There is no \(missing) at \(server.base).", outlook: .final)
        case 413, 422:
            return CallFailure(sentence: said ?? "The server refuses it (\(status)).", outlook: .refused)
        case 408, 409, 429, 500, 502, 503, 504:
            let asked = retryAfter.flatMap { Int64(digits: $0[...]) }.map { Duration.seconds(min($0, 3600)) }
            return CallFailure(
                sentence: said ?? "The server cannot take it now (\(status)).", outlook: .passing(asked: asked),
                mayHaveHappened: true)
        case 300..<400:
            let target = location.map { " to \($0.printable)" } ?? ""
            return CallFailure(
                sentence: "\(server.base) sends us on\(target); give the server's own URL.", outlook: .final)
        default:
            let kind = contentType.isEmpty ? "" : " with \(contentType.printable)"
            return CallFailure(
                sentence: said ?? "There is no Luciq Chat server at \(server.base): it answers \(status)\(kind).",
                outlook: .final)
        }
    }
}

extension String {
    /// Adds a full stop unless the text ends with punctuation.
    fileprivate var asSentence: String { hasSuffix(".") ? self : self + "." }
}

extension String {
    /// In a `Link` header as this server writes it.
    var nextLink: String? {
        split(separator: ", ").first { $0.hasSuffix(">; rel=\"next\"") && $0.hasPrefix("</") }
            .map { String($0.dropFirst().prefix { $0 != ">" }) }
    }
}

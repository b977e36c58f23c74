import ChatCore
import Foundation

/// An HTTP answer other than the expected one.
struct HTTPAnswer {
    let status: Int
    var contentType = ""
    var retryAfter: String?
    var location: String?
    var body: [UInt8] = []

    private struct Problem: Decodable {
        var code: String?
        var detail: String?
        var errors: [String]?
    }

    func failure(of address: ChatAddress) -> CallFailure {
        // A proxy in between may answer in another format.
        let problem =
            contentType.hasPrefix("application/problem+json")
            ? try? JSONDecoder().decode(Problem.self, from: Data(body)) : nil
        let words = problem?.errors?.joined(separator: "; ") ?? problem?.detail
        let said = words.map { $0.printable.asSentence }
        switch status {
        case 404 where problem?.code == "not_found":
            return CallFailure(
                sentence: "There is no chat \(address.chat) of application \(address.token) at \(address.base).",
                outlook: .final)
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
                sentence: "\(address.base) sends us on\(target); give the server's own URL.", outlook: .final)
        default:
            let kind = contentType.isEmpty ? "" : " with \(contentType.printable)"
            return CallFailure(
                sentence: said ?? "There is no Luciq Chat server at \(address.base): it answers \(status)\(kind).",
                outlook: .final)
        }
    }
}

extension String {
    /// Adds a full stop unless the text ends with punctuation.
    fileprivate var asSentence: String { hasSuffix(".") ? self : self + "." }
}

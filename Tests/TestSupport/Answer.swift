import Foundation

/// An HTTP answer, with a Content-Length.
package struct Answer: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    package subscript(header: String) -> String? {
        headers.first { $0.name.lowercased() == header.lowercased() }?.value
    }

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as JSON; empty if it is not an object.
    package var json: [String: Any] { parsed as? [String: Any] ?? [:] }

    /// The body as JSON; empty if it is not an array of objects.
    package var list: [[String: Any]] { parsed as? [[String: Any]] ?? [] }

    package var parsed: Any? { try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed) }

    /// The URL of a `Link` header.
    package func link(_ rel: String) -> String? {
        for link in (self["Link"] ?? "").components(separatedBy: ", ") where link.hasSuffix("; rel=\"\(rel)\"") {
            return String(link.dropFirst().prefix { $0 != ">" })
        }
        return nil
    }

    /// Nil when the bytes do not hold a whole answer yet.
    static func parse(_ bytes: [UInt8], isHead: Bool) -> (Answer, used: Int)? {
        guard let headEnd = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<headEnd.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
        let headers = lines.dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (name: String(parts[0]), value: parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
        }
        let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
        let end = headEnd.upperBound + (isHead ? 0 : length)
        guard bytes.count >= end else { return nil }
        return (Answer(status: status, headers: headers, body: Array(bytes[headEnd.upperBound..<end])), end)
    }
}

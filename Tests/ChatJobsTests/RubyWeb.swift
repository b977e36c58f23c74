import Foundation
import Synchronization
import TestSupport

/// A browser on Sidekiq's pages: it keeps the session's cookie and presses buttons.
final class RubyWeb: Sendable {
    private let process: RubyProcess
    private let client: Client
    private let cookie = Mutex("")

    init(process: RubyProcess, port: Int) {
        self.process = process
        client = Client(port: port)
    }

    /// - Returns: the page's HTML.
    /// - Throws: `RubyFailure` when it is not there.
    func page(_ path: String) async throws -> String {
        let answer = try await send("GET", path)
        guard answer.status == 200 else {
            throw RubyFailure("\(path): \(answer.status)\n\(answer.text.prefix(2000))\n\(process.output)")
        }
        return answer.text
    }

    /// Presses a button, by its name, of the first form that has all the marks; with all its hidden fields, and with
    /// ticks in its boxes.
    ///
    /// - Throws: `RubyFailure` when there is no such form or it is not taken.
    func press(_ button: String, on path: String, in marks: String...) async throws {
        let html = try await page(path)
        let forms = html.matches(of: /<form(?<head>[^>]*)>(?<body>.*?)<\/form>/.dotMatchesNewlines())
        guard
            let form = forms.first(where: { form in
                form.body.contains("name=\"\(button)\"") && marks.allSatisfy { form.0.contains($0) }
            })
        else { throw RubyFailure("\(path) has no form with a button “\(button)” and \(marks):\n\(html)") }
        let action = form.head.firstMatch(of: /action="([^"]*)"/).map { String($0.1) } ?? path
        var fields: [(name: String, value: String)] = [(button, "1")]
        for input in form.body.matches(of: /<input[^>]*>/) {
            guard input.0.contains(/type=["'](hidden|checkbox)["']/),
                let name = input.0.firstMatch(of: /name=["']([^"']*)["']/)?.1,
                let value = input.0.firstMatch(of: /value=["']([^"']*)["']/)?.1
            else { continue }
            fields.append((String(name), String(value).replacing("&amp;", with: "&")))
        }
        let body = fields.map { "\(escape($0.name))=\(escape($0.value))" }.joined(separator: "&")
        let answer = try await send("POST", action, body: body)
        guard answer.status == 302 || answer.status == 303 else {
            throw RubyFailure("POST \(action): \(answer.status)\n\(answer.text.prefix(2000))\n\(process.output)")
        }
    }

    /// - Returns: the status of a POST without the form's secret.
    func forge(_ path: String, _ body: String) async throws -> Int { try await send("POST", path, body: body).status }

    private func send(_ method: String, _ path: String, body: String? = nil) async throws -> Answer {
        var headers = ["Connection": "close"]
        let cookie = cookie.withLock(\.self)
        if !cookie.isEmpty { headers["Cookie"] = cookie }
        if body != nil { headers["Content-Type"] = "application/x-www-form-urlencoded" }
        let answer = try await client.send(method, path, headers: headers, body: body.map { Array($0.utf8) })
        if let new = answer["Set-Cookie"]?.prefix(while: { $0 != ";" }) { self.cookie.withLock { $0 = String(new) } }
        return answer
    }

    private func escape(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
    }
}

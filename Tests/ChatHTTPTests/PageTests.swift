import Cryptography
import Foundation
import TestSupport
import Testing

/// The pages at `/` and `/docs` as they are sent; what they do in a browser is tested with the executable.
@Suite(.timeLimit(.minutes(2))) struct PageTests {
    private struct Page: Sendable {
        let answer: Answer
        var policy: [String: String] {
            let directives = (answer["Content-Security-Policy"] ?? "").components(separatedBy: "; ")
            return Dictionary(
                uniqueKeysWithValues: directives.map { directive in
                    let parts = directive.split(separator: " ", maxSplits: 1)
                    return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
                })
        }

        /// What stands in the only element of that name.
        func content(of element: String) throws -> String {
            let parts = answer.text.components(separatedBy: "<\(element)")
            try #require(parts.count == 2, "one <\(element)>")
            let inside = try #require(parts[1].components(separatedBy: "</\(element)>").first)
            return String(inside.drop { $0 != ">" }.dropFirst())
        }
    }

    private func page(at path: String) async throws -> Page {
        try await TestServer.run { server in Page(answer: try await server.client.get(path)) }
    }

    @Test(arguments: ["/", "/docs"])
    func itsPolicyNamesItsScriptAndItsStyleAndNothingElse(path: String) async throws {
        let page = try await page(at: path)
        for (element, directive) in [("script", "script-src"), ("style", "style-src")] {
            let hash = SHA256.hash(try page.content(of: element).utf8)
            #expect(page.policy[directive] == "'sha256-\(Data(hash).base64EncodedString())'")
        }
        #expect(page.policy["default-src"] == "'none'")
        #expect(page.policy["connect-src"] == "'self'")
        #expect(page.policy["img-src"] == "data:")
        for directive in ["base-uri", "form-action", "frame-ancestors", "trusted-types"] {
            #expect(page.policy[directive] == "'none'", "\(directive)")
        }
        #expect(page.policy["require-trusted-types-for"] == "'script'")
        #expect(page.answer["Content-Security-Policy"]?.contains("unsafe") == false)
    }

    @Test(arguments: ["/", "/docs"])
    func itsHeaders(path: String) async throws {
        let page = try await page(at: path)
        #expect(page.answer.status == 200)
        #expect(page.answer["Content-Type"] == "text/html; charset=utf-8")
        #expect(page.answer["X-Content-Type-Options"] == "nosniff")
        #expect(page.answer["Referrer-Policy"] == "no-referrer")
        #expect(page.answer["Cross-Origin-Opener-Policy"] == "same-origin")
        #expect(page.answer["Cross-Origin-Resource-Policy"] == "same-origin")
        #expect(page.answer["Cache-Control"] == "no-cache")
    }

    @Test(arguments: ["/", "/docs"])
    func itIsWholeAndSmall(path: String) async throws {
        let page = try await page(at: path)
        // The JavaScript client is two fifths of the page at `/`.
        #expect(page.answer.body.count < (path == "/" ? 196_608 : 65_536))
        #expect(!page.answer.text.contains("page.css") && !page.answer.text.contains("page.js"))
        // The name space of SVG is an address that is never fetched.
        let outside = page.answer.text.replacing("http://www.w3.org/2000/svg", with: "").matches(
            of: /https?:\/\/[a-z0-9]+/)
        #expect(outside.map { String($0.output) } == [])
        #expect(page.answer.text.firstMatch(of: /\s(style|on[a-z]+)=["']/) == nil)
    }

    @Test(arguments: ["/", "/docs"])
    func nothingMakesMarkupOfText(path: String) async throws {
        let script = try await page(at: path).content(of: "script")
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"] {
            #expect(!script.contains(word), "\(word)")
        }
        #expect(!script.contains("</") && !script.contains("<!--"))
    }

    /// The script finds its elements by id: each that it names is there, once.
    @Test(arguments: ["/", "/docs"])
    func theScriptAndTheDocumentFitTogether(path: String) async throws {
        let page = try await page(at: path)
        let ids = page.answer.text.matches(of: /\sid="([a-z-]+)"/).map { String($0.1) }
        #expect(ids.count == Set(ids).count)
        let named = Set(try page.content(of: "script").matches(of: /(?:\$|clicked)\("([a-z-]+)"/).map { String($0.1) })
        #expect(named.count > (path == "/" ? 30 : 8))
        #expect(named.subtracting(ids) == [])
        // Labels and controls refer to elements that exist.
        let references = page.answer.text.matches(
            of: /\s(?:for|aria-labelledby|aria-describedby|aria-controls)="([a-z-]+)"/)
        #expect(Set(references.map { String($0.1) }).subtracting(ids) == [])
    }
}

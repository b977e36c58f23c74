import ChatCore
import Cryptography
import Foundation
import NIOCore

/// A web page: one document, assembled from the files in Resources/ when the server starts.
///
/// As one document, all its parts have one version whichever node answers, and its policy names the hashes of the one
/// script and the one style sheet that a browser may use. The page can reach only its own origin, and cannot turn text
/// that it shows into markup or code (trusted types).
struct WebPage {
    let response: Response

    /// At `/`.
    ///
    /// - Parameter demoUsers: those whom it can be.
    static func chat(for demoUsers: [DemoUser]) -> WebPage {
        // Neither ids nor names need escaping.
        let users = demoUsers.map { "\($0.id.text)=\($0.name)" }.joined(separator: " ")
        return WebPage(
            PackageResources.index_html, styles: [PackageResources.page_css, PackageResources.chat_css],
            scripts: [
                PackageResources.luciq_chat_js,
                PackageResources.dom_js, PackageResources.icons_js, PackageResources.rove_js, PackageResources.theme_js,
                PackageResources.users_js, PackageResources.api_js,
                PackageResources.reactions_js, PackageResources.message_js, PackageResources.actions_js,
                PackageResources.messages_js, PackageResources.reading_js,
                PackageResources.outbox_js, PackageResources.stream_js, PackageResources.compose_js,
                PackageResources.thread_js, PackageResources.pins_js, PackageResources.receipts_js,
                PackageResources.search_js, PackageResources.members_js, PackageResources.shell_js,
                PackageResources.sidebar_js, PackageResources.app_js,
            ], attributes: demoUsers.isEmpty ? "" : " data-demo-users=\"\(users)\"")
    }

    /// At `/docs`.
    static var docs: WebPage {
        WebPage(
            PackageResources.docs_html, styles: [PackageResources.page_css, PackageResources.docs_css],
            scripts: [
                PackageResources.dom_js, PackageResources.theme_js, PackageResources.yaml_js,
                PackageResources.markdown_js, PackageResources.docs_js,
            ])
    }

    /// - Parameters:
    ///   - scripts: share one scope; later ones use declarations of earlier ones.
    ///   - attributes: of the document's element, each with a leading space.
    private init(_ document: [UInt8], styles: [[UInt8]], scripts: [[UInt8]], attributes: String = "") {
        let script = Self.lean(scripts)
        let style = Self.lean(styles)
        let document = String(decoding: document, as: UTF8.self)
            .replacing("<html lang=\"en\">", with: "<html lang=\"en\"\(attributes)>")
            .replacing(#"<link rel="stylesheet" href="page.css">"#, with: "<style>\(style)</style>")
            .replacing(
                #"<script type="module" src="page.js"></script>"#, with: "<script type=\"module\">\(script)</script>")
        let policy = [
            "default-src 'none'", "script-src \(Self.source(script))", "style-src \(Self.source(style))",
            "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
            "require-trusted-types-for 'script'", "trusted-types 'none'",
        ]
        var response = Response(contentType: "text/html; charset=utf-8", body: ByteBuffer(string: document))
        // After an update the old script must not meet the new server.
        response.cacheControl = "no-cache"
        response.add("Content-Security-Policy", policy.joined(separator: "; "))
        response.add("Cross-Origin-Opener-Policy", "same-origin")
        self.response = response
    }

    /// Removes indentation and comments that have lines of their own. A line of CSS never begins with `//`, and no string
    /// in the scripts spans several lines.
    private static func lean(_ files: [[UInt8]]) -> String {
        var isInComment = false
        return files.flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n") }
            .map { $0.drop { $0 == " " } }
            .filter { line in
                if line.hasPrefix("/**") { isInComment = true }
                defer { if line.hasSuffix("*/") { isInComment = false } }
                return !isInComment && !line.hasPrefix("//")
            }
            .joined(separator: "\n")
    }

    /// A hash in the syntax of CSP's `script-src` and `style-src` (Content Security Policy Level 3, 2.3.1).
    private static func source(_ text: String) -> String {
        "'sha256-\(Data(SHA256.hash(text.utf8)).base64EncodedString())'"
    }
}

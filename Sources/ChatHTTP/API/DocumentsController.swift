import ChatCore
import HTTPTypes
import NIOCore

/// Serves the web page, the API's documentation, `openapi.yaml` and `asyncapi.yaml`.
struct DocumentsController {
    /// Those whom the page at `/` can be.
    let demoUsers: [DemoUser]

    func add(to routes: Routes) {
        // As text: browsers save `application/yaml` (RFC 9512) instead of showing it. Tools use the file's name.
        routes.on(.get, "/openapi.yaml") { _ in
            .now(.text(String(decoding: PackageResources.openapi_yaml, as: UTF8.self)))
        }
        routes.on(.get, "/asyncapi.yaml") { _ in
            .now(.text(String(decoding: PackageResources.asyncapi_yaml, as: UTF8.self)))
        }
        for (path, page) in [("/", WebPage.chat(for: demoUsers)), ("/docs", WebPage.docs)] {
            let response = page.response
            routes.on(.get, path) { _ in .now(response) }
        }
    }
}

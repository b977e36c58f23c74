import HTTPTypes
import NIOCore

/// Serves the web page, the API's documentation and `openapi.yaml`.
struct DocumentsController {
    func add(to routes: Routes) {
        routes.on(.get, "/openapi.yaml") { _ in
            // Browsers save what is `application/yaml` (RFC 9512), and tools go by the name, not by the type.
            .now(.text(String(decoding: PackageResources.openapi_yaml, as: UTF8.self)))
        }
        for (path, page) in [("/", WebPage.chat), ("/docs", WebPage.docs)] {
            let response = page.response
            routes.on(.get, path) { _ in .now(response) }
        }
    }
}

import HTTPTypes
import Hummingbird
import NIOCore

/// Serves the web page, the API's documentation and `openapi.yaml`.
struct DocumentsController {
    func add(to routes: Routes) {
        routes.on(.get, "/openapi.yaml") { _, _ in
            // As text: browsers download `application/yaml` (RFC 9512) instead of showing it, and tools go by the name.
            .text(String(decoding: PackageResources.openapi_yaml, as: UTF8.self))
        }
        for (path, page) in [("/", WebPage.chat), ("/docs", WebPage.docs)] {
            let response = page.response
            routes.on(.get, path) { _, _ in response }
        }
    }
}

extension Response {
    static func text(
        _ text: String,
        type: String = "text/plain; charset=utf-8",
        status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

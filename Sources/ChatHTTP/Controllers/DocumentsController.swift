import HTTPTypes
import Hummingbird
import NIOCore

/// What people and their tools read.
struct DocumentsController {
    func add(to routes: Routes) {
        routes.on(.get, "/openapi.yaml") { _, _ in
            .text(String(decoding: PackageResources.openapi_yaml, as: UTF8.self), type: "application/yaml")
        }
        routes.on(.get, "/") { _, _ in
            var response = Response.text(
                String(decoding: PackageResources.index_html, as: UTF8.self), type: "text/html; charset=utf-8")
            response.headers[.contentSecurityPolicy] = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
            return response
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

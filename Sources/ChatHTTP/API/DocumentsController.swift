import HTTPTypes
import Hummingbird
import NIOCore

/// What people and their tools read.
struct DocumentsController {
    func add(to routes: Routes) {
        routes.on(.get, "/openapi.yaml") { _, _ in
            .text(String(decoding: PackageResources.openapi_yaml, as: UTF8.self), type: "application/yaml")
        }
        let page = WebPage()
        routes.on(.get, "/") { _, _ in page.response }
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

package import ChatCore
package import HTTPTypes
package import Hummingbird
import NIOCore

extension Response {
    /// An answer with a JSON body.
    package init(status: HTTPResponse.Status = .ok, json value: some JSONWritable) {
        var writer = JSONWriter()
        value.write(to: &writer)
        self.init(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: writer.buffer)
        )
    }
}

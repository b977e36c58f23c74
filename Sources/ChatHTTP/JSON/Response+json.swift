import FoundationEssentials
package import HTTPTypes
package import Hummingbird
import NIOCore

extension ByteBuffer {
    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return encoder
    }()

    /// A value as JSON.
    static func json(_ value: some Encodable) -> ByteBuffer {
        // Our own answer types hold strings, integers and arrays of them: encoding those cannot fail.
        ByteBuffer(bytes: try! encoder.encode(value))
    }
}

extension Response {
    /// An answer with a JSON body.
    package init(status: HTTPResponse.Status = .ok, json value: some Encodable) {
        self.init(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: .json(value))
        )
    }
}

import HTTPTypes
import NIOCore
import NIOHPACK

extension Response {
    /// The head as a list of fields. Those of a connection, which HTTP/2 does not have, are left out.
    ///
    /// Only constants enter the client's table of fields: the size of our copy of the table is the client's choice.
    func http2Head(_ form: Form) -> HPACKHeaders {
        var list = HPACKHeaders()
        list.reserveCapacity(headers.count + 12)
        list.add(name: ":status", value: String(status.code))
        if let contentType { list.add(name: "content-type", value: contentType.description) }
        if departure == nil || !isStream, status.kind != .informational, status != .noContent {
            list.add(name: "content-length", value: String(body.readableBytes), indexing: .nonIndexable)
        }
        for (name, value) in headers {
            let name = name.description.lowercased()
            if name != "upgrade" { list.add(name: name, value: value, indexing: .nonIndexable) }
        }
        list.add(name: "x-request-id", value: form.requestID.description, indexing: .nonIndexable)
        for line in form.cors.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            list.add(
                name: line[..<colon].lowercased(), value: String(line[colon...].dropFirst().drop { $0 == " " }),
                indexing: .nonIndexable)
        }
        list.add(name: "cache-control", value: cacheControl.description)
        list.add(name: "x-content-type-options", value: "nosniff")
        list.add(name: "cross-origin-resource-policy", value: "same-origin")
        list.add(name: "date", value: form.date, indexing: .nonIndexable)
        return list
    }

    private var isStream: Bool { if case .stream = departure { true } else { false } }
}

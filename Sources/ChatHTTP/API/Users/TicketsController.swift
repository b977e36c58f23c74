import ChatCore
import HTTPTypes
import NIOCore

/// Tickets for the streams of a user's browser.
struct TicketsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        routes.on(.post, "/applications/{token}/tickets", takesBody: true, scopes.tenant(.read, create))
    }

    @Sendable private func create(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let request = try TicketRequest(call.request.typedBody())
        let (ticket, expiresAt) = try tenant.makeTicket(chats: request.chats, seconds: request.seconds)
        return .now(Response(status: .created, json: TicketAnswer(ticket: ticket, expiresAt: expiresAt)))
    }
}

/// `{"chats":[7],"ttl_s":600}`; both may be absent.
private struct TicketRequest {
    private(set) var chats: [Chat.Number]?
    private(set) var seconds: Int64 = 600

    /// - Throws: a `Problem` (400, 415); `ChatError.invalid`.
    init(_ body: RequestBody) throws {
        guard case .json(let json) = body else { throw Problem.unsupportedMediaType }
        guard json.readableBytes > 0 else { return }
        var errors: [String] = []
        try JSONReader.read(json) { member, reader in
            switch member {
            case "chats":
                var numbers: [Chat.Number?] = []
                if reader.current == UInt8(ascii: "[") {
                    try reader.array { numbers.append(try Self.number(&$0).flatMap { Chat.Number(digits: $0) }) }
                } else {
                    try reader.value()
                    numbers = [nil]
                }
                if numbers.contains(nil) { errors.append("Chats must be a list of chat numbers") }
                chats = numbers.compactMap(\.self)
            case "ttl_s":
                if let text = try Self.number(&reader), let number = Int64(digits: text) {
                    seconds = number
                } else {
                    errors.append("Ttl_s must be a number from 1 to \(TenantScope.ticketLifetimes.upperBound)")
                }
            default: try reader.value()
            }
        }
        guard errors.isEmpty else { throw ChatError.invalid(errors) }
    }

    /// - Returns: nil for another value.
    private static func number(_ reader: inout JSONReader) throws -> Substring? {
        guard let first = reader.current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            try reader.value()
            return nil
        }
        return try reader.number()
    }
}

struct TicketAnswer: JSONWritable {
    let ticket: String
    let expiresAt: Timestamp

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("ticket", ticket)
            json.member("expires_at", expiresAt)
        }
    }
}

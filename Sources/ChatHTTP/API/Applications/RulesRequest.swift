import ChatCore
import NIOCore

/// What a PATCH of an application says about its limits, origins and new chats:
/// `{"limits":{"user":{"create":{"per_minute":60,"burst":30}}},"origins":["https://chat.example.com"],"receipts":"members",
/// "presence":"users"}`, /// in `application` or not. Null takes all limits or origins away.
struct RulesRequest {
    private(set) var change = RulesChange()

    /// - Throws: a `Problem` (400); `ChatError.invalid` with a sentence for each mistake in the others. Those in the limits
    ///   are told by `TenantScope.update`.
    init(_ body: RequestBody) throws {
        // A form has no place for them.
        guard case .json(let json) = body else { return }
        var errors: [String] = []
        try JSONReader.read(json) { member, reader in
            switch member {
            case "application" where reader.current == UInt8(ascii: "{"):
                try reader.object { member, reader in try read(member, &reader, &errors) }
            default: try read(member, &reader, &errors)
            }
        }
        guard errors.isEmpty else { throw ChatError.invalid(errors) }
    }

    private mutating func read(_ member: JSONName, _ reader: inout JSONReader, _ errors: inout [String]) throws {
        switch member {
        case "limits": change.limits = try LimitsChange(&reader)
        case "origins": change.origins = try Self.origins(&reader, &errors)
        case "receipts":
            change.receipts = Chat.Receipts(name: try reader.scalar())
            if change.receipts == nil { errors.append(Chat.Receipts.mistake) }
        case "presence":
            change.presence = Tenant.Presence(name: try reader.scalar())
            if change.presence == nil { errors.append("Presence must be off or users") }
        default: try reader.value()
        }
    }

    private static func origins(_ reader: inout JSONReader, _ errors: inout [String]) throws -> [String] {
        if try reader.readNull() { return [] }
        guard reader.current == UInt8(ascii: "[") else {
            try reader.value()
            errors.append("Origins must be a list, or null")
            return []
        }
        var origins: [String] = []
        var (count, isWrong) = (0, false)
        try reader.array { reader in
            count += 1
            guard reader.current == UInt8(ascii: "\""), count <= TenantRules.mostOrigins else {
                isWrong = isWrong || reader.current != UInt8(ascii: "\"")
                return try reader.value()
            }
            guard let origin = Origin(try reader.string())?.description else { return isWrong = true }
            if !origins.contains(where: { $0.utf8.elementsEqual(origin.utf8) }) { origins.append(origin) }
        }
        if count > TenantRules.mostOrigins { errors.append("Origins must be at most \(TenantRules.mostOrigins)") }
        if isWrong {
            errors.append("Origins must be like https://chat.example.com: a scheme, a host and maybe a port; no *")
        }
        return origins
    }
}

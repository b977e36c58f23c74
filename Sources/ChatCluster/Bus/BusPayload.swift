import ChatCore

/// A channel's payload before it is sealed.
///
/// A chat's channel: a JSON array of `{"number":42,"body":"hi","created_at":1763830664194123}`, `{"revision":18}`, or
/// `{"signals":[{"signal":"typing","user":"u1"}]}`; a server that does not know one drops it. The revocations'
/// channel: `{"version":1,"kind":"revoked","path_token":"…"}`, or `"key"` and a key's id,
/// or `"application":42,"user":"u1"`, and `"blocked":true` where that is why; `{"version":1,"kind":"changed","application":42}`; or
/// `{"version":1,"kind":"members","application":42,"chat":7,"chat_number":3,"user":"u1"}`. A server that does not know a
/// kind looks everything up again.
enum BusPayload {
    private static let version: Int64 = 1

    static func encode(revoked principal: Principal, isBlocked: Bool = false) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", version)
            json.member("kind", "revoked")
            switch principal {
            case .pathToken(let token): json.member("path_token", token.text)
            case .applicationKey(let id): json.member("key", id.text)
            case .user(let tenant, let user):
                json.member("application", tenant.rawValue)
                json.member("user", user.text)
            // It is in the servers' settings: nobody can revoke it over the bus, and this names nothing.
            case .admin: break
            }
            if isBlocked { json.member("blocked", true) }
        }
        return json.bytes
    }

    static func encode(_ change: MembersChanged) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", version)
            json.member("kind", "members")
            json.member("application", change.tenant.rawValue)
            json.member("chat", change.chat.rawValue)
            json.member("chat_number", change.number.rawValue)
            if let user = change.user { json.member("user", user.text) }
        }
        return json.bytes
    }

    static func encode(changed tenant: Tenant.ID) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", version)
            json.member("kind", "changed")
            json.member("application", tenant.rawValue)
        }
        return json.bytes
    }

    /// - Returns: nil for a payload of another version.
    static func accessEvent(_ json: [UInt8]) -> BusEvent? {
        var (version, kind, principal, tenant): (Int64?, String?, Principal?, Int64?)
        var user: User.ID?
        var isBlocked = false
        var (chat, number): (Chat.ID?, Chat.Number?)
        let isWhole: Void? = try? json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            try reader.document { name, reader in
                switch name {
                case "version": version = Int64(try reader.number())
                case "kind": kind = try reader.string()
                case "path_token": principal = Tenant.Token(try reader.string()).map { .pathToken($0) }
                case "key": principal = AccessKey.ID(try reader.string()).map { .applicationKey($0) }
                case "application": tenant = Int64(try reader.number())
                case "user": user = User.ID(try reader.string())
                case "blocked":
                    isBlocked = reader.current == UInt8(ascii: "t")
                    try reader.value()
                case "chat": chat = Int64(try reader.number()).map { Chat.ID($0) }
                case "chat_number": number = Int64(try reader.number()).map { Chat.Number($0) }
                default: try reader.value()
                }
            }
        }
        guard isWhole != nil, version == Self.version else { return nil }
        if let tenant, let user { principal = .user(Tenant.ID(tenant), user) }
        switch kind {
        case "revoked": return principal.map { .revoked($0, isBlocked: isBlocked) }
        case "changed": return tenant.map { .tenantChanged(Tenant.ID($0)) }
        case "members":
            guard let tenant, let chat, let number else { return nil }
            return .members(MembersChanged(tenant: Tenant.ID(tenant), chat: chat, number: number, user: user))
        default: return nil
        }
    }

    static func encode(revision: Int64) -> [UInt8] {
        var json = JSONWriter()
        json.object { $0.member("revision", revision) }
        return json.bytes
    }

    static func encode(signals: [Signal]) -> [UInt8] {
        var json = JSONWriter()
        json.object { $0.member("signals", signals.map(BusSignal.init)) }
        return json.bytes
    }

    /// What a chat's channel tells.
    ///
    /// - Returns: nil for a payload that this version does not know. Readers notice a dropped message as a gap, and a
    ///   dropped revision by the next one or by polling.
    static func chatEvent(_ json: [UInt8], of chat: Chat.ID) -> BusEvent? {
        guard json.first == UInt8(ascii: "{") else {
            guard let messages = try? decode(json), !messages.isEmpty else { return nil }
            return .committed(chat, messages)
        }
        var revision: Int64?
        var signals: [Signal] = []
        let isWhole: Void? = try? json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            try reader.document { name, reader in
                switch name {
                case "revision": revision = Int64(try reader.number())
                case "signals":
                    try reader.array { reader in
                        guard let signal = try BusSignal.read(&reader) else { return }
                        if signals.count <= ChatScope.mostReceipts { signals.append(signal) }
                    }
                default: try reader.value()
                }
            }
        }
        guard isWhole != nil else { return nil }
        if let revision, revision > 0 { return .revised(chat, revision) }
        return signals.isEmpty ? nil : .signals(chat, signals)
    }

    static func encode(_ messages: [Message]) -> [UInt8] {
        var json = JSONWriter(capacity: messages.reduce(2) { $0 + $1.body.utf8.count + 64 })
        messages.map { MessageJSON($0, as: .exact) }.write(to: &json)
        return json.bytes
    }

    /// - Throws: `JSONReader.Failure` or `Message.NotOne` for other payloads.
    static func decode(_ json: [UInt8]) throws -> [Message] {
        try json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            var messages: [Message] = []
            try reader.array { reader in messages.append(try Message(json: &reader)) }
            return messages
        }
    }
}

/// The channel of presence: `{"online":[{"application":42,"user":"u1"}]}`.
extension BusPayload {
    /// Users in one payload.
    static let mostOnline = 256

    static func encode(online users: some Sequence<PresentUser>) -> [UInt8] {
        var json = JSONWriter()
        json.object { $0.member("online", users.map(BusPresence.init)) }
        return json.bytes
    }

    /// - Returns: nil for a payload that this version does not know.
    static func presenceEvent(_ json: [UInt8]) -> BusEvent? {
        var users: [PresentUser] = []
        let isWhole: Void? = try? json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            try reader.document { name, reader in
                switch name {
                case "online":
                    try reader.array { reader in
                        let user = try BusPresence.read(&reader)
                        if let user, users.count < mostOnline { users.append(user) }
                    }
                default: try reader.value()
                }
            }
        }
        return isWhole == nil || users.isEmpty ? nil : .online(users)
    }
}

private struct BusPresence: JSONWritable {
    let user: PresentUser

    init(_ user: PresentUser) { self.user = user }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("application", user.tenant.rawValue)
            json.member("user", user.user.text)
        }
    }

    static func read(_ reader: inout JSONReader) throws -> PresentUser? {
        var tenant: Int64?
        var user: User.ID?
        try reader.object { name, reader in
            switch name {
            case "application": tenant = Int64(try reader.number())
            case "user": user = User.ID(try reader.string())
            default: try reader.value()
            }
        }
        guard let tenant, let user else { return nil }
        return PresentUser(tenant: Tenant.ID(tenant), user: user)
    }
}

/// A signal in a payload: what its event has, with its type.
private struct BusSignal: JSONWritable {
    let signal: Signal

    init(_ signal: Signal) { self.signal = signal }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("signal", signal.type)
            SignalJSON(signal).writeMembers(to: &json)
        }
    }

    /// - Returns: nil for one that this version does not know.
    static func read(_ reader: inout JSONReader) throws -> Signal? {
        var type: String?
        var user: User.ID?
        var number: Int64?
        try reader.object { name, reader in
            switch name {
            case "signal": type = try reader.string()
            case "user": user = User.ID(try reader.string())
            case "number": number = Int64(try reader.number())
            default: try reader.value()
            }
        }
        switch (type, user, number) {
        case ("typing", let user?, _): return .typing(user)
        case ("read", let user?, let number?) where number >= 0:
            return .read(ReadReceipt(user: user, number: number))
        default: return nil
        }
    }
}

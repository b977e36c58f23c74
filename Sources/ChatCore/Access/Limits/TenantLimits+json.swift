// The form in the API and in the store:
//
//     {"application":{"create":{"per_minute":6000,"burst":600}},
//      "user":{"stream":{"per_minute":60,"burst":30,"concurrent":5}}}

extension TenantLimits: JSONWritable {
    package func write(to json: inout JSONWriter) {
        json.object { json in
            if !application.isEmpty { json.member("application", application) }
            if !user.isEmpty { json.member("user", user) }
        }
    }

    /// As it is stored.
    package var text: String {
        var json = JSONWriter()
        write(to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    /// - Parameter text: as stored. What this version does not know is left out.
    package init(stored text: String) {
        self.init()
        var text = text
        let change = try? text.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            return try LimitsChange(&reader)
        }
        if let change { self = change.applied(to: self) }
    }
}

extension ActionLimits: JSONWritable {
    package func write(to json: inout JSONWriter) {
        json.object { json in
            for action in LimitedAction.allCases {
                if let limit = self[action] { json.member(named: action.rawValue, limit) }
            }
        }
    }
}

extension Allowance: JSONWritable {
    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("per_minute", perMinute)
            json.member("burst", rate.burst)
            if let concurrent { json.member("concurrent", Int64(concurrent)) }
        }
    }
}

/// A change of an application's limits: a merge patch (RFC 7396) of their form, in which a limit is replaced as a whole.
/// What is null is taken away, what is absent stays.
package struct LimitsChange: Sendable {
    private var changes: [(principal: LimitedPrincipal, action: LimitedAction, limit: Allowance?)] = []
    /// A sentence for each mistake, the first ones.
    package private(set) var errors: [String] = []
    private static let mostErrors = 8

    /// - Throws: `JSONReader.Failure` for what is no JSON.
    package init(_ reader: inout JSONReader) throws {
        try read(&reader)
    }

    private mutating func read(_ reader: inout JSONReader) throws {
        guard try !reader.readNull() else { return LimitedPrincipal.allCases.forEach { takeAway($0) } }
        guard reader.current == UInt8(ascii: "{") else {
            try reader.value()
            return refuse("Limits must be an object or null")
        }
        try reader.object { name, reader in
            guard let principal = LimitedPrincipal.allCases.first(where: { name == $0.rawValue }) else {
                try reader.value()
                return refuse("Limits must have application or user, and nothing else")
            }
            try read(principal, &reader)
        }
    }

    private mutating func read(_ principal: LimitedPrincipal, _ reader: inout JSONReader) throws {
        guard try !reader.readNull() else { return takeAway(principal) }
        guard reader.current == UInt8(ascii: "{") else {
            try reader.value()
            return refuse("Limits.\(principal) must be an object or null")
        }
        try reader.object { name, reader in
            guard let action = LimitedAction.allCases.first(where: { name == $0.rawValue }) else {
                try reader.value()
                return refuse("Limits.\(principal) must have create, change, read or stream, and nothing else")
            }
            if try reader.readNull() { return changes.append((principal, action, nil)) }
            guard let limit = try Allowance(principal, action, &reader) else {
                let concurrent = action == .stream ? ", and concurrent (1 to \(Allowance.mostConcurrent))" : ""
                return refuse(
                    "Limits.\(principal).\(action) must be null or an object with per_minute (1 to "
                        + "\(Allowance.mostPerMinute)); it may have burst (1 to 1000000, and at most what comes in a "
                        + "week)\(concurrent)")
            }
            changes.append((principal, action, limit))
        }
    }

    private mutating func takeAway(_ principal: LimitedPrincipal) {
        for action in LimitedAction.allCases { changes.append((principal, action, nil)) }
    }

    private mutating func refuse(_ sentence: String) {
        if errors.count < Self.mostErrors, !errors.contains(sentence) { errors.append(sentence) }
    }

    package func applied(to limits: TenantLimits) -> TenantLimits {
        var limits = limits
        for (principal, action, limit) in changes { limits[principal][action] = limit }
        return limits
    }

    /// Whether some request of the application itself that was refused may be allowed after it.
    ///
    /// - Parameter defaults: hold where the application has set nothing.
    func loosens(_ limits: TenantLimits, defaults: ActionLimits) -> Bool {
        let after = applied(to: limits)
        return LimitedAction.allCases.contains { action in
            guard let before = limits.application[action] ?? defaults[action] else { return false }
            return (after.application[action] ?? defaults[action]).map { !$0.isWithin(before) } ?? true
        }
    }
}

extension Allowance {
    /// - Returns: nil for another object, or another value.
    fileprivate init?(
        _ principal: LimitedPrincipal, _ action: LimitedAction, _ reader: inout JSONReader
    ) throws {
        guard reader.current == UInt8(ascii: "{") else {
            try reader.value()
            return nil
        }
        var (perMinute, burst, concurrent): (Int64?, Int64?, Int64?)
        var isWrong = false
        try reader.object { name, reader in
            let isKnown = ["per_minute", "burst", "concurrent"].contains { name == $0 }
            guard isKnown, let number = try reader.readInteger() else {
                isWrong = true
                // An integer is read already.
                if !isKnown { try reader.value() }
                return
            }
            switch name {
            case "per_minute": perMinute = number
            case "burst": burst = number
            default: concurrent = number
            }
        }
        guard !isWrong, let perMinute else { return nil }
        self.init(
            principal, action, perMinute: perMinute, burst: burst, concurrent: concurrent.map { Int(clamping: $0) })
    }
}

extension JSONReader {
    /// Reads null, if it is next.
    package mutating func readNull() throws -> Bool {
        guard current == UInt8(ascii: "n") else { return false }
        try literal("null")
        return true
    }

    /// Reads any value.
    ///
    /// - Returns: nil unless it is a whole number as one writes it: `1.0` and `1e0` are none.
    fileprivate mutating func readInteger() throws -> Int64? {
        guard let first = current, first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        else {
            try value()
            return nil
        }
        return Int64(try number())
    }
}

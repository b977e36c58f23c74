import Foundation
import Testing

/// The parsed data file.
struct AccessMatrix: Sendable {
    struct Row: Sendable {
        let endpoint: String
        /// Nil for any.
        let server: String?
        /// Nil where the principal makes no sense.
        let answers: [String?]
    }

    struct Thing: Sendable {
        let endpoint: String
        /// What stands in the path, such as `an unknown user`.
        let thing: String
        let answers: [String?]
    }

    struct Names: Sendable {
        let name: String
        let answers: [String?]
    }

    let principals: [String]
    let rows: [Row]
    let otherNames: [Names]
    /// What is not there, and what belongs to another.
    let otherThings: [Thing]
    /// What users may do in a chat for members, by their roles.
    let roles: [String]
    let inAChat: [Names]
    /// The same in an open chat.
    let inAnOpenChat: [Names]
    /// What principals may do over each transport, tickets and narrowed tokens among them.
    let livePrincipals: [String]
    let live: [Names]

    static let docs = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../docs")

    init() throws {
        let data = try Data(contentsOf: Self.docs.appendingPathComponent("access-matrix.json"))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        principals = try #require(root["principals"] as? [String])
        rows = try #require(root["endpoints"] as? [[Any]]).map { row in
            let server = try #require(row[1] as? String)
            return Row(
                endpoint: try #require(row[0] as? String), server: server.isEmpty ? nil : server,
                answers: row.dropFirst(2).map { $0 as? String })
        }
        func names(_ member: String, of count: Int) throws -> [Names] {
            try #require(root[member] as? [[Any]]).map { row in
                try #require(row.count == count + 1)
                return Names(name: try #require(row[0] as? String), answers: row.dropFirst().map { $0 as? String })
            }
        }
        otherNames = try names("other_names", of: principals.count)
        otherThings = try #require(root["other_things"] as? [[Any]]).map { [principals] row in
            try #require(row.count == principals.count + 2)
            return Thing(
                endpoint: try #require(row[0] as? String), thing: try #require(row[1] as? String),
                answers: row.dropFirst(2).map { $0 as? String })
        }
        roles = try #require(root["roles"] as? [String])
        inAChat = try names("in_a_chat", of: roles.count)
        inAnOpenChat = try names("in_an_open_chat", of: roles.count)
        livePrincipals = try #require(root["live_principals"] as? [String])
        live = try names("live", of: livePrincipals.count)
        for row in rows { try #require(row.answers.count == principals.count) }
    }

    var endpointTable: String {
        table("endpoint", rows.map { row in ("`\(row.endpoint)`" + (row.server.map { ", \($0)" } ?? ""), row.answers) })
    }

    var nameTable: String { table("the path has", otherNames.map { ($0.name, $0.answers) }) }

    var thingTable: String {
        table("endpoint", otherThings.map { (Self.code("\($0.endpoint), \($0.thing)"), $0.answers) })
    }

    var roleTables: [String] {
        [inAChat, inAnOpenChat].map { rows in
            table("endpoint", rows.map { (Self.code($0.name), $0.answers) }, of: roles)
        }
    }

    var liveTable: String { table("transport", live.map { (Self.code($0.name), $0.answers) }, of: livePrincipals) }

    /// With the endpoint at its beginning as code.
    private static func code(_ name: String) -> String {
        let endpoint = name.prefix { $0 != "," }
        return endpoint.contains(" /") ? "`\(endpoint)`\(name.dropFirst(endpoint.count))" : name
    }

    private func table(
        _ title: String, _ rows: [(name: String, answers: [String?])], of principals: [String]? = nil
    ) -> String {
        let principals = principals ?? self.principals
        let words: [String: String] = [
            "yes": "yes", "same": "as above", "credentials_required": "401", "insufficient_scope": "403",
            "not_found": "404", "ambiguous_credentials": "400", "insufficient_role": "403",
        ]
        let header =
            "| \(title) | \(principals.joined(separator: " | ")) |\n|---|\(principals.map { _ in "---|" }.joined())"
        let lines = rows.map { row in
            "| \(row.name) | \(row.answers.map { $0.map { words[$0] ?? $0 } ?? "–" }.joined(separator: " | ")) |"
        }
        return ([header] + lines).joined(separator: "\n")
    }
}

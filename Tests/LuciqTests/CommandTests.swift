import ChatCore
import Foundation
import GRDB
import TestSupport
import Testing

@testable import luciq

@Suite(.timeLimit(.minutes(5))) struct CommandTests {
    private static let wrongKey: String = AccessKey.random(.application).text
    private static let tooManyKeys: String = (0..<17).map { _ in AccessKey.random(.admin).text }.joined(separator: ",")

    @Test(arguments: [
        (["serve"], ["PORT": "abc"], "PORT (environment) must be a number from 0 to 65535."),
        (["serve"], ["PORT": "65536"], "PORT (environment) must be a number from 0 to 65535."),
        (["serve", "--port", "1x"], [:], "PORT (command line) must be a number from 0 to 65535."),
        (["serve"], ["LOG_LEVEL": "loud"], "LOG_LEVEL (environment) must be one of trace, debug"),
        (["serve"], ["DATABASE_URL": "sqlite:relative"], "DATABASE_URL must look like sqlite:///absolute/path"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1/db"], "REDIS_URL must be set for a MySQL database"),
        (["serve"], ["DB_HOST": "127.0.0.1"], "REDIS_URL must be set for a MySQL database"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@h:x/db"], "DATABASE_URL: "),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1"], "DATABASE_URL must end with the database's name"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1/db", "REDIS_URL": "http://x"], "REDIS_URL: "),
        (["serve"], ["DATABASE_URL": "postgres://x"], "DATABASE_URL must look like sqlite:///absolute/path"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1/db"], "REDIS_URL must be set for a MySQL database"),
        (["serve"], ["DB_HOST": "127.0.0.1"], "REDIS_URL must be set for a MySQL database"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@h:x/db"], "DATABASE_URL: "),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1"], "DATABASE_URL must end with the database's name"),
        (["serve"], ["DATABASE_URL": "mysql://u:p@127.0.0.1/db", "REDIS_URL": "http://x"], "REDIS_URL: "),
        (
            ["serve", "--open-applications", "true"], ["HOST": "no.such.host.invalid"],
            "HOST must be an address or a name of this machine"
        ),
        (
            ["serve", "--config", "nowhere.json"], [:],
            "Cannot read the settings in nowhere.json: No such file or directory."
        ),
        (
            ["serve"], ["HOST": "0.0.0.0"],
            "On 0.0.0.0 anyone who reaches this server could make applications. Set LUCIQ_ADMIN_KEY"
        ),
        (["serve"], ["OPEN_APPLICATIONS": "false"], "With OPEN_APPLICATIONS=false nobody could make an application:"),
        (["serve"], ["OPEN_APPLICATIONS": "yes"], "OPEN_APPLICATIONS (environment) must be true or false."),
        (["serve"], ["LUCIQ_ADMIN_KEY": "s3cret"], "LUCIQ_ADMIN_KEY must be keys that luciq keys admin printed"),
        (
            ["serve"], ["LUCIQ_ADMIN_KEY": wrongKey],
            "LUCIQ_ADMIN_KEY must be keys that luciq"
        ),
        (
            ["serve"], ["LUCIQ_ADMIN_KEY": tooManyKeys],
            "LUCIQ_ADMIN_KEY must be at most 16 keys"
        ),
        (["serve"], ["SHUTDOWN_TIMEOUT": "0"], "SHUTDOWN_TIMEOUT (environment) must be a number from 1 to 3600."),
        (["verify"], ["DATABASE_URL": "x"], "DATABASE_URL must look like"),
    ])
    func badSettingsAreOneSentence(_ arguments: [String], _ environment: [String: String], _ sentence: String)
        async throws
    {
        let folder = try TemporaryFolder()
        let result = try await LuciqProcess.run(arguments, in: folder, environment: environment)
        #expect(result.code == 78)
        #expect(result.errors.hasPrefix("luciq: \(sentence)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        // No sentence has what was read.
        if let secret = environment["LUCIQ_ADMIN_KEY"] { #expect(!result.errors.contains(secret)) }
    }

    @Test(arguments: [
        (
            "{\"port\": 8080,\n \"max\": {\"conections\": 5}}",
            "Unknown setting max.conections in luciq.json, line 2: did you mean max.connections?"
        ),
        (
            #"{"DATABASE_URL": "sqlite:///x"}"#,
            "Unknown setting DATABASE_URL in luciq.json, line 1: did you mean database.url?"
        ),
        (#"{"--log-level": "info"}"#, "Unknown setting --log-level in luciq.json, line 1: did you mean log.level?"),
        (
            #"{"databse": {"pool": 4}}"#,
            "Unknown setting databse.pool in luciq.json, line 1: did you mean database.pool?"
        ),
        (#"{"redis": "redis://127.0.0.1"}"#, "Unknown setting redis in luciq.json, line 1: did you mean redis.url?"),
        (#"{"colour": null}"#, "Unknown setting colour in luciq.json, line 1; docs/configuration.md lists them all."),
        (#"{"a\u001b[2Jb\n": 1}"#, "Unknown setting a␛[2Jb↵ in luciq.json, line 1; docs/configuration.md"),
        (#"{"open": {"applications": 1}}"#, "OPEN_APPLICATIONS (file luciq.json) must be true or false."),
        (#"{"open": {"applications": false}}"#, "With OPEN_APPLICATIONS=false nobody could make an application:"),
        (#"{"port": true}"#, "PORT (file luciq.json) must be a number from 0 to 65535."),
        (#"{"port": {}, "host": null}"#, "HOST (file luciq.json) must be"),
        (#"{"port": "8080"}"#, "PORT (file luciq.json) must be a number from 0 to 65535."),
        ("{\n\"port\": 8080,\n}\n", "Cannot read the settings in luciq.json, line 3: The JSON is malformed."),
        ("{\"port\": 8080\n\n", "Cannot read the settings in luciq.json, line 3: The JSON is cut off."),
        ("[]", "Cannot read the settings in luciq.json: it must hold a JSON object."),
        ("", "Cannot read the settings in luciq.json: it must hold a JSON object."),
    ])
    func aBadFileIsOneSentence(_ content: String, _ sentence: String) async throws {
        let folder = try TemporaryFolder()
        try content.write(toFile: folder.file("luciq.json"), atomically: true, encoding: .utf8)
        let result = try await LuciqProcess.run(["serve", "--config", "luciq.json", "--ops-port", "0"], in: folder)
        #expect(result.code == 78)
        #expect(result.errors.hasPrefix("luciq: \(sentence)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func aFolderIsNoSettingsFile() async throws {
        let folder = try TemporaryFolder()
        let result = try await LuciqProcess.run(["verify"], in: folder, environment: ["LUCIQ_CONFIG": folder.path])
        #expect(result.code == 78)
        #expect(result.errors == "luciq: Cannot read the settings in \(folder.path): Is a directory.\n")
    }

    /// A settings file accepts exactly the keys that the documentation lists.
    @Test func theKeysOfAFileAreThoseInTheDocs() throws {
        let docs = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../docs/configuration.md"), encoding: .utf8)
        let listed = docs.matches(of: /\n\| `--[^|]*\| `[A-Z_]+` \| `([a-z._]+)` \|/).map { String($0.1) }
        #expect(listed.count > 30)
        // Secrets have no flag, and so no row.
        #expect(Set(listed + ["db.password", "elasticsearch.api_key", "luciq.admin_key"]) == Setup.keys)
    }

    @Test func flagsBeatTheEnvironmentBeatsTheFile() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("luciq.json")
        try #"{"port":1,"host":"file","database":{"url":"sqlite:///file"},"max":{"pending":"x"},"dead.days":9e1}"#
            .write(toFile: file, atomically: true, encoding: .utf8)
        let settings = try Settings(
            flags: ["PORT": "3"], file: file, environment: ["PORT": "2", "HOST": "environment", "LOG_LEVEL": ""])
        #expect(try settings.number(Setup.port, in: 0...9) == 3)
        #expect(try settings.text(Setup.host) == "environment")
        #expect(try settings.storeLocation().description == "/file")
        #expect(try settings.text(Setup.logLevel) == "info")
        #expect(try settings.number(Setup.deadDays, in: 1...99) == 90)
        #expect(throws: Settings.Invalid.self) { try settings.commitLimits() }
    }

    @Test func everySettingIsInHelpAndInTheDocs() async throws {
        let folder = try TemporaryFolder()
        let help = try await LuciqProcess.run(["serve", "--help"], in: folder, environment: ["COLUMNS": "400"]).output
        let docs = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../docs/configuration.md"), encoding: .utf8)
        var settings: [(flag: String, variable: String, key: String, value: String)] = []
        func add<Value>(_ setting: Setting<Value>, shown: String? = nil) {
            settings.append((setting.flag, setting.variable, setting.key, shown ?? "\(setting.defaultValue)"))
        }
        add(Setup.host)
        add(Setup.port)
        add(Setup.databaseURL, shown: "data/luciq.sqlite")
        add(Setup.databasePool)
        add(Setup.databaseMaxAge)
        add(Setup.redisURL, shown: "none")
        add(Setup.dbHost, shown: "none")
        add(Setup.dbPort)
        add(Setup.dbUsername)
        add(Setup.dbName)
        add(Setup.logLevel)
        add(Setup.logFormat)
        add(Setup.shutdownTimeout)
        add(Setup.requestTimeout)
        add(Setup.idleTimeout)
        add(Setup.bodyTimeout)
        add(Setup.maxConnections)
        add(Setup.connectionsPerAddress)
        add(Setup.trustedProxies, shown: "none")
        add(Setup.limitsUser)
        add(Setup.limitsApplication)
        add(Setup.limitsAuth)
        add(Setup.tlsCert, shown: "none")
        add(Setup.tlsKey, shown: "none")
        add(Setup.opsHost)
        add(Setup.opsPort)
        add(Setup.maxPending)
        add(Setup.maxPendingBytes)
        add(Setup.maxHeldBytes)
        add(Setup.corsOrigin, shown: "none")
        add(Setup.allowedHosts, shown: "none")
        add(Setup.elasticsearchURL, shown: "none")
        add(Setup.elasticsearchIndex)
        add(Setup.openApplications, shown: "none")
        add(Setup.deleteAfterDays)
        add(Setup.tokenMaxLifetime)
        add(Setup.editWindow)
        add(Setup.editHistoryDays)
        for (flag, variable, key, value) in settings {
            let words = help.split { $0.isWhitespace }.joined(separator: " ")
            #expect(words.contains(flag), "\(flag)")
            #expect(words.contains("\(value). Environment: \(variable)."), "\(flag)")
            let row = docs.split(separator: "\n").first { $0.contains("`\(flag)`") }
            #expect(row?.contains("`\(variable)`") == true, "\(flag) in docs")
            #expect(row?.contains("`\(key)`") == true, "\(flag) in docs")
            #expect(row?.contains(value) == true, "\(flag) in docs: \(value)")
        }
        // The help lists nothing that is not a setting.
        let flags = Set(help.matches(of: /--[a-z-]+/).map { String($0.0) })
        #expect(flags == Set(settings.map(\.flag) + ["--config", "--migrate", "--version", "--help"]))
    }

    @Test func theDatabaseCommands() async throws {
        let folder = try TemporaryFolder()
        func luciq(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
            try await LuciqProcess.run(arguments, in: folder)
        }
        let missing = try await luciq("db", "status")
        #expect(missing.code == 69)
        #expect(missing.errors.contains("Create it with luciq db migrate."))
        #expect(!FileManager.default.fileExists(atPath: folder.file("data")))

        #expect(
            try await luciq("db", "migrate").output.contains(
                "data/luciq.sqlite is up to date: 0001-create, 0002-log-cursors, 0003-search-blocks, 0004-search-times, "
                    + "0005-search-generations, 0006-access, 0007-users, 0008-members, 0009-lifecycle, "
                    + "0010-secrets, 0011-rules, 0012-receipts, 0013-changes, 0014-reactions, 0015-reads, "
                    + "0016-epoch, 0017-mentions, 0018-peak, 0019-presence."))
        #expect(try await luciq("db", "migrate").code == 0)
        let status = try await luciq("db", "status")
        #expect(status.output.contains("pending:      none"))
        let json = try await luciq("db", "status", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
        #expect(
            object?["applied"] as? [String] == [
                "0001-create", "0002-log-cursors", "0003-search-blocks", "0004-search-times",
                "0005-search-generations", "0006-access", "0007-users", "0008-members",
                "0009-lifecycle", "0010-secrets", "0011-rules", "0012-receipts",
                "0013-changes", "0014-reactions", "0015-reads", "0016-epoch",
                "0017-mentions", "0018-peak", "0019-presence",
            ])
        #expect(object?["epoch"] as? Int == 0 && status.output.contains("epoch:        1"))
        // Each is above all that are known.
        for (arguments, epoch) in [([], 2), ([], 3), (["--above", "7"], 8)] as [([String], Int)] {
            let new = try await LuciqProcess.run(["db", "new-epoch"] + arguments, in: folder)
            #expect(new.code == 0 && new.output.contains("is in epoch \(epoch)."))
        }
        #expect(try await luciq("db", "new-epoch", "--above=-1").code == 64)

        // Nobody answers the question, and no answer means no.
        let asked = try await luciq("db", "reset")
        #expect(asked.code == 69)
        #expect(asked.errors.contains("Nothing was deleted"))
        #expect(try await luciq("db", "reset", "--yes").code == 0)
        let clean = try await luciq("verify")
        #expect(clean.code == 0)
        #expect(clean.output.contains("Everything is as promised."))
    }

    @Test func resetDeletesADatabaseAndNothingElse() async throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("precious"), withIntermediateDirectories: true)
        try "letters".write(toFile: folder.file("precious/letters"), atomically: true, encoding: .utf8)
        for path in ["precious", "precious/letters"] {
            let url = "sqlite://" + folder.file(path)
            let reset = try await LuciqProcess.run(["db", "reset", "--yes", "--database-url", url], in: folder)
            #expect(reset.code == 69)
            #expect(reset.errors.contains("is not a SQLite database, or is encrypted; nothing was changed."))
        }
        #expect(try String(contentsOfFile: folder.file("precious/letters"), encoding: .utf8) == "letters")
    }

    @Test func verifyFindsWhatIsBroken() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        for _ in 0..<3 { _ = try await client.post(chat + "/messages", json: #"{"body":"x"}"#) }
        server.signal(SIGTERM)
        await server.wait()
        let file = folder.file("test.sqlite")
        try await DatabaseQueue(path: file).write { try $0.execute(sql: "DELETE FROM messages WHERE number = 2") }
        let result = try await LuciqProcess.run(["verify", "--database-url", "sqlite://" + file], in: folder)
        #expect(result.code == 1)
        #expect(result.output.contains("message 2 is missing"))
        #expect(result.output.contains("messages_count is 3, but the rows say 2"))
    }

    @Test func theSearchCommands() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        for index in 1...40 { _ = try await client.post(chat + "/messages", json: #"{"body":"text \#(index)"}"#) }
        let file = folder.file("test.sqlite")
        func search(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
            try await LuciqProcess.run(["search"] + arguments + ["--database-url", "sqlite://" + file], in: folder)
        }
        #expect(try await search("status").output.hasPrefix("messages: 40\nindexed:  "))
        let busy = try await search("rebuild")
        #expect(busy.code == 69 && busy.errors.contains("is using"), "\(busy.errors)")
        server.signal(SIGTERM)
        await server.wait()

        for _ in 0..<2 {
            #expect(try await search("rebuild").output == "Indexed 40 of 40 messages, in 1 blocks.\n")
        }
        let status = try await search("status", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Int]
        #expect(object?["indexed"] == 40 && object?["messages"] == 40 && object?["blocks"] == 1)
        let clean = try await search("verify")
        #expect(clean.code == 0 && clean.output.contains("Every block holds what its messages say."))

        try await DatabaseQueue(path: file).write {
            try $0.execute(sql: "UPDATE messages SET body = 'other' WHERE number = 7")
        }
        let damaged = try await search("verify")
        #expect(damaged.code == 1 && damaged.output.contains("the search block of messages 1 to 40 differs from them"))
        let whole = try await LuciqProcess.run(["verify", "--database-url", "sqlite://" + file], in: folder)
        #expect(whole.code == 1 && whole.output.contains("the search block of messages 1 to 40 differs from them"))
        #expect(try await search("rebuild").code == 0)
        #expect(try await search("verify").code == 0)
    }

    @Test func versionAndHelp() async throws {
        let folder = try TemporaryFolder()
        #expect(try await LuciqProcess.run(["--version"], in: folder).output == "0.1.0\n")
        let help = try await LuciqProcess.run(["--help"], in: folder)
        #expect(help.code == 0)
        #expect(help.output.contains("verify") && !help.output.contains("bench"))
        let wrong = try await LuciqProcess.run(["frobnicate"], in: folder)
        #expect(wrong.code == 64)
        #expect(!wrong.errors.isEmpty)
    }
}

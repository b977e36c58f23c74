import Testing

@testable import MySQLClient

struct ConfigurationTests {
    @Test(arguments: [
        ("mysql://", "127.0.0.1", 3306, "", "", ""),
        ("mysql://ann:s3cret@db.example:3307/chat", "db.example", 3307, "ann", "s3cret", "chat"),
        ("mariadb://ann@db/", "db", 3306, "ann", "", ""),
        ("MYSQL2://ann:p%40ss%2F%3F%23%25:x@db/chat%20room", "db", 3306, "ann", "p@ss/?#%:x", "chat room"),
        ("mysql://ann:a@b@db/chat", "db", 3306, "ann", "a@b", "chat"),
        ("mysql://ann@[::1]:3308/chat", "::1", 3308, "ann", "", "chat"),
        ("mysql://[fe80::1]", "fe80::1", 3306, "", "", ""),
        ("mysql://:1234", "127.0.0.1", 1234, "", "", ""),
    ])
    func parts(url: String, host: String, port: Int, user: String, password: String, database: String) throws {
        let configuration = try MySQLConfiguration(url: url)
        #expect(configuration.host == host)
        #expect(configuration.port == port)
        #expect(configuration.user == user)
        #expect(configuration.password == password)
        #expect(configuration.database == database)
        #expect(configuration.tlsMode == .preferred)
        #expect(configuration.socket == nil)
        #expect(configuration.readTimeout == .seconds(10))
    }

    @Test func parameters() throws {
        let configuration = try MySQLConfiguration(
            url: "mysql://ann@db/chat?ssl-mode=verify-identity&ssl-ca=/a%20b/ca.pem&ssl-cert=/c.pem&ssl-key=/k.pem"
                + "&socket=/run/my.sock&connect-timeout=1&read-timeout=2&write-timeout=3")
        #expect(configuration.tlsMode == .verifyIdentity)
        #expect(configuration.tlsCA == "/a b/ca.pem")
        #expect(configuration.tlsCertificate == "/c.pem")
        #expect(configuration.tlsKey == "/k.pem")
        #expect(configuration.socket == "/run/my.sock")
        #expect(configuration.connectTimeout == .seconds(1))
        #expect(configuration.readTimeout == .seconds(2))
        #expect(configuration.writeTimeout == .seconds(3))
        #expect(try MySQLConfiguration(url: "mysql://db?ssl-ca=/ca.pem").tlsMode == .verifyCA)
        #expect(try MySQLConfiguration(url: "mysql://db?ssl-mode=DISABLED").tlsMode == .disabled)
        #expect(try MySQLConfiguration(url: "mysql:///chat?socket=/s").database == "chat")
    }

    @Test(arguments: [
        "", "db/chat", "postgres://ann:s3cret@db/chat", "mysql:/ann:s3cret@db",
        "mysql://ann:s3cret@db:0/chat", "mysql://ann:s3cret@db:65536/chat", "mysql://ann:s3cret@db:x/chat",
        "mysql://ann:s3cret@[::1/chat", "mysql://ann:s3cret@[::1]x/chat", "mysql://ann:s3cret@db/chat/room",
        "mysql://ann:s3cret%zz@db/chat", "mysql://ann:s3cret%00@db/chat", "mysql://ann:s3cret#x@db/chat",
        "mysql://ann:x/s3cret@db/chat", "mysql://ann:x?s3cret@db/chat", "mysql://ann:x?s3cret=1@db/chat",
        "mysql://ann:s3cret@db/chat?ssl-mode=on", "mysql://ann:s3cret@db/chat?ssl-mode",
        "mysql://ann:s3cret@db/chat?pool=5", "mysql://ann:s3cret@db/chat?ssl-ca=",
        "mysql://ann:s3cret@db/chat?ssl-mode=verify-ca", "mysql://ann:s3cret@db/chat?ssl-mode=disabled&ssl-ca=/c",
        "mysql://ann:s3cret@db/chat?ssl-cert=/c", "mysql://ann:s3cret@db/chat?read-timeout=0",
        "mysql://ann:s3cret@db/chat?read-timeout=1.5", "mysql://ann:s3cret@db/chat?connect-timeout=9999",
    ])
    func refused(url: String) {
        let error = #expect(throws: MySQLConfiguration.Invalid.self) { try MySQLConfiguration(url: url) }
        #expect(error?.description.contains("s3cret") == false)
        #expect(error?.description.contains(" ") == true)
    }

    @Test func description() throws {
        let url = "mysql://ann:s3cret@[::1]:3308/chat"
        let configuration = try MySQLConfiguration(url: url)
        #expect("\(configuration)" == "mysql://ann@[::1]:3308/chat")
        #expect(!String(reflecting: configuration).contains("s3cret"))
        let local = try MySQLConfiguration(url: "mysql://ann:s3cret@db/chat?socket=/run/my.sock")
        #expect("\(local)" == "mysql://ann@localhost/chat?socket=/run/my.sock")
    }
}

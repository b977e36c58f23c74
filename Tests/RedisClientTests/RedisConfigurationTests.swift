import RedisClient
import Testing

@Suite(.timeLimit(.minutes(2))) struct RedisConfigurationTests {
    @Test(arguments: [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://localhost/", "redis://localhost:6379/0"),
        ("redis://10.1.2.3:7000/3", "redis://10.1.2.3:7000/3"),
        ("redis://[::1]:7000", "redis://[::1]:7000/0"),
        ("redis://:secret@cache", "redis://cache:6379/0"),
        ("redis://luciq:se%40c:ret@cache/1", "redis://cache:6379/1"),
        ("redis://luciq:se@cret@cache/1", "redis://cache:6379/1"),
        ("rediss://cache:7001?ca=/etc/ca.pem&verify=ca", "rediss://cache:7001/0"),
        ("redis+sentinel://a,b:27000,[::2]/main/2", "redis+sentinel://a:26379,b:27000,[::2]:26379/main/2"),
        ("redis+sentinel://:secret@a/main?sentinel-password=secret", "redis+sentinel://a:26379/main/0"),
    ])
    func describesItselfWithoutSecrets(url: String, description: String) throws {
        let configuration = try RedisConfiguration(url: url)
        #expect(configuration.description == description)
        #expect("\(configuration)\([configuration])".contains("secret") == false)
    }

    @Test func readsEverything() throws {
        let plain = try RedisConfiguration(
            url: "redis://luciq:p%40ss:word@h:1/2?command-timeout=0.25&connect-timeout=7")
        #expect(plain.user == "luciq")
        #expect(plain.password == "p@ss:word")
        #expect(plain.database == 2)
        #expect(plain.commandTimeout == .milliseconds(250))
        #expect(plain.connectTimeout == .seconds(7))
        #expect(plain.tls == nil)
        let secure = try RedisConfiguration(url: "rediss://h?ca=/a%20b&cert=/c&key=/k&verify=none")
        #expect(secure.tls?.authorities == "/a b")
        #expect(secure.tls?.certificate == "/c")
        #expect(secure.tls?.key == "/k")
        #expect(secure.tls?.verification == RedisConfiguration.TLS.Verification.none)
        let sentinel = try RedisConfiguration(url: "redis+sentinel://:pw@a,b/main?sentinel-password=other")
        #expect(sentinel.password == "pw")
        #expect(sentinel.sentinelPassword == "other")
        let defaults = try RedisConfiguration(url: "rediss://h")
        #expect(defaults.tls?.verification == .full)
        #expect(defaults.commandTimeout == .seconds(1))
        #expect(defaults.connectTimeout == .seconds(3))
        #expect(defaults.user == nil && defaults.password == nil && defaults.database == 0)
    }

    @Test(arguments: [
        ("localhost:6379", "start with redis://"), ("http://localhost", "start with redis://"),
        ("redis://", "host"), ("redis://:secret@", "host"), ("redis://a b", "host"), ("redis://a,b", "host"),
        ("redis://h:0", "65535"), ("redis://h:70000", "65535"), ("redis://h:99999999999999999999", "65535"),
        ("redis://h/one", "database"), ("redis://h/-1", "database"), ("redis://h/1/2", "/database"),
        ("redis://luciq@h", "needs a password"), ("redis://:%zz@h", "percent"),
        ("redis://h?ca=/a", "options"), ("redis://h?secret=1", "options"), ("redis://h?sentinel-password=x", "options"),
        ("redis://h?command-timeout=0", "command-timeout"), ("redis://h?connect-timeout=soon", "connect-timeout"),
        ("redis://h?command-timeout=nan", "command-timeout"), ("redis://h?command-timeout", "command-timeout"),
        ("rediss://h?verify=maybe", "verify"), ("rediss://h?cert=/c", "together"),
        ("redis+sentinel://a,b", "primary's name"), ("redis+sentinel://a,,b/main", "host"),
        ("redis+sentinel://a/main/0/1", "primary's name"), ("rediss+sentinel://a/main", "not supported"),
        // A password that should have been encoded ends up anywhere in the URL.
        ("redis://luciq:sec/ret@h", "host:port"), ("redis://luciq:1/secret@h", "database"),
        ("redis://luciq:1?secret=@h", "options"),
    ])
    func refuses(url: String, because part: String) {
        let error = #expect(throws: RedisConfiguration.Invalid.self) { try RedisConfiguration(url: url) }
        let text = error?.description ?? ""
        #expect(text.contains(part), "\(text)")
        #expect(!text.contains("secret") && !text.contains("sec/"), "\(text)")
    }
}

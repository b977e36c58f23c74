import ChatSearch
import Testing

struct EngineConfigurationTests {
    @Test(arguments: [
        ("http://127.0.0.1:9200", "http://127.0.0.1:9200"),
        ("https://search.example.com", "https://search.example.com"),
        ("https://elastic:p%40ss%2Fw%3Ard@search.example.com:9243/engine/", "https://search.example.com:9243/engine"),
        ("HTTP://[::1]:9200/", "http://[::1]:9200"),
    ])
    func aURLIsShownWithoutItsPassword(_ url: String, _ shown: String) throws {
        let configuration = try EngineConfiguration(url: url)
        #expect("\(configuration)" == shown)
        #expect(!String(reflecting: configuration).contains("ss"))
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("Basic") && !dumped.contains("p@ss"))
    }

    @Test(arguments: [
        ("", "", "luciq", "must start with http"),
        ("search.example.com:9200", "", "luciq", "must start with http"),
        ("https://", "", "luciq", "needs a host"),
        ("https://se arch", "", "luciq", "needs a host"),
        ("https://host:0", "", "luciq", "1 to 65535"),
        ("https://host:99999", "", "luciq", "1 to 65535"),
        ("https://host?secret=hunter2", "", "luciq", "no query"),
        ("https://user@host", "", "luciq", "needs a password"),
        ("https://user:hun/ter2@host", "", "luciq", "percent-encoded"),
        ("https://user:hunter2%zz@host", "", "luciq", "percent-encoding"),
        ("https://user:hunter2@host", "hunter2", "luciq", "not both"),
        ("https://host", "hunter2\r\nX: y", "luciq", "API key"),
        ("https://host", "", "Luciq", "lower-case"),
        ("https://host", "", "luciq*", "lower-case"),
        ("https://host", "", "", "lower-case"),
    ])
    func aWrongSettingIsOneSentenceWithoutTheSecret(
        _ url: String, _ key: String, _ index: String, _ sentence: String
    ) throws {
        do {
            _ = try EngineConfiguration(url: url, apiKey: key, index: index)
            Issue.record("\(url) is accepted")
        } catch {
            #expect(error.description.contains(sentence), "\(error)")
            #expect(!error.description.contains("hunter") && !error.description.contains("ter2"))
            #expect(error.description.hasSuffix("."))
        }
    }
}

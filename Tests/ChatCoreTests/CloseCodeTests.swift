import Foundation
import Testing

@testable import ChatCore

struct CloseCodeTests {
    @Test func theDocumentHasAllOfThem() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../docs/streams.md")
        let section = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n## Close codes\n")
        try #require(section.count == 2)
        let rows = section[1].components(separatedBy: "\n## ")[0].matches(of: /\| (\d+) \| `(\w+)` \| (yes|no) \|/)
        #expect(
            rows.map { "\($0.1) \($0.2) \($0.3)" }
                == CloseCode.allCases.map { "\($0.rawValue) \($0.name) \($0.mayReconnect ? "yes" : "no")" })
    }

    /// Clients go by the range.
    @Test func ourOwnLieInTheirRange() {
        for code in CloseCode.allCases where code.rawValue >= 3000 {
            #expect((code.mayReconnect ? 4000...4399 : 4400...4499).contains(code.rawValue), "\(code)")
        }
        #expect(Set(CloseCode.allCases.map(\.name)).count == CloseCode.allCases.count)
    }
}

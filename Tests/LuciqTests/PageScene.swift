import Foundation
import Synchronization
import TestSupport
import Testing

/// A server with a database of its own, and a browser.
final class PageScene: Sendable {
    let browser: Browser
    /// Where the page is.
    let url: String
    private let folder: TemporaryFolder
    private let port: Int
    private let server: Mutex<(server: LuciqProcess, client: Client)>

    /// Runs `body`, then checks that the browser logged no error and sent no request to another host.
    static func run(_ body: (PageScene) async throws -> Void) async throws {
        let scene = try await PageScene()
        try await body(scene)
        scene.expectNoComplaints()
        try await scene.browser.quit()
        await scene.stopServer(SIGKILL)
    }

    private init() async throws {
        folder = try TemporaryFolder()
        port = try FreePort.any()
        url = "http://127.0.0.1:\(port)/"
        server = Mutex(try await LuciqProcess.serve(["--port", "\(port)"], in: folder))
        browser = try Browser()
    }

    func client() -> Client { server.withLock(\.client) }

    func tab(at address: String? = nil) async throws -> BrowserTab {
        try await BrowserTab(browser, address ?? url)
    }

    func stopServer(_ signal: Int32) async {
        let process = server.withLock(\.server)
        process.signal(signal)
        await process.wait()
    }

    /// Again, on the same port and with the same database.
    func startServer() async throws {
        let started = try await LuciqProcess.serve(["--port", "\(port)"], in: folder)
        server.withLock { $0 = started }
    }

    /// From the welcome to an empty chat, as a new user does it.
    func makeChatByClicking(_ tab: BrowserTab) async throws {
        try await tab.click("#create-application button")
        try await tab.click("#first-chat")
        try await tab.isLive()
        try await tab.until("document.querySelector('#empty').checkVisibility()")
    }

    /// The page's address for a chat's path.
    func address(of chat: String) -> String {
        let parts = chat.split(separator: "/")
        return "\(url)#\(parts[1])/\(parts[3])"
    }

    /// The path of the chat that a tab shows.
    func chatPath(of tab: BrowserTab) async throws -> String {
        let parts = try await tab.address().split(separator: "#")[1].split(separator: "/")
        return "/applications/\(parts[0])/chats/\(parts[1])"
    }

    static func stateIs(_ state: String) -> String { "document.querySelector('#state').dataset.state === '\(state)'" }

    static func bottom(_ selector: String) -> String {
        "document.querySelector('\(selector)').getBoundingClientRect().bottom"
    }

    /// The last line that says something about the connection.
    static let remark = "[...document.querySelectorAll('.away')].at(-1)?.textContent"

    private func expectNoComplaints() {
        for event in browser.events {
            switch event.method {
            case "Runtime.exceptionThrown":
                Issue.record("The page threw: \(event.parameters)")
            case "Log.entryAdded":
                let entry = event.parameters["entry"] as? [String: Any] ?? [:]
                // A server that was stopped, and refusals that a test asked for, are logged as network errors.
                if entry["source"] as? String != "network" { Issue.record("The browser logged: \(entry)") }
            case "Network.requestWillBeSent":
                let request = event.parameters["request"] as? [String: Any]
                let asked = request?["url"] as? String ?? ""
                #expect(asked.hasPrefix(url) || asked.hasPrefix("data:") || asked.hasPrefix("about:"), "\(asked)")
            default: break
            }
        }
    }
}

extension BrowserTab {
    func address() async throws -> String { try await value("location.href") as? String ?? "" }

    /// The second tab as its link opens it: as somebody else.
    func secondTab(in scene: PageScene) async throws -> BrowserTab {
        let link = try #require(try await value("document.querySelector('#second-tab').href") as? String)
        let second = try await scene.tab(at: link)
        try await second.isLive()
        return second
    }

    /// A tab that shows the same chat to a user.
    func anotherTab(of user: String, in scene: PageScene) async throws -> BrowserTab {
        let place = try await address().split(separator: "#")[1]
        let tab = try await scene.tab(at: "\(scene.url)?as=\(user)#\(place)")
        try await tab.isLive()
        return tab
    }

    /// Presses a button of a message, which is there for whoever points at the message.
    func press(_ action: String, on number: Int) async throws {
        try await hover("#m\(number) .body")
        try await click("#m\(number) [data-action=\(action)]")
    }

    /// Chooses a reaction, as `press(_:on:)`.
    func react(_ name: String, to number: Int) async throws {
        try await press("react", on: number)
        try await click("#picker [data-name='\(name)']")
    }

    /// Opens an operation's form at `/docs`, and sends it.
    func sendTrial(_ operation: String) async throws {
        try await click("#\(operation) .trial summary")
        try await click("#\(operation) .trial .primary")
    }

    func isLive() async throws { try await until(PageScene.stateIs("live")) }

    func send(_ text: String) async throws {
        try await click("#body")
        try await type(text)
        try await press("Enter")
    }

    /// Waits until a message is the last one that the list shows.
    func shows(_ number: Int) async throws {
        try await until("[...document.querySelectorAll('#messages .message')].at(-1)?.dataset.number === '\(number)'")
    }

    func numbers() async throws -> [Int] {
        try await value("[...document.querySelectorAll('#messages .message')].map(row => Number(row.dataset.number))")
            as? [Int] ?? []
    }

    func bodies() async throws -> [String] {
        try await value("[...document.querySelectorAll('#messages .body')].map(body => body.textContent)")
            as? [String] ?? []
    }

    /// Waits until the page says that, to screen readers too.
    func complains(_ sentence: String) async throws {
        try await until(
            "document.querySelector('[role=alert]:not([hidden]) p')?.textContent === \(Self.quote(sentence))")
    }

    /// Every control has a name, every text has the contrast that WCAG 2.2 AA requires, and nothing is wider than the
    /// screen.
    func isReadable(_ place: String) async throws {
        let tree = try await call("Accessibility.getFullAXTree")["nodes"] as? [[String: Any]] ?? []
        let controls = tree.filter { node in
            let role = (node["role"] as? [String: Any])?["value"] as? String ?? ""
            return ["button", "link", "textbox", "searchbox", "checkbox", "dialog", "log", "complementary"].contains(
                role)
                && node["ignored"] as? Bool != true
        }
        #expect(controls.count > 2, "\(place)")
        for node in controls {
            let name = (node["name"] as? [String: Any])?["value"] as? String ?? ""
            #expect(!name.isEmpty, "\(place): \(node["role"] ?? "") \(node["properties"] ?? "")")
        }
        let faint = try await value(Self.faintTexts) as? [String]
        #expect(faint == [], "\(place)")
        let excess =
            try await value("document.documentElement.scrollWidth - document.documentElement.clientWidth") as? Int
        #expect(excess ?? 1 <= 0, "\(place)")
    }

    /// The visible texts whose contrast is below 4.5 (WCAG 2.2, 1.4.3).
    private static let faintTexts = """
        (() => {
          const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
          const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
            .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
          const behind = (element) => {
            for (let at = element; at; at = at.parentElement) {
              const color = numbers(getComputedStyle(at).backgroundColor);
              if (color.length === 3 || color[3] === 1) return color;
            }
            return [255, 255, 255];
          };
          const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
          return [...document.body.querySelectorAll("*")]
            .filter((element) => (own(element) || element.placeholder) && element.checkVisibility() && !element.disabled)
            .filter((element) => !element.closest(".unseen, script, [inert]"))
            .map((element) => {
              const [above, below] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
              return [(Math.max(above, below) + 0.05) / (Math.min(above, below) + 0.05), element];
            })
            .filter(([ratio]) => ratio < 4.5)
            .map(([ratio, element]) => `${ratio.toFixed(2)} ${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
        })()
        """
}

import Foundation
import TestSupport

/// A browser window with one page. Tests use the mouse and the keyboard as a person does.
struct BrowserTab: Sendable {
    let browser: Browser
    let session: String

    /// Where screenshots are kept for people to look at.
    private static let screenshots = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../.build/screenshots").standardized

    /// Opens a separate window, because a tab behind another one is not drawn.
    init(_ browser: Browser, _ url: String, width: Int = 1280, height: Int = 800) async throws {
        self.browser = browser
        let target = try await browser.call("Target.createTarget", ["url": "about:blank", "newWindow": true])
        let attached = try await browser.call(
            "Target.attachToTarget", ["targetId": target["targetId"] ?? "", "flatten": true])
        session = attached["sessionId"] as? String ?? ""
        for domain in ["Page", "Runtime", "Log", "Network"] { try await call("\(domain).enable") }
        try await resize(width: width, height: height)
        try await go(to: url)
    }

    @discardableResult
    func call(_ method: String, _ parameters: [String: Any] = [:]) async throws -> [String: Any] {
        try await browser.call(method, parameters, session: session)
    }

    func go(to url: String) async throws {
        try await call("Page.navigate", ["url": url])
        try await until("document.readyState === 'complete' && location.href === \(Self.quote(url))")
    }

    func reload() async throws {
        try await value("window.isOld = true")
        try await call("Page.reload")
        try await until("!window.isOld && document.readyState === 'complete'")
    }

    func resize(width: Int, height: Int) async throws {
        try await call(
            "Emulation.setDeviceMetricsOverride",
            ["width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500])
    }

    /// As a phone's screen: pressed by a finger, and nothing hovers.
    func becomePhone(width: Int = 390, height: Int = 844) async throws {
        try await resize(width: width, height: height)
        try await call("Emulation.setTouchEmulationEnabled", ["enabled": true])
    }

    func prefer(dark: Bool) async throws {
        let scheme = ["name": "prefers-color-scheme", "value": dark ? "dark" : "light"]
        try await call("Emulation.setEmulatedMedia", ["features": [scheme]])
    }

    /// The value of an expression in the page; nil for null and undefined.
    @discardableResult
    func value(_ expression: String) async throws -> Any? {
        let answer = try await call(
            "Runtime.evaluate", ["expression": expression, "returnByValue": true, "awaitPromise": true])
        if let problem = answer["exceptionDetails"] {
            throw RawConnection.Failure(description: "\(expression): \(problem)")
        }
        return (answer["result"] as? [String: Any])?["value"]
    }

    func text(of selector: String) async throws -> String {
        try await value("document.querySelector(\(Self.quote(selector)))?.textContent") as? String ?? ""
    }

    /// Whether the page was left in the middle of a call.
    private static func isNavigation(_ failure: RawConnection.Failure) -> Bool {
        failure.description.contains("Inspected target navigated or closed")
    }

    /// Does what takes the tab to another page.
    func leave(by expression: String) async throws {
        do { try await value(expression) } catch let failure as RawConnection.Failure where Self.isNavigation(failure) {
        }
    }

    /// Waits until an expression in the page is true.
    func until(_ expression: String) async throws {
        do {
            try await eventually(expression) {
                do {
                    return try await value("Boolean(\(expression))") as? Bool == true
                } catch let failure as RawConnection.Failure where Self.isNavigation(failure) {
                    return false  // It is just loading another page.
                }
            }
        } catch {
            try await screenshot("failed-\(UUID().uuidString.prefix(8))")
            let state = try await value("document.body.innerText") as? String ?? ""
            throw RawConnection.Failure(description: "\(error)\nThe page:\n\(state.prefix(2000))")
        }
    }

    /// Clicks where an element is, if nothing lies over it.
    func click(_ selector: String) async throws {
        try await until("document.querySelector(\(Self.quote(selector)))?.checkVisibility()")
        let place = try await value(
            """
            (() => {
              const element = document.querySelector(\(Self.quote(selector)));
              element.scrollIntoView({ block: "nearest" });
              const { x, y, width, height } = element.getBoundingClientRect();
              const [left, top] = [x + width / 2, y + height / 2];
              return element.contains(document.elementFromPoint(left, top)) ? [left, top] : null;
            })()
            """)
        guard let place = place as? [Double] else {
            throw RawConnection.Failure(description: "\(selector) is covered or off the screen")
        }
        for type in ["mousePressed", "mouseReleased"] {
            try await call(
                "Input.dispatchMouseEvent",
                ["type": type, "x": place[0], "y": place[1], "button": "left", "clickCount": 1])
        }
    }

    /// Moves the mouse over an element.
    func hover(_ selector: String) async throws {
        let element = "document.querySelector(\(Self.quote(selector)))"
        try await until("\(element)?.checkVisibility()")
        let place = try await value(
            """
            (() => {
              \(element).scrollIntoView({ block: "nearest" });
              const { x, y, width, height } = \(element).getBoundingClientRect();
              return [x + width / 2, y + height / 2];
            })()
            """)
        let point = place as? [Double] ?? [0, 0]
        try await call("Input.dispatchMouseEvent", ["type": "mouseMoved", "x": point[0], "y": point[1]])
        try await until("\(element).matches(':hover')")
    }

    func type(_ text: String) async throws { try await call("Input.insertText", ["text": text]) }

    /// Presses a key: a character, or one by its name.
    func press(_ key: String) async throws {
        let codes = [
            "Enter": 13, "Escape": 27, "Tab": 9, "End": 35, "Home": 36,
            "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
        ]
        let text = key == "Enter" ? "\r" : key.count == 1 ? key : nil
        var event: [String: Any] = [
            "key": key, "windowsVirtualKeyCode": codes[key] ?? Int(key.uppercased().utf8.first ?? 0),
        ]
        event["text"] = text
        for type in ["keyDown", "keyUp"] {
            try await call("Input.dispatchKeyEvent", event.merging(["type": type]) { $1 })
        }
    }

    func screenshot(_ name: String) async throws {
        var answer: [String: Any] = [:]
        try await eventually("a picture of \(name)") {
            // Chromium refuses it now and then while it changes pages.
            do { answer = try await call("Page.captureScreenshot") } catch is RawConnection.Failure { return false }
            return true
        }
        let image = (answer["data"] as? String).flatMap { Data(base64Encoded: $0) } ?? Data()
        try FileManager.default.createDirectory(at: Self.screenshots, withIntermediateDirectories: true)
        try image.write(to: Self.screenshots.appendingPathComponent("\(name).png"))
    }

    /// As a literal of JavaScript.
    static func quote(_ text: String) -> String {
        // A string is always JSON.
        String(decoding: (try? JSONEncoder().encode(text)) ?? Data(), as: UTF8.self)
    }
}

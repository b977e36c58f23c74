import Foundation
import TestSupport
import Testing

/// The page at `/` as users: each tab is somebody, and shows who has said what, and who may.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PageUsersTests {
    private static let authors =
        "[...document.querySelectorAll('#messages .author')].map((author) => author.textContent).join(', ')"
    private static let who = "document.querySelector('#who').selectedOptions[0].textContent"

    @Test func twoTabsAreTwoUsers() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            #expect(try await ada.value(Self.who) as? String == "Ada")
            #expect(try await ben.value(Self.who) as? String == "Ben")
            try await ada.send("Hello Ben")
            try await ben.until("\(Self.authors) === 'Ada'")
            try await ben.send("Hello Ada")
            let chat = try await scene.chatPath(of: ada)
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"from the application"}"#)
            _ = try await scene.client().send(
                "PUT", chat.replacing(/\/chats\/1$/, with: "/users/u7"), json: #"{"name":"Zoë <b>7</b>"}"#)
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"from a server","sender":"u7"}"#)
            for tab in [ada, ben] {
                try await tab.until("\(Self.authors) === 'Ada, Ben, The application, Zoë <b>7</b>'")
                #expect(try await tab.numbers() == [1, 2, 3, 4])
                try await tab.isReadable("two users")
            }
            try await ben.screenshot("users-ben")
            // A search names them too.
            try await ben.click("#search")
            try await ben.type("hello")
            try await ben.until(
                "[...document.querySelectorAll('#results .author')].map((each) => each.textContent).join() === 'Ben,Ada'"
            )
            try await ben.press("Escape")
            // A reload stays the same user; another choice is another user's, with what was written kept apart.
            try await ben.reload()
            try await ben.isLive()
            #expect(try await ben.value(Self.who) as? String == "Ben")
            try await ben.click("#body")
            try await ben.type("a draft of Ben's")
            try await choose("cleo", in: ben)
            try await ben.until("document.querySelector('#body').value === ''")
            try await ben.isLive()
            try await ben.send("Cleo is here")
            try await ada.until("\(Self.authors).endsWith('Cleo')")
            #expect(try await ada.value(Self.who) as? String == "Ada")
            try await choose("ben", in: ben)
            try await ben.until("document.querySelector('#body').value === \"a draft of Ben's\"")
            // The application itself, as ever.
            try await choose("application", in: ben)
            try await ben.isLive()
            try await ben.value("document.querySelector('#body').value = ''")
            try await ben.send("no user")
            try await ada.until("\(Self.authors).endsWith('The application')")
        }
    }

    private func choose(_ user: String, in tab: BrowserTab) async throws {
        try await tab.leave(
            by: "(() => { const who = document.querySelector('#who'); who.value = '\(user)'; "
                + "who.dispatchEvent(new Event('change')); })()")
    }

    @Test func membersComeAndGo() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.until("document.querySelector('#own-role').textContent === ' · owner'")
            try await ben.until("document.querySelector('#own-role').textContent === ' · member'")
            try await ada.send("before")
            try await ben.shows(1)

            // By the keyboard alone, to a chat for its members: Ben's tab loses it.
            try await ada.click("#log")
            try await ada.press("u")
            try await ada.until("document.querySelector('#members').open")
            try await ada.until("document.querySelector('[data-member=ada] select')?.value === 'owner'")
            try await focus("change-access", in: ada)
            try await ada.press("Enter")
            try await ada.until("/is for its members/.test(document.querySelector('#members-access').textContent)")
            try await ben.until(PageScene.stateIs("gone"))
            try await ben.complains("Ben is not in this chat, or it is gone.")
            try await ben.until("document.querySelectorAll('#chats li').length === 0")
            try await ben.screenshot("users-gone")

            // What Ada may not is said in words, and nothing changes.
            try await setRole("member", of: "ada", in: ada)
            try await ada.until(
                "document.querySelector('#members .problem').textContent === 'The last owner must make another owner first.'"
            )
            try await ada.until("document.querySelector('[data-member=ada] select')?.value === 'owner'")

            try await focus("member-user", in: ada)
            try await ada.type("ben")
            try await ada.press("Enter")
            try await ada.until("document.querySelector('[data-member=ben] select')?.value === 'member'")
            try await ada.isReadable("members")
            try await ada.screenshot("members-owner")
            #expect(try await ada.value("document.querySelector('#members .problem').textContent") as? String == "")
            #expect(try await ada.value("document.querySelector('#members .said').textContent") as? String != "")
            try await ben.until("document.querySelectorAll('#chats li').length === 1")
            try await ben.click("#drop")
            try await ben.isLive()
            try await ben.send("I am in")
            try await ada.shows(2)

            // A reader is told why nothing is sent.
            try await setRole("reader", of: "ben", in: ada)
            try await ada.until("document.querySelector('#members .said').textContent === 'Ben is now reader.'")
            try await ben.until("document.querySelector('#own-role').textContent === ' · reader'")
            try await ben.send("may I?")
            try await ben.until(
                "document.querySelector('.outbox .fate')?.textContent === "
                    + "\"Not sent. The user's role in this chat does not allow this.\"")
            try await ben.click(".outbox .row button:last-child")
            try await ben.click("#show-members")
            try await ben.until("document.querySelector('[data-member=ben] select')?.value === 'reader'")
            #expect(try await ben.value("document.querySelector('[data-member=ben] select').disabled") as? Bool == true)
            #expect(
                try await ben.text(of: "#members-note") == "Owners and admins of the chat see who else is in it.")
            try await ben.isReadable("members as a reader")
            try await ben.screenshot("members-reader")
            try await ben.press("Escape")

            // An admin changes others, and no owner.
            try await setRole("admin", of: "ben", in: ada)
            try await ben.until("document.querySelector('#own-role').textContent === ' · admin'")
            try await ben.click("#show-members")
            try await ben.until("document.querySelector('[data-member=ada] select')?.disabled")
            #expect(try await ben.value("document.querySelector('[data-member=ada] button').disabled") as? Bool == true)
            try await ben.press("Escape")

            // Removed while reading: the stream ends, what was said stays, and nothing later comes.
            try await ada.value("document.querySelector('[data-member=ben] button').click()")
            try await ada.until("document.querySelector('#members .said').textContent === 'Ben was removed.'")
            try await ben.until(PageScene.stateIs("gone"))
            try await ben.until("document.querySelector('#own-role').textContent === ' · removed'")
            try await ada.press("Escape")
            try await ada.send("after the removal")
            try await ada.shows(3)
            try await ben.reload()
            try await ben.until(PageScene.stateIs("gone"))
            try await ben.shows(2)
            #expect(try await ben.numbers() == [1, 2])
        }
    }

    private func focus(_ id: String, in tab: BrowserTab) async throws {
        for _ in 0..<30 where try await tab.value("document.activeElement.id") as? String != id {
            try await tab.press("Tab")
        }
        #expect(try await tab.value("document.activeElement.id") as? String == id)
    }

    private func setRole(_ role: String, of user: String, in tab: BrowserTab) async throws {
        try await tab.value(
            "(() => { const select = document.querySelector('[data-member=\(user)] select'); select.value = '\(role)'; "
                + "select.dispatchEvent(new Event('change')); })()")
    }

    /// A token is renewed without anybody noticing: when it is refused, and when it is about to end.
    @Test func anotherTokenIsFetched() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await scene.makeChatByClicking(tab)
            try await tab.send("one")
            try await tab.shows(1)
            let application = try await scene.chatPath(of: tab).replacing(/\/chats\/1$/, with: "")
            let keys = try await scene.client().get(application + "/jwt-keys").parsed as? [[String: Any]] ?? []
            let kid = try #require(keys.first?["kid"] as? String)
            #expect(kid.hasPrefix("demo-"))
            #expect(try await scene.client().send("DELETE", application + "/jwt-keys/\(kid)").status == 200)
            try await tab.until("/The token was revoked/.test(\(PageScene.remark)) || \(PageScene.stateIs("resumed"))")
            try await tab.send("two")
            try await tab.shows(2)
            try await tab.until("document.querySelector('.outbox').children.length === 0")
            try await tab.until(PageScene.stateIs("live"))
            // The rest of the line is there to be copied, not to be read.
            let line = try await tab.text(of: "#requests-list li:first-child code")
            #expect(line.contains("Authorization: Bearer eyJ") && line.contains("…"))
        }
    }

    /// As behind a proxy, which the server does not take for this machine.
    @Test func withoutTokensThePageIsTheApplication() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await tab.call("Fetch.enable", ["patterns": [["urlPattern": "*/demo-tokens"]]])
            try await tab.click("#create-application button")
            let problem = #"{"code":"not_found","detail":"There is nothing here.","status":404}"#
            try await tab.call(
                "Fetch.fulfillRequest",
                [
                    "requestId": try await held(1, in: scene), "responseCode": 404,
                    "responseHeaders": [["name": "Content-Type", "value": "application/problem+json"]],
                    "body": Data(problem.utf8).base64EncodedString(),
                ])
            try await tab.click("#first-chat")
            try await tab.isLive()
            #expect(try await tab.value("document.querySelector('#who-label').hidden") as? Bool == true)
            #expect(try await tab.value("document.querySelector('#alert').hidden") as? Bool == true)
            try await tab.send("from the application")
            try await tab.shows(1)
            #expect(try await tab.value(Self.authors) as? String == "")
        }
    }

    @Test(arguments: [true, false])
    func everybodyCanReadIt(dark: Bool) async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await tab.prefer(dark: dark)
            try await scene.makeChatByClicking(tab)
            for number in 1...3 { try await tab.send("message \(number), long enough to need more lines on a phone") }
            try await tab.shows(3)
            for (width, height) in [(1280, 800), (900, 700), (390, 844), (360, 640)] {
                try await tab.resize(width: width, height: height)
                try await tab.isReadable("users at \(width)")
                try await tab.screenshot("users-\(dark ? "dark" : "light")-\(width)")
                try await tab.click("#show-members")
                try await tab.until("document.querySelector('[data-member=ada]')")
                try await tab.isReadable("members at \(width)")
                try await tab.screenshot("members-\(dark ? "dark" : "light")-\(width)")
                try await tab.press("Escape")
                #expect(try await tab.value("document.activeElement.id") as? String == "show-members")
            }
        }
    }

    /// A search whose time is up goes on by itself, and says so.
    @Test func aLongSearchGoesOn() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            for body in ["the needle", "hay"] {
                _ = try await scene.client().post(chat + "/messages", json: "{\"body\":\"\(body)\"}")
            }
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            let pattern = ["urlPattern": "*/messages/search*", "requestStage": "Request"]
            try await tab.call("Fetch.enable", ["patterns": [pattern]])
            try await tab.click("#search")
            try await tab.type("needle")
            // Twice the time is up.
            for before in [2, 1] {
                let id = try await held(before == 2 ? 1 : 2, in: scene)
                let problem = #"{"code":"search_timeout","detail":"The search took too long.","status":503}"#
                let headers = [
                    ("Content-Type", "application/problem+json"), ("Retry-After", "1"),
                    (
                        "Link",
                        "<\(chat)/messages/search?before=\(before + 1)&limit=50&order=desc&q=needle>; rel=\"next\""
                    ),
                ].map { ["name": $0.0, "value": $0.1] }
                try await tab.call(
                    "Fetch.fulfillRequest",
                    [
                        "requestId": id, "responseCode": 503, "responseHeaders": headers,
                        "body": Data(problem.utf8).base64EncodedString(),
                    ])
                try await tab.until(
                    "document.querySelector('#results-title').textContent === 'Still looking for “needle”…'")
            }
            let last = try await held(3, in: scene)
            try await tab.screenshot("search-goes-on")
            try await tab.call("Fetch.continueRequest", ["requestId": last])
            try await tab.until("document.querySelector('#results-title').textContent === '1 message with “needle”'")
            #expect(try await tab.value("document.querySelector('#alert').hidden") as? Bool == true)
        }
    }

    /// The id of a search that the browser holds back.
    ///
    /// - Parameter number: from 1.
    private func held(_ number: Int, in scene: PageScene) async throws -> String {
        func events() -> [Browser.Event] { scene.browser.events.filter { $0.method == "Fetch.requestPaused" } }
        try await eventually("search \(number) is held") { events().count >= number }
        return try #require(events()[number - 1].parameters["requestId"] as? String)
    }
}

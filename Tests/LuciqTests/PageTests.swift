import Foundation
import TestSupport
import Testing

/// The page at `/`, in a real browser, on the real executable.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PageTests {
    @Test func twoTabsTalk() async throws {
        try await PageScene.run { scene in
            let first = try await scene.tab()
            try await first.screenshot("welcome")
            try await scene.makeChatByClicking(first)
            try await first.screenshot("empty-chat")
            let link = try #require(try await first.value("document.querySelector('#second-tab').href") as? String)
            let second = try await scene.tab(at: link)
            try await second.isLive()
            let markup = #"<b>bold</b> <img src=x onerror="document.title='broken'"> & 'quotes'"#
            let bodies = ["Hello from the first tab", "Hello from the second", markup, "two\nlines", "Zoë 🎉 مرحبا"]
            for (index, body) in bodies.enumerated() {
                try await [first, second][index % 2].send(body)
                for tab in [first, second] { try await tab.shows(index + 1) }
            }
            for tab in [first, second] {
                #expect(try await tab.bodies() == bodies)
                #expect(
                    try await tab.value("document.querySelectorAll('#messages b, #messages img').length") as? Int == 0)
                #expect(try await tab.value("document.title") as? String == "Chat 1 · My product · Luciq Chat")
                try await tab.until("document.querySelector('#chat-count').textContent === '5 messages'")
                try await tab.until(
                    "document.querySelector('#application-counts').textContent === '1 chat · 5 messages'")
            }
            try await first.screenshot("chat")
            // The curl line repeats the request: it has the same URL, key and body.
            let line = try await second.text(of: "#requests-list li:first-child code")
            try await second.click("#requests-list li:first-child .copy")
            try await second.until("document.querySelector('#requests-list .copy').textContent === 'Copied'")
            #expect(line.hasPrefix("curl -s -X POST \(scene.url)applications/"))
            #expect(line.contains("Idempotency-Key: ") && line.contains(#"-d '{"body":"two\nlines"}'"#))
        }
    }

    @Test(arguments: [SIGKILL, SIGTERM])
    func itGoesOnWhereAServerStopped(_ signal: Int32) async throws {
        try await PageScene.run { scene in
            let first = try await scene.tab()
            try await scene.makeChatByClicking(first)
            let second = try await scene.tab(at: first.address())
            try await second.isLive()
            try await first.send("before")
            for tab in [first, second] { try await tab.shows(1) }
            await scene.stopServer(signal)
            for tab in [first, second] { try await tab.until(PageScene.stateIs("lost")) }
            try await first.send("written while the server was away")
            try await first.until("document.querySelector('.outbox [data-state=retrying]')?.checkVisibility()")
            try await first.screenshot("reconnecting")
            try await scene.startServer()
            let chat = try await scene.chatPath(of: first)
            for number in 1...3 {
                let json = "{\"body\":\"from elsewhere \(number)\",\"sender\":\"\(number < 3 ? "ben" : "cleo")\"}"
                _ = try await scene.client().post(chat + "/messages", json: json)
            }
            for user in ["ben", "ada"] {
                let path = chat + "/messages/1/reactions/%F0%9F%91%8D?user=\(user)"
                #expect(try await scene.client().send("PUT", path).status == 200)
            }
            for tab in [first, second] {
                try await tab.shows(5)
                try await tab.until("document.querySelector('#m1 .chip')?.textContent === '👍 2'")
                try await tab.until("/^Away .* (caught up|nothing new meanwhile)/.test(\(PageScene.remark))")
                try await tab.until(PageScene.stateIs("live"))
                #expect(try await tab.numbers() == [1, 2, 3, 4, 5])
                #expect(
                    Set(try await tab.bodies()) == [
                        "before", "written while the server was away", "from elsewhere 1", "from elsewhere 2",
                        "from elsewhere 3",
                    ])
            }
            try await first.screenshot("resumed")
        }
    }

    @Test func whatIsMissedWhileDisconnectedIsCaughtUp() async throws {
        try await PageScene.run { scene in
            let first = try await scene.tab()
            try await scene.makeChatByClicking(first)
            let second = try await scene.tab(at: first.address())
            try await second.isLive()
            try await second.click("#drop")
            try await second.until(PageScene.stateIs("dropped"))
            for number in 1...3 {
                try await first.send("message \(number)")
                try await first.shows(number)
            }
            // Its own message is stored, and marked as not yet received from the stream.
            try await second.send("from the one that hears nothing")
            try await second.until("/^Stored as #4/.test(document.querySelector('.outbox .fate')?.textContent)")
            #expect(try await second.numbers() == [])
            try await second.click("#drop")
            try await second.shows(4)
            try await second.until("/4 messages caught up/.test(\(PageScene.remark))")
            #expect(try await second.text(of: "#requests-list code").contains("/stream?after="))
            try await second.until("document.querySelector('.outbox').children.length === 0")
            #expect(try await second.numbers() == [1, 2, 3, 4])
        }
    }

    /// The message is stored, but its answer never arrives: the same key finds it.
    @Test func aLostAnswerStoresOnce() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await scene.makeChatByClicking(tab)
            let pattern = ["urlPattern": "*/messages", "requestStage": "Response"]
            try await tab.call("Fetch.enable", ["patterns": [pattern]])
            try await tab.send("once")
            try await eventually("the answer is held") {
                scene.browser.events.contains { $0.method == "Fetch.requestPaused" }
            }
            let held = try #require(scene.browser.events.last { $0.method == "Fetch.requestPaused" })
            let id = try #require(held.parameters["requestId"] as? String)
            try await tab.call("Fetch.failRequest", ["requestId": id, "errorReason": "ConnectionReset"])
            try await tab.call("Fetch.disable")
            try await tab.until("document.querySelector('#requests-list').textContent.includes('Sent a message again')")
            try await tab.shows(1)
            try await tab.until("document.querySelector('.outbox').children.length === 0")
            #expect(try await tab.bodies() == ["once"])
            let chat = try await scene.chatPath(of: tab)
            let count = try await scene.client().get(chat + "/message_count").json["messages_count"] as? Int
            #expect(count == 1)
        }
    }

    @Test func longChatsAreReadInPages() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            for number in 1...420 {
                let body = number == 7 ? "Crème brûlée 100%" : "message \(number)"
                _ = try await scene.client().post(chat + "/messages", json: "{\"body\":\"\(body)\"}")
            }
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            #expect(try await tab.numbers() == Array(371...420))
            // Up to the first one; never more rows than the window has.
            for first in [321, 271, 221, 171, 121, 71, 21, 1] {
                try await tab.value("document.querySelector('#log').scrollTop = 0")
                try await tab.until("document.querySelector('#messages .message').dataset.number === '\(first)'")
            }
            #expect(try await tab.numbers() == Array(1...300))
            try await tab.value("document.querySelector('#log').scrollTop = 0")
            try await tab.until("document.querySelector('#beginning').checkVisibility()")
            try await tab.screenshot("beginning")
            // Down again, by hand and at once.
            try await tab.value("document.querySelector('#log').scrollTop = 1e9")
            try await tab.until("document.querySelector('#m350')")
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"while away from the end"}"#)
            try await tab.until("document.querySelector('#jump').textContent === '↓ 1 new'")
            try await tab.click("#jump")
            try await tab.until("document.querySelector('#messages').lastElementChild.dataset.number === '421'")
            try await tab.click("#log")
            try await tab.press("/")
            try await tab.type("BRULEE 100%")
            try await tab.until("document.querySelector('#results mark')?.textContent === 'brûlée 100%'")
            #expect(try await tab.text(of: "#results-title") == "1 message with “BRULEE 100%”")
            try await tab.screenshot("search")
            // The whole hit leads there.
            try await tab.click("#results-list mark")
            try await tab.until("document.querySelector('#m7.pointed')?.checkVisibility()")
            #expect(try await tab.numbers() == Array(1...32))
        }
    }

    @Test func allChatsAreSearched() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            let chats = chat.replacing(/\/1$/, with: "")
            #expect(try await scene.client().send("POST", chats).status == 201)
            for number in 1...120 {
                let body = number == 60 ? "<b>Ünder</b> 🎉 the \u{FB01}g, under FI" : "message \(number)"
                _ = try await scene.client().post(chats + "/2/messages", json: "{\"body\":\"\(body)\"}")
            }
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"under here"}"#)
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            try await tab.click("#search")
            try await tab.type("under")
            try await tab.until(
                "document.querySelector('#results-title').textContent === '1 message with “under”'")
            // By the keyboard alone.
            try await tab.press("Tab")
            while try await tab.value("document.activeElement.id") as? String != "search-all" {
                try await tab.press("Tab")
            }
            try await tab.press("Enter")
            try await tab.until(
                "document.querySelector('#results-title').textContent === '2 messages in all chats with “under”'")
            #expect(try await tab.value("document.activeElement.ariaPressed") as? String == "true")
            let marks = "[...document.querySelectorAll('#results mark')].map((mark) => mark.textContent)"
            #expect(try await tab.value(marks) as? [String] == ["under", "Ünder", "under"])
            let text = try await tab.value("document.querySelectorAll('#results .body')[1].textContent") as? String
            #expect(text == "<b>Ünder</b> 🎉 the \u{FB01}g, under FI")
            try await tab.isReadable("results of all chats")
            try await tab.screenshot("search-all")
            try await tab.click("#results-list li:last-child a")
            try await tab.until("document.querySelector('#chat-title').textContent === 'Chat 2'")
            try await tab.until("document.querySelector('#m60.pointed')?.checkVisibility()")
            #expect(try await tab.numbers() == Array(36...85))
            #expect(try await tab.value("document.activeElement.id") as? String == "m60")
            // In the next chat a search begins with that chat.
            try await tab.click("#search")
            try await tab.type("fi")
            try await tab.until("document.querySelector('#results-title').textContent === '1 message with “fi”'")
            #expect(try await tab.value(marks) as? [String] == ["\u{FB01}", "FI"])
        }
    }

    /// The page says so, shows nothing that was found before, and searches for the same when asked again.
    @Test func aFailedSearchShowsNoOldHits() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"one two"}"#)
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            let title = "document.querySelector('#results-title').textContent"
            try await tab.click("#search")
            try await tab.type("one")
            try await tab.until("\(title) === '1 message with “one”'")
            await scene.stopServer(SIGKILL)
            try await tab.type(" two")
            try await tab.complains("The server cannot be reached.")
            #expect(try await tab.value("document.querySelector('#results').checkVisibility()") as? Bool == false)
            #expect(try await tab.value("document.querySelector('#conversation').checkVisibility()") as? Bool == true)
            try await scene.startServer()
            try await tab.click("#search")
            try await tab.press("Enter")
            try await tab.until("\(title) === '1 message with “one two”'")
            #expect(try await tab.value("document.querySelector('#results').checkVisibility()") as? Bool == true)
        }
    }

    @Test func tenThousandMessagesAtOnceLeaveThreeHundredRows() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            try await tab.click("#drop")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        for _ in 0..<1000 {
                            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"one of many"}"#)
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await tab.click("#drop")
            try await tab.shows(10_000)
            try await tab.until(
                "/10,000 messages caught up/.test(document.querySelector('#chat').textContent) || \(PageScene.stateIs("live"))"
            )
            #expect(try await tab.numbers() == Array(9_701...10_000))
        }
    }

    @Test func problemsAreSentences() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab(at: scene.url + "#" + String(repeating: "0", count: 32))
            try await tab.complains("There is nothing here: no such path, application, chat or message.")
            try await tab.click("#alert-close")
            try await tab.click("#open-token")
            try await tab.type("not a token")
            try await tab.press("Enter")
            try await tab.complains("A token is 32 characters, each 0 to 9 or a to f.")
            try await tab.value("document.querySelector('#name').value = '\\u3000'")
            try await tab.click("#create-application button")
            try await tab.complains("Name can't be blank.")
            try await tab.value("document.querySelector('#name').value = 'Errors'")
            try await scene.makeChatByClicking(tab)
            try await tab.click("#body")
            try await tab.value("document.querySelector('#body').value = 'x'.repeat(65536)")
            try await tab.press("Enter")
            let fate = "document.querySelector('.outbox .fate')?.textContent"
            try await tab.until("\(fate) === 'Not sent. Body is too long (maximum is 65535 bytes).'")
            try await tab.go(to: tab.address().replacing(/\d+$/, with: "99"))
            try await tab.until("document.querySelector('#pick-title').textContent === 'There is no such chat'")
            // Each is said in one place.
            #expect(try await tab.value("document.querySelector('#alert').hidden") as? Bool == true)
            let requests = try await tab.text(of: "#requests-list")
            #expect(requests.contains("404") && requests.contains("422"))
            #expect(!requests.contains("nothing here") && !requests.contains("too long"))
        }
    }

    /// What happens in one tab, and elsewhere, is in the lists of the others.
    @Test func theSidebarFollows() async throws {
        try await PageScene.run { scene in
            let first = try await scene.tab()
            try await scene.makeChatByClicking(first)
            let second = try await scene.tab(at: first.address())
            try await second.isLive()
            try await second.click("#new-chat")
            try await second.until("document.querySelector('#chat-title').textContent === 'Chat 2'")
            try await second.isLive()
            try await first.until("document.querySelectorAll('#chats li').length === 2")
            #expect(try await first.text(of: "#chats [aria-current]").contains("Chat 1"))
            let preview = "document.querySelector('#chats [data-chat=\"2\"] .preview').textContent"
            try await second.send("in the second chat")
            try await first.until("\(preview) === 'You: in the second chat'")
            #expect(try await first.value("document.querySelector('#messages').children.length") as? Int == 0)
            // With no tab that shows the chat, it takes a few seconds.
            try await second.go(to: first.address())
            let chat = try await scene.chatPath(of: first).replacing(/1$/, with: "2")
            #expect(try await scene.client().post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
            try await first.until("\(preview) === 'x'")
            try await first.until("document.querySelector('#chats .unread')?.dataset.chat === '2'")
            // So many are made elsewhere that a page does not reach down to the list.
            for _ in 3...60 {
                #expect(try await scene.client().send("POST", chat.replacing(/\/2$/, with: "")).status == 201)
            }
            #expect(try await scene.client().post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
            let listed = "[...document.querySelectorAll('#chats li')].map((item) => item.dataset.chat).join(' ')"
            func numbers(_ newest: Int, _ oldest: Int) -> String {
                stride(from: newest, through: oldest, by: -1).map(String.init).joined(separator: " ")
            }
            // The one with the newest message comes first.
            try await first.until("\(listed).startsWith('2 \(numbers(60, 11))')")
            // Unless it looked in between, it lists the newest 50 again, beside the user's own.
            if try await first.value("document.querySelector('#more-chats').hidden") as? Bool == false {
                try await first.click("#more-chats")
            }
            try await first.until("\(listed) === '2 \(numbers(60, 3)) 1'")
            #expect(try await first.text(of: "#chats [aria-current]").contains("Chat 1"))
        }
    }
}

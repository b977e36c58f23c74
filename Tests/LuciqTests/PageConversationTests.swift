import Foundation
import TestSupport
import Testing

/// Two people at the page at `/`: what one of them does, the other one sees.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PageConversationTests {
    private static func chips(_ number: Int) -> String {
        "[...document.querySelectorAll('#m\(number) .chip')].map((chip) => chip.textContent + ' ' + chip.ariaPressed)"
            + ".join()"
    }
    private static let typing = "document.querySelector('#typing').textContent"

    @Test func reactionsAreSeenAndTakenBack() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.send("Who is there?")
            for tab in [ada, ben] { try await tab.shows(1) }

            try await ada.react("🎉", to: 1)
            try await ada.until("\(Self.chips(1)) === '🎉 1 true'")
            try await ben.until("\(Self.chips(1)) === '🎉 1 false'")
            #expect(
                try await ben.value("document.querySelector('#m1 .chip').ariaLabel") as? String
                    == "🎉, 1 reaction, Ada")
            try await ben.click("#m1 .chip")
            for tab in [ada, ben] { try await tab.until("\(Self.chips(1)) === '🎉 2 true'") }
            try await ben.react("👍", to: 1)
            try await ada.until("\(Self.chips(1)) === '🎉 2 true,👍 1 false'")
            try await ada.isReadable("reactions")
            try await ada.screenshot("reactions")

            // A reload knows whose they are; a chip takes one's own back.
            try await ada.reload()
            try await ada.until("\(Self.chips(1)) === '🎉 2 true,👍 1 false'")
            try await ada.click("#m1 [data-reaction='🎉']")
            try await ada.until("\(Self.chips(1)) === '🎉 1 false,👍 1 false'")
            try await ben.until("\(Self.chips(1)) === '🎉 1 true,👍 1 true'")
            try await ben.react("🎉", to: 1)
            try await ben.click("#m1 [data-reaction='👍']")
            for tab in [ada, ben] { try await tab.until("\(Self.chips(1)) === ''") }
            let chat = try await scene.chatPath(of: ada)
            let message = try await scene.client().get(chat + "/messages/1").json
            #expect(((message["reactions"] as? [String: Any])?["summary"] as? [Any])?.count == 0)

            // Nobody reacts to what was deleted.
            #expect(try await scene.client().send("DELETE", chat + "/messages/1").status == 200)
            try await ada.until("document.querySelector('#m1 .deleted')")
            #expect(try await ada.value("document.querySelectorAll('#m1 [data-action]').length") as? Int == 0)
        }
    }

    @Test func typingIsSeenUntilTheMessageIsThere() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ben.click("#body")
            try await ben.type("I am")
            try await ada.until("\(Self.typing) === 'Ben is writing…'")
            #expect(try await ben.value(Self.typing) as? String == "")
            try await ada.isReadable("somebody writes")
            try await ben.type(" here")
            try await ben.press("Enter")
            try await ada.shows(1)
            try await ada.until("\(Self.typing) === ''")
            #expect(try await ada.bodies() == ["I am here"])
        }
    }

    @Test func threadsStandBesideTheChat() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.send("Lunch?")
            try await ada.send("At noon.")
            for tab in [ada, ben] { try await tab.shows(2) }

            try await ada.press("thread", on: 1)
            try await ada.until("document.activeElement.id === 'thread-body'")
            try await ada.type("I reserve a table")
            try await ada.press("Enter")
            let replies = "document.querySelector('#m1 .replies')?.textContent"
            for tab in [ada, ben] { try await tab.until("\(replies) === '1 reply'") }
            // It is in the thread, and not in the chat; nobody has to read it there.
            try await ben.until("document.querySelector('#m3')?.checkVisibility() === false")
            try await ben.click("#m1 .replies")
            try await ben.until("document.querySelector('#t3 .author')?.textContent === 'Ada'")
            try await ben.isReadable("a thread")
            try await ben.screenshot("thread")
            try await ben.click("#thread-in-main")
            try await ben.click("#thread-body")
            try await ben.type("For two!")
            try await ben.press("Enter")
            for tab in [ada, ben] {
                try await tab.until("\(replies) === '2 replies'")
                try await tab.until("document.querySelector('#m4')?.checkVisibility()")
                try await tab.until("document.querySelector('#t4 .body')?.textContent === 'For two!'")
                #expect(try await tab.text(of: "#thread-count") == "2 replies")
            }
            // What changes in it, changes there.
            try await ben.react("👍", to: 4)
            try await ada.until("document.querySelector('#t4 .chip')?.textContent === '👍 1'")
            try await ada.press("Escape")
            #expect(try await ada.value("document.querySelector('#thread').hidden") as? Bool == true)
            #expect(try await ada.value("document.activeElement.id") as? String == "m1")
            // A link to a reply opens its thread.
            try await ada.go(to: ada.address() + "/3")
            try await ada.until("document.querySelector('#t3.pointed')?.checkVisibility()")
        }
    }

    @Test func repliesAndPinsNameTheirMessages() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.send("The door code is 17")
            for tab in [ada, ben] { try await tab.shows(1) }
            try await ben.press("reply", on: 1)
            try await ben.until("document.activeElement.id === 'body'")
            #expect(try await ben.text(of: "#reply-text") == "Reply to AdaThe door code is 17")
            try await ben.isReadable("a reply")
            try await ben.type("Thanks")
            try await ben.press("Enter")
            let quote = "document.querySelector('#m2 .quote')?.textContent"
            for tab in [ada, ben] { try await tab.until("\(quote) === 'AdaThe door code is 17'") }
            #expect(try await ben.value("document.querySelector('#reply').hidden") as? Bool == true)

            try await ben.press("pin", on: 1)
            for tab in [ada, ben] { try await tab.until("document.querySelector('#pin-count').textContent === '1'") }
            try await ada.until("document.querySelector('#m1 [data-action=pin]').ariaPressed === 'true'")
            try await ada.click("#show-pins")
            try await ada.until("document.querySelector('#pins .quote')?.textContent === 'AdaThe door code is 17'")
            try await ada.isReadable("pins")
            try await ada.screenshot("pins")

            // An edit is shown wherever the message is named.
            let path = try await scene.chatPath(of: ada) + "/messages/1"
            #expect(try await scene.client().send("PATCH", path, json: #"{"body":"It is 18"}"#).status == 200)
            for tab in [ada, ben] { try await tab.until("\(quote) === 'AdaIt is 18'") }
            try await ada.until("document.querySelector('#pins .quote').textContent === 'AdaIt is 18'")
            try await ada.click("#pins-list button")
            try await ben.until("document.querySelector('#show-pins').hidden")
            try await ada.until("!document.querySelector('#pins').open")
            let pressed = "document.querySelector('#m1 [data-action=pin]').ariaPressed"
            #expect(try await ben.value(pressed) as? String == "false")
        }
    }

    /// Names of chats and of people, wherever they come from.
    @Test func chatsHaveNames() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.click("#show-members")
            try await ada.until("document.querySelector('[data-member=ada]')")
            try await ada.value("document.querySelector('#chat-name').focus()")
            try await ada.type("Lunch <b>club</b>")
            try await ada.press("Enter")
            let title = "document.querySelector('#chat-title').textContent"
            for tab in [ada, ben] {
                try await tab.until("\(title) === 'Lunch <b>club</b>'")
                try await tab.until("document.querySelector('#chats .chat-label').textContent === 'Lunch <b>club</b>'")
                try await tab.until("document.title === 'Lunch <b>club</b> · My product · Luciq Chat'")
            }
            // Who may not name it has no field for it.
            try await ben.click("#show-members")
            try await ben.until("document.querySelector('#members-access').textContent !== ''")
            #expect(try await ben.value("document.querySelector('#rename').hidden") as? Bool == true)
        }
    }
}

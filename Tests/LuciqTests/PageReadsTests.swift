import Foundation
import TestSupport
import Testing

/// What is unread on the page at `/`, and who has read.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PageReadsTests {
    private static let badge = "document.querySelector('#chats [data-chat=\"1\"] .badge')?.firstChild.textContent"
    private static let toFirst = "document.querySelector('#first-unread')"
    /// The row below the line.
    private static let new = "document.querySelector('#new-messages')?.nextElementSibling.id"

    /// How far Ben has read, and how many he has not, as the server knows it.
    private func read(_ chat: String, _ scene: PageScene) async throws -> [Int?] {
        let state = try await scene.client().get(chat + "/read?user=ben").json
        return [state["number"] as? Int, state["unread"] as? Int]
    }

    private func post(_ count: Int, to chat: String, _ scene: PageScene) async throws {
        for number in 1...count {
            let json = "{\"body\":\"message \(number)\",\"sender\":\"ada\"}"
            #expect(try await scene.client().post(chat + "/messages", json: json).status == 201)
        }
    }

    @Test func whatIsNewIsCountedShownAndRead() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let chat = try await scene.chatPath(of: ada)
            let ben = try await ada.secondTab(in: scene)
            try await ben.click("#new-chat")
            try await ben.until("document.querySelector('#chat-title').textContent === 'Chat 2'")
            try await ben.isLive()

            // Counted in the list while he looks at another chat.
            try await post(29, to: chat, scene)
            try await ada.send("the last one")
            try await ben.until("\(Self.badge) === '30'")
            #expect(try await ben.text(of: "#chats [data-chat='1'] .preview") == "Ada: the last one")
            #expect(try await read(chat, scene) == [0, 30])
            #expect(try await ada.value("document.querySelectorAll('#chats .badge').length") as? Int == 0)
            try await ben.isReadable("unread chats")

            // The chat opens at its end, so it is read; a line and a button say where it began.
            try await ben.click("#chats [data-chat='1'] a")
            try await ben.until("\(Self.toFirst).checkVisibility() && \(Self.toFirst).textContent === '↑ 30 new'")
            try await ben.until("\(Self.badge) === undefined")
            try await eventually("it was read") { try await self.read(chat, scene) == [30, 0] }
            #expect(try await ben.value(Self.new) as? String == "m1")
            try await ben.isReadable("what is new")
            try await ben.screenshot("unread")
            try await ben.click("#first-unread")
            try await ben.until("document.activeElement.id === 'm1' && !\(Self.toFirst).checkVisibility()")

            // What comes while he reads further up stays unread; the line moves there.
            try await post(1, to: chat, scene)
            try await ben.until("\(Self.badge) === '1'")
            try await ben.until("document.querySelector('#jump').textContent === '↓ 1 new'")
            #expect(try await ben.value(Self.new) as? String == "m31")
            #expect(try await read(chat, scene) == [30, 1])

            // Another tab of his reads it; this one, which shows older messages, drags nothing back.
            let other = try await ben.anotherTab(of: "ben", in: scene)
            try await ben.until("\(Self.badge) === undefined")
            #expect(try await read(chat, scene) == [31, 0])
            try await ben.press("Home")
            try await ben.reload()
            try await ben.isLive()
            try await ben.go(to: ben.address() + "/2")
            try await ben.until("document.querySelector('#m2.pointed')?.checkVisibility()")
            #expect(try await read(chat, scene) == [31, 0])

            // Whoever looks at the end has read what comes, and whoever answers has nothing new.
            try await ada.send("are you there?")
            try await other.shows(32)
            try await eventually("it was read") { try await self.read(chat, scene) == [32, 0] }
            #expect(try await other.value(Self.new) as? String == "m31")
            try await other.send("yes")
            try await other.shows(33)
            try await other.until("document.querySelector('#new-messages') === null")
            #expect(try await read(chat, scene)[1] == 0)
        }
    }

    @Test func itIsShownWhoHasRead() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let chat = try await scene.chatPath(of: ada)
            for user in ["ben", "cleo"] {
                let added = try await scene.client().send(
                    "PUT", chat + "/members/\(user)", json: #"{"role":"member"}"#)
                #expect(added.status == 200)
            }
            let seen = "document.querySelector('#seen').textContent"
            try await ada.send("Who has read this?")
            let ben = try await ada.secondTab(in: scene)
            try await ben.shows(1)
            #expect(try await ada.value(seen) as? String == "")
            try await ada.click("#show-members")
            try await ada.until("document.querySelector('#change-receipts').checkVisibility()")
            try await ada.value("document.querySelector('#change-receipts').focus()")
            try await ada.press("Enter")
            try await ada.until("\(seen) === 'Seen by Ben'")
            try await ada.press("Escape")
            try await ada.isReadable("who has read")
            try await ada.screenshot("receipts")
            let cleo = try await ada.anotherTab(of: "cleo", in: scene)
            try await ada.until("\(seen) === 'Seen by everyone'")
            // A newer one was seen by nobody yet.
            for tab in [ben, cleo] { try await tab.click("#drop") }
            for tab in [ben, cleo] { try await tab.until(PageScene.stateIs("dropped")) }
            try await ada.send("And this?")
            try await ada.shows(2)
            try await ada.until("\(seen) === ''")
            try await ben.click("#drop")
            try await ada.until("\(seen) === 'Seen by Ben'")
        }
    }
}

import Foundation
import TestSupport
import Testing

/// Edits and deletions on the page at `/`, by people and from elsewhere.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PageChangesTests {
    private static func body(_ number: Int) -> String { "document.querySelector('#m\(number) .body')?.textContent" }

    @Test func whatIsEditedAndDeletedInOneTabIsSoInTheOther() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let ben = try await ada.secondTab(in: scene)
            try await ada.send("a typo heer")
            for tab in [ada, ben] { try await tab.shows(1) }

            // By the keyboard, from the empty field.
            try await ada.press("ArrowUp")
            try await ada.until("document.activeElement.matches('#m1 textarea')")
            try await ada.isReadable("an edit")
            try await ada.screenshot("editing")
            try await ada.value("document.activeElement.value = 'a typo <i>here</i>'")
            try await ada.press("Enter")
            for tab in [ada, ben] {
                try await tab.until("\(Self.body(1)) === 'a typo <i>here</i>'")
                try await tab.until("document.querySelector('#m1 .edited')?.checkVisibility()")
                #expect(try await tab.numbers() == [1])
            }
            #expect(try await ada.text(of: "#requests-list li:first-child").contains("Edited message 1"))
            #expect(try await ada.text(of: "#requests-list code").contains(#"-H 'If-Match: "1.0"'"#))

            // Escape leaves what it was; a message of somebody else has no buttons.
            try await ada.press("edit", on: 1)
            try await ada.until("document.activeElement.matches('#m1 textarea')")
            try await ada.press("Escape")
            #expect(try await ada.value(Self.body(1)) as? String == "a typo <i>here</i>")
            let own = "document.querySelectorAll('#m1 :is([data-action=edit], [data-action=delete])').length"
            #expect(try await ada.value(own) as? Int == 2)
            #expect(try await ben.value(own) as? Int == 0)

            // For ever, so it is asked twice.
            try await ada.press("delete", on: 1)
            #expect(try await ada.text(of: "#m1 [data-action=delete]") == "Delete for ever")
            try await ada.isReadable("a deletion")
            try await ada.click("#m1 [data-action=delete]")
            for tab in [ada, ben] {
                try await tab.until("\(Self.body(1)) === 'Deleted by Ada'")
                try await tab.isReadable("a deleted message")
            }
            try await ben.screenshot("deleted")
        }
    }

    /// The list ends as a reload shows it.
    @Test func whatChangedWhileDisconnectedIsCaughtUp() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await scene.makeChatByClicking(tab)
            let chat = try await scene.chatPath(of: tab)
            for number in 1...3 { try await tab.send("message \(number)") }
            try await tab.shows(3)
            try await tab.click("#drop")
            try await tab.until(PageScene.stateIs("dropped"))
            let client = scene.client()
            #expect(
                try await client.send("PATCH", chat + "/messages/1", json: #"{"body":"edited"}"#).status == 200)
            #expect(try await client.send("DELETE", chat + "/messages/2").status == 200)
            _ = try await client.post(chat + "/messages", json: #"{"body":"new, and deleted"}"#)
            #expect(try await client.send("DELETE", chat + "/messages/4").status == 200)
            try await tab.click("#drop")
            let expected = ["edited", "Deleted", "message 3", "Deleted"]
            let list = "[...document.querySelectorAll('#messages .body')].map((each) => each.textContent).join()"
            try await tab.until("\(list) === '\(expected.joined(separator: ","))'")
            try await tab.until(PageScene.stateIs("live"))
            try await tab.reload()
            try await tab.shows(4)
            #expect(try await tab.bodies() == expected)
        }
    }

    /// Somebody else was faster: nothing is overwritten, and what was written is not lost.
    @Test func anEditOfWhatHasChangedIsRefused() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await scene.makeChatByClicking(tab)
            let chat = try await scene.chatPath(of: tab)
            try await tab.send("first")
            try await tab.shows(1)
            try await tab.click("#drop")
            try await tab.until(PageScene.stateIs("dropped"))
            #expect(
                try await scene.client().send("PATCH", chat + "/messages/1", json: #"{"body":"faster"}"#).status == 200)
            try await tab.press("edit", on: 1)
            try await tab.until("document.activeElement.matches('#m1 textarea')")
            try await tab.value("document.activeElement.value = 'slower'")
            try await tab.press("Enter")
            let fate = "document.querySelector('.fate')?.textContent"
            try await tab.until("/^Not sent. The message is not the one/.test(\(fate))")
            #expect(try await tab.text(of: ".outbox .body") == "slower")
            try await tab.until("\(Self.body(1)) === 'faster'")
            try await tab.click(".outbox .row button:last-child")
            try await tab.until("document.querySelector('.outbox').children.length === 0")
        }
    }
}

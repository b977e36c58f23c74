import Foundation
import TestSupport
import Testing

/// The page at `/` without a mouse, by a screen reader, and by fingers on a phone.
@Suite(.serialized, .timeLimit(.minutes(4))) struct PageKeyboardTests {
    private static let focus = "document.activeElement.id"
    private static let said = "document.querySelector('#said').textContent"

    /// No click from the message field on.
    @Test func everythingIsDoneByTheKeyboard() async throws {
        try await PageScene.run { scene in
            let ada = try await scene.tab()
            try await scene.makeChatByClicking(ada)
            let chat = try await scene.chatPath(of: ada)
            _ = try await scene.client().post(chat + "/messages", json: #"{"body":"Good morning","sender":"ben"}"#)
            // Others are read out, one's own are not.
            try await ada.until("\(Self.said) === 'Ben: Good morning'")
            try await ada.until("\(Self.focus) === 'body'")
            for text in ["one", "two"] {
                try await ada.type(text)
                try await ada.press("Enter")
            }
            try await ada.shows(3)
            #expect(try await ada.value(Self.said) as? String == "Ben: Good morning")

            // The last own message is edited from the empty field; Escape leads to its row, the arrows to others.
            try await ada.press("ArrowUp")
            try await ada.until("document.activeElement.matches('#m3 textarea')")
            try await ada.value("document.activeElement.value = ''")
            try await ada.type("three")
            try await ada.press("Enter")
            try await ada.until("document.querySelector('#m3 .body')?.textContent === 'three'")
            try await ada.until("\(Self.focus) === 'm3'")
            for (key, row) in [("ArrowUp", "m2"), ("Home", "m1"), ("End", "m3"), ("Home", "m1")] {
                try await ada.press(key)
                #expect(try await ada.value(Self.focus) as? String == row)
            }
            #expect(try await ada.value("document.activeElement.matches(':focus-visible')") as? Bool == true)
            // A row is named by who, when and what.
            let tree = try await ada.call("Accessibility.getFullAXTree")["nodes"] as? [[String: Any]] ?? []
            let names = tree.compactMap { ($0["name"] as? [String: Any])?["value"] as? String }
            #expect(names.contains { $0.hasPrefix("Ben ") && $0.hasSuffix(" Good morning") })
            // The list is one stop for Tab, and so are the chats.
            for list in ["#messages > li", "#chats a"] {
                let stops = "[...document.querySelectorAll('\(list)')].filter((each) => each.tabIndex === 0).length"
                #expect(try await ada.value(stops) as? Int == 1, "\(list)")
            }

            // Enter leads to what can be done, the arrows through it, Escape back.
            try await ada.press("Enter")
            #expect(try await ada.value("document.activeElement.ariaLabel") as? String == "React to message 1")
            try await ada.press("ArrowRight")
            #expect(try await ada.value("document.activeElement.ariaLabel") as? String == "Reply to message 1")
            try await ada.isReadable("a message's buttons")
            try await ada.screenshot("keyboard")
            try await ada.press("Escape")
            #expect(try await ada.value(Self.focus) as? String == "m1")

            try await ada.press("+")
            try await ada.until("document.activeElement.dataset.name === '👍'")
            try await ada.isReadable("the choice of reactions")
            try await ada.press("ArrowRight")
            try await ada.press("Enter")
            try await ada.until("document.querySelector('#m1 .chip')?.ariaPressed === 'true'")
            #expect(try await ada.value(Self.focus) as? String == "m1")

            try await ada.press("t")
            try await ada.until("\(Self.focus) === 'thread-body'")
            try await ada.type("in the thread")
            try await ada.press("Enter")
            try await ada.until("document.querySelector('#t4')")
            try await ada.press("Escape")
            try await ada.until("\(Self.focus) === 'm1' && document.querySelector('#thread').hidden")

            try await ada.press("r")
            try await ada.until("\(Self.focus) === 'body' && !document.querySelector('#reply').hidden")
            try await ada.press("Escape")
            #expect(try await ada.value("document.querySelector('#reply').hidden") as? Bool == true)

            // To delete is asked twice.
            try await ada.value("document.querySelector('#m2').focus()")
            try await ada.press("Enter")
            try await ada.press("ArrowLeft")
            #expect(try await ada.value("document.activeElement.ariaLabel") as? String == "Delete message 2")
            try await ada.press("Enter")
            #expect(try await ada.value("document.activeElement.ariaLabel") as? String == "Delete message 2 for ever")
            try await ada.press("Enter")
            try await ada.until("document.querySelector('#m2 .deleted')")
            try await ada.press("Escape")
            #expect(try await ada.value(Self.focus) as? String == "body")
        }
    }

    /// In both themes: nothing is wider than the screen, texts have contrast, and fingers have room.
    @Test(arguments: [true, false])
    func aPhoneShowsAll(dark: Bool) async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await tab.prefer(dark: dark)
            try await scene.makeChatByClicking(tab)
            let chat = try await scene.chatPath(of: tab)
            let client = scene.client()
            for (body, more) in [
                ("Good morning! Who joins me for lunch at the new place today?", ""), ("Me.", #","reply_to":1"#),
                ("https://example.com/" + String(repeating: "long", count: 40), ""), ("I reserve", #","thread":1"#),
            ] {
                let json = "{\"body\":\"\(body)\",\"sender\":\"ben\"\(more)}"
                #expect(try await client.post(chat + "/messages", json: json).status == 201)
            }
            for name in ["%F0%9F%8E%89", "%F0%9F%91%8D"] {
                let path = chat + "/messages/2/reactions/\(name)?user=ben"
                #expect(try await client.send("PUT", path).status == 200)
            }
            for width in [390, 360] {
                try await tab.becomePhone(width: width)
                try await tab.reload()
                try await tab.isLive()
                let name = "phone-\(dark ? "dark" : "light")-\(width)"
                func check(_ place: String) async throws {
                    try await tab.isReadable("\(place) at \(width)")
                    #expect(try await tab.value(Self.smallTargets) as? [String] == [], "\(place) at \(width)")
                    try await tab.screenshot("\(name)-\(place)")
                }
                try await tab.until("document.querySelector('#m1 .replies') && document.querySelector('#m2 .chip')")
                try await check("chat")
                try await tab.click("#m2 .more")
                try await tab.until("document.activeElement.matches('#m2 [data-action=react]')")
                try await check("actions")
                try await tab.click("#m2 [data-action=react]")
                try await check("choice")
                try await tab.press("Escape")
                try await tab.click("#m1 .replies")
                try await tab.until("document.querySelector('#t4')?.checkVisibility()")
                // It takes the chat's place, and gives it back as it was.
                let isShown = "document.querySelector('#m3').checkVisibility({ visibilityProperty: true })"
                #expect(try await tab.value(isShown) as? Bool == false)
                try await check("thread")
                try await tab.click("#thread-close")
                #expect(try await tab.value(isShown) as? Bool == true)
                try await tab.click("#show-sidebar")
                try await check("chats")
                try await tab.press("Escape")
            }
        }
    }

    /// Controls that are smaller than 44 by 44 pixels (WCAG 2.2, 2.5.5).
    private static let smallTargets = """
        [...document.querySelectorAll("button, a, input, select, textarea")]
          .filter((each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
          .filter((each) => !each.closest(".unseen, .skip, [inert]"))
          .map((each) => [each.closest("label") ?? each, each.getBoundingClientRect()])
          .map(([each]) => [each, each.getBoundingClientRect()])
          .filter(([, { width, height }]) => width < 43.9 || height < 43.9)
          .map(([each, { width, height }]) => `${each.outerHTML.slice(0, 80)} ${width} x ${height}`)
        """
}

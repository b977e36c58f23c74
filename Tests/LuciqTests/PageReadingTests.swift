import Foundation
import TestSupport
import Testing

/// The pages at `/` and `/docs` for people who read: in light and dark, on phones, by a screen reader.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PageReadingTests {
    @Test func theAPIIsToReadAndToTry() async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await tab.click("header a[href='/docs']")
            let document = try await scene.client().get("/openapi.yaml").text
            let count = document.matches(of: /operationId:/).count
            #expect(count > 20)
            try await tab.until("document.querySelectorAll('article').length === \(count)")
            #expect(try await tab.text(of: "#getMessage h3") == "Look at a message")
            #expect(try await tab.value("document.querySelector('#alert').hidden") as? Bool == true)
            for operation in ["createApplication", "createChat", "createMessage"] {
                try await tab.sendTrial(operation)
                try await tab.until(
                    "/^201 Created/.test(document.querySelector('#\(operation) .outcome')?.textContent)")
            }
            // New tokens and numbers are filled in where other forms need them.
            try await tab.sendTrial("getMessage")
            try await tab.until("document.querySelector('#getMessage .answer')?.textContent.includes('my order')")
            let answer = try await tab.text(of: "#getMessage .answer")
            #expect(answer.contains("content-type: application/json") && answer.contains("\n  \"message_number\": 1,"))
            #expect(answer.contains("curl -sN 'http"))
            try await tab.value("document.querySelector('#searchMessages [name=q]').value = ''")
            try await tab.value("document.querySelector('#searchMessages form').noValidate = true")
            try await tab.sendTrial("searchMessages")
            try await tab.until("/^422 /.test(document.querySelector('#searchMessages .outcome')?.textContent)")
            // A stream shows what comes, until it is stopped.
            try await tab.value("document.querySelector('#streamMessages [name=after]').value = '0'")
            try await tab.sendTrial("streamMessages")
            try await tab.until("/event: message/.test(document.querySelector('#streamMessages .answer')?.textContent)")
            try await tab.click("#streamMessages .trial button[type=button]")
            try await tab.until("/stopped/.test(document.querySelector('#streamMessages .outcome').textContent)")
            for (dark, width, height) in [(false, 1280, 800), (true, 1280, 800), (false, 390, 844), (true, 390, 844)] {
                try await tab.prefer(dark: dark)
                try await tab.resize(width: width, height: height)
                try await tab.value("document.querySelectorAll('details').forEach(each => each.open = true)")
                try await tab.isReadable("the API at \(width)")
                try await tab.value("document.querySelector('#createMessage .trial').scrollIntoView()")
                try await tab.screenshot("docs-\(dark ? "dark" : "light")-\(width)")
            }
        }
    }

    @Test(arguments: [true, false])
    func everybodyCanReadIt(dark: Bool) async throws {
        try await PageScene.run { scene in
            let tab = try await scene.tab()
            try await tab.prefer(dark: dark)
            try await tab.isReadable("welcome")
            try await scene.makeChatByClicking(tab)
            for number in 1...20 {
                try await tab.send("message \(number), long enough to need more than one line on a phone")
            }
            try await tab.shows(20)
            for (width, height) in [(1280, 800), (900, 700), (390, 844), (360, 640)] {
                try await tab.resize(width: width, height: height)
                try await tab.isReadable("chat at \(width)")
                // A list that was scrolled to its end still is.
                try await tab.until("document.querySelector('#chat-count').textContent === '20 messages'")
                try await tab.until("\(PageScene.bottom("#m20")) <= \(PageScene.bottom("#log"))")
                try await tab.screenshot("chat-\(dark ? "dark" : "light")-\(width)")
                // The name and the time take no width from the text.
                let row = "document.querySelector('#m1 .content')"
                let isAbove = "\(row).querySelector('.body').offsetLeft === \(row).querySelector('.meta').offsetLeft"
                #expect(try await tab.value(isAbove) as? Bool == true)
            }
            for panel in ["sidebar", "requests"] {
                try await tab.click("#show-\(panel)")
                try await tab.isReadable(panel)
                try await tab.screenshot("phone-\(panel)-\(dark ? "dark" : "light")")
                try await tab.press("Escape")
                #expect(try await tab.value("document.activeElement.id") as? String == "show-\(panel)")
            }
            try await tab.click("#show-help")
            try await tab.isReadable("help")
            try await tab.screenshot("phone-help-\(dark ? "dark" : "light")")
            try await tab.press("Escape")
            try await tab.go(to: scene.url)
            try await tab.screenshot("phone-welcome-\(dark ? "dark" : "light")")
        }
    }

    /// The list was at its end before the search. What is around the hit is there before the next frame, in which the
    /// list gets its size again.
    @Test func aHitStaysInViewWhenTheListComesBack() async throws {
        try await PageScene.run { scene in
            let chat = try await scene.client().makeChat()
            for number in 1...120 {
                _ = try await scene.client().post(chat + "/messages", json: "{\"body\":\"message \(number)\"}")
            }
            let tab = try await scene.tab(at: scene.address(of: chat))
            try await tab.isLive()
            try await tab.click("#search")
            try await tab.type("message 7")
            try await tab.until("document.querySelectorAll('#results-list li').length > 1")
            #expect(try await tab.value("document.querySelector('#conversation').hidden") as? Bool == true)
            try await tab.value(
                """
                (async () => {
                  const [text, wait] = [await (await fetch('\(chat)/messages?around=7&limit=50')).text(), window.fetch];
                  window.fetch = async (url, ...rest) =>
                    `${url}`.includes('around=7') ? new Response(text) : wait(url, ...rest);
                  location.hash += '/7';
                })()
                """)
            try await tab.until("document.querySelector('#m7.pointed')")
            // Two frames, and a page more would have been asked for.
            try await tab.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            try await tab.value("fetch('/livez').then(() => 1)")
            #expect(try await tab.numbers() == Array(1...32))
            let place = "document.querySelector('#m7').getBoundingClientRect()"
            let list = "document.querySelector('#log').getBoundingClientRect()"
            #expect(
                try await tab.value("\(place).top >= \(list).top && \(place).bottom <= \(list).bottom") as? Bool == true
            )
            #expect(try await tab.value("document.querySelector('#newer').checkVisibility()") as? Bool == true)
        }
    }
}

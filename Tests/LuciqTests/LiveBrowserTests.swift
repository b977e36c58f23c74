import ChatCore
import Cryptography
import Foundation
import TestSupport
import Testing

/// Streams and sockets of users in a real browser, with tickets and tokens that end.
@Suite(.timeLimit(.minutes(5))) struct LiveBrowserTests {
    /// An application with two chats, of which the first is for members, and a page that follows them.
    private struct Site: Sendable {
        let scene: PageScene
        let tab: BrowserTab
        let id: String
        let key: String
        private let kid: UserTokenKey.ID
        private let secret: SecretKey
        /// By its token, which opens everything.
        let owner: String

        init(_ scene: PageScene) async throws {
            self.scene = scene
            let client = scene.client()
            let made = try await client.post("/applications", json: #"{"name":"live"}"#).json
            id = try #require(made["id"] as? String)
            owner = "/applications/\(try #require(made["token"] as? String))"
            let made2 = try await client.post(owner + "/jwt-keys", json: "{}").json
            key = try #require(made2["kid"] as? String)
            kid = try #require(UserTokenKey.ID(key))
            secret = SecretKey(Array(try #require(made2["secret"] as? String).utf8))
            for json in [#"{"access":"members"}"#, "{}"] {
                #expect(try await client.post(owner + "/chats", json: json).status == 201)
            }
            for user in ["ann", "bob", "cat", "dan"] {
                let member = try await client.send(
                    "PUT", owner + "/chats/1/members/\(user)", json: #"{"role":"member"}"#)
                #expect(member.status == 200)
            }
            // A page of the server's own origin, with nothing on it.
            tab = try await scene.tab(at: scene.url + "livez")
            try await tab.value("window.app = '/applications/\(id)'; \(Self.script)")
        }

        func token(_ user: String = "ann", seconds: Int64 = 600) -> String {
            let now = WallClock.system.now()
            return UserToken.sign(
                for: User.ID(user)!, audience: id, issuedAt: now, expiresAt: now.adding(.seconds(seconds)), keyID: kid,
                secret: secret)
        }

        /// The token that the page has.
        func give(_ token: String) async throws { try await tab.value("window.token = '\(token)'") }

        func post(_ count: Int, to chat: Int = 1) async throws {
            for _ in 0..<count {
                let answer = try await scene.client().post(owner + "/chats/\(chat)/messages", json: #"{"body":"hi"}"#)
                #expect(answer.status == 201)
            }
        }

        func send(_ method: String, _ path: String) async throws {
            #expect(try await scene.client().send(method, owner + path).status < 300, "\(method) \(path)")
        }

        func strings(_ expression: String) async throws -> [String] {
            try await tab.value(expression) as? [String] ?? []
        }

        /// What a page does, as docs/streams.md has it, and notes of what came.
        private static let script = """
            window.reset = () => {
              Object.assign(window, { ids: [], closes: [], tickets: 0, errors: [], frames: [], ends: [] });
            };
            reset();
            window.follow = async (after, seconds) => {
              const answer = await fetch(`${app}/tickets`, {
                method: "POST",
                headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
                body: JSON.stringify({ chats: [1], ttl_s: seconds }),
              });
              tickets += 1;
              read((await answer.json()).ticket, after, seconds);
            };
            window.read = (ticket, after, seconds, soft = "&soft=1") => {
              const source = new EventSource(`${app}/chats/1/stream?ticket=${ticket}&after=${after}${soft}`);
              window.source = source;
              source.addEventListener("message", (event) => {
                after = event.lastEventId;
                ids.push(after);
              });
              source.addEventListener("close", (event) => {
                const { code, reconnect } = JSON.parse(event.data);
                closes.push(`${code} ${reconnect}`);
                if (!reconnect) source.close();
                if (code === "token_expired" && seconds) follow(after, seconds);
              });
              source.onerror = () => errors.push(source.readyState);
            };
            window.connect = (protocols, say) => {
              const socket = new WebSocket(`${location.origin.replace("http", "ws")}${app}/socket`, protocols);
              window.socket = socket;
              socket.onopen = () => { if (say) socket.send(JSON.stringify(say)); };
              socket.onmessage = ({ data }) => {
                const frame = JSON.parse(data);
                frames.push(frame);
                if (frame.type === "message") ids.push(frame.cursor);
              };
              socket.onclose = ({ code }) => ends.push(code);
            };
            window.say = (value) => socket.send(JSON.stringify(value));
            window.has = (type) => frames.filter((frame) => frame.type === type).length;
            """
    }

    private static func run(_ body: (Site) async throws -> Void) async throws {
        try await PageScene.run { scene in try await body(Site(scene)) }
    }

    private static func numbers(_ count: Int) -> [String] { (1...count).map(String.init) }

    /// Each ticket lasts for two seconds, and messages come all the time: none is missed or comes twice.
    @Test func anEventSourceGoesOnWithNewTickets() async throws {
        try await Self.run { site in
            try await site.give(site.token())
            try await site.tab.value("follow(0, 2)")
            var count = 0
            while try await site.tab.value("tickets") as? Int ?? 0 < 4 {
                try await site.post(1)
                count += 1
            }
            try await site.post(3)
            try await site.tab.until("ids.length >= \(count + 3)")
            #expect(try await site.strings("ids") == Self.numbers(count + 3))
            let closes = try await site.strings("closes")
            #expect(closes.count >= 3 && Set(closes) == ["token_expired false"], "\(closes)")
        }
    }

    /// A browser comes back with the URL that it began with: the ticket is good as often as it likes, and after a restart.
    @Test func anEventSourceComesBackWithItsTicket() async throws {
        try await Self.run { site in
            try await site.give(site.token())
            try await site.tab.value("follow(0, 600)")
            try await site.post(2)
            try await site.tab.until("ids.length === 2")
            for _ in 0..<2 {
                await site.scene.stopServer(SIGKILL)
                try await site.scene.startServer()
                try await site.post(2)
            }
            try await site.tab.until("ids.length >= 6")
            #expect(try await site.strings("ids") == Self.numbers(6))
            #expect(try await site.tab.value("tickets") as? Int == 1)
        }
    }

    /// Without `soft=1` a browser gives up, and does not say why.
    @Test func aPageLearnsWhyItIsRefused() async throws {
        try await Self.run { site in
            try await site.give(site.token())
            try await site.tab.value("read('tkt_none', 0, 0, '')")
            try await site.tab.until("errors.includes(2)")
            #expect(try await site.strings("closes") == [])
            try await site.tab.value("read('tkt_none', 0, 0)")
            try await site.tab.until("closes.length === 1")
            #expect(try await site.strings("closes") == ["token_invalid false"])
            #expect(try await site.tab.value("source.readyState") as? Int == 2)
        }
    }

    @Test func whatEndsAnEventSource() async throws {
        try await Self.run { site in
            var count = 0
            for (user, method, path, close) in [
                ("ann", "POST", "/users/ann/revoke", "token_revoked"),
                ("bob", "POST", "/users/bob/block", "not_allowed"),
                ("cat", "DELETE", "/chats/1/members/cat", "not_found"),
                ("dan", "DELETE", "/jwt-keys/KEY", "token_revoked"),
            ] {
                try await site.give(site.token(user))
                try await site.tab.value("reset(); follow(0, 600)")
                try await site.post(1)
                count += 1
                try await site.tab.until("ids.length === \(count)")
                let seen = try await site.strings("ids")
                try await site.send(method, path.replacing("KEY", with: site.key))
                try await site.tab.until("closes.length === 1")
                #expect(try await site.strings("closes") == ["\(close) false"], "\(user)")
                // Nothing later comes, to it or to one who tries again with the same ticket.
                try await site.post(1)
                count += 1
                try await site.tab.value("closes = []; read(new URL(source.url).searchParams.get('ticket'), 0, 0)")
                try await site.tab.until("closes.length === 1")
                let refusal = ["bob": "user_blocked", "cat": "not_found"][user] ?? "token_revoked"
                #expect(try await site.strings("closes") == ["\(refusal) false"], "\(user)")
                #expect(try await site.strings("ids") == seen, "\(user)")
            }
        }
    }

    /// By the subprotocol, to the end of the token, and on with a newer one.
    @Test func aSocketShowsItsTokenAmongTheSubprotocols() async throws {
        try await Self.run { site in
            var count = 0
            for seconds: Int64 in [3, 600] {
                try await site.tab.value(
                    """
                    connect(["luciq.v1", "luciq.token.\(site.token(seconds: seconds))"],
                      { type: "subscribe", chat: 1, after: ids.at(-1) ?? "0" })
                    """)
                try await site.tab.until("has('subscribed') === \(seconds == 3 ? 1 : 2)")
                #expect(try await site.tab.value("socket.protocol") as? String == "luciq.v1")
                guard seconds == 3 else { break }
                try await site.tab.until("has('token_expiring') === 1")
                while try await site.tab.value("ends.length") as? Int == 0 {
                    try await site.post(1)
                    count += 1
                }
                #expect(try await site.tab.value("ends[0]") as? Int == 4310)
                try await site.post(2)
                count += 2
            }
            try await site.tab.until("ids.length >= \(count)")
            #expect(try await site.strings("ids") == Self.numbers(count))
            try await site.tab.value("say({ type: 'send', chat: 1, body: 'by ann', ref: 'r' })")
            try await site.tab.until("has('sent') === 1 && ids.length === \(count + 1)")
            #expect(
                try await site.tab.value("frames.at(-1).message?.sender ?? frames.at(-2).message.sender") as? String
                    == "ann")
        }
    }

    /// By its first message. The token is renewed, and the socket outlives the first one.
    @Test func aSocketRenewsItsToken() async throws {
        try await Self.run { site in
            let first = site.token(seconds: 3)
            let end = Date().timeIntervalSince1970 + 3
            try await site.tab.value("connect([], { type: 'auth', token: '\(first)' })")
            try await site.tab.until("has('authenticated') === 1")
            #expect(try await site.tab.value("frames[0].user") as? String == "ann")
            #expect(try await site.tab.value("socket.protocol") as? String == "")
            try await site.tab.value("say({ type: 'subscribe', chat: 1, after: '0' })")
            try await site.tab.value("say({ type: 'auth', token: '\(site.token())', ref: 'newer' })")
            try await site.tab.until("has('authenticated') === 2")
            #expect(
                try await site.tab.value("frames.findLast((frame) => frame.type === 'authenticated').ref") as? String
                    == "newer")
            var count = 0
            repeat {
                try await site.post(1)
                count += 1
            } while Date().timeIntervalSince1970 < end + 1
            try await site.tab.until("ids.length >= \(count)")
            #expect(try await site.strings("ids") == Self.numbers(count))
            #expect(try await site.tab.value("ends.length") as? Int == 0)
            // Of somebody else it is not taken.
            try await site.tab.value("say({ type: 'auth', token: '\(site.token("bob"))' })")
            try await site.tab.until("ends.length === 1")
            #expect(try await site.tab.value("ends[0]") as? Int == 4403)
        }
    }

    @Test func whatEndsASocket() async throws {
        try await Self.run { site in
            for (user, method, path, code) in [
                ("ann", "POST", "/users/ann/revoke", 4401), ("bob", "POST", "/users/bob/block", 4403),
                ("dan", "DELETE", "/jwt-keys/KEY", 4401),
            ] {
                try await site.tab.value("reset(); connect([], { type: 'auth', token: '\(site.token(user))' })")
                try await site.tab.until("has('authenticated') === 1")
                try await site.tab.value("say({ type: 'subscribe', chat: 1 })")
                try await site.tab.until("has('subscribed') === 1")
                try await site.send(method, path.replacing("KEY", with: site.key))
                try await site.tab.until("ends.length === 1")
                #expect(try await site.tab.value("ends[0]") as? Int == code, "\(user)")
                try await site.post(1)
                // The same for a token of now.
                try await site.tab.value("connect([], { type: 'auth', token: '\(site.token(user))' })")
                try await site.tab.until("ends.length === 2")
                #expect(try await site.tab.value("ends[1]") as? Int == code, "\(user)")
                #expect(try await site.strings("ids") == [], "\(user)")
            }
        }
    }

    /// A removal ends a subscription, and leaves the socket for other chats.
    @Test func aRemovalEndsASubscription() async throws {
        try await Self.run { site in
            try await site.tab.value(
                "connect(['luciq.v1', 'luciq.token.\(site.token())'], { type: 'subscribe', chat: 1 })")
            try await site.tab.until("has('subscribed') === 1")
            try await site.tab.value("say({ type: 'subscribe', chat: 2 })")
            try await site.tab.until("has('subscribed') === 2")
            try await site.send("DELETE", "/chats/1/members/ann")
            try await site.tab.until("has('unsubscribed') === 1")
            #expect(
                try await site.tab.value("frames.find((frame) => frame.type === 'error').code") as? String
                    == "not_found")
            try await site.post(1)
            try await site.post(1, to: 2)
            try await site.tab.until("has('message') === 1")
            #expect(try await site.tab.value("frames.at(-1).chat") as? Int == 2)
            #expect(try await site.tab.value("socket.readyState") as? Int == 1)
        }
    }
}

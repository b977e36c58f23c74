"""Readers of a chat: they follow it, lose their connections at any byte, and come back with their last cursor."""
import asyncio, collections, json

import aiohttp

from model import State, Violation, canonical
from tenant import Anew, Lost, Out

SILENCE = 60  # Seconds; streams say something each 15 s, sockets are pinged each 25.


class Reader:
    def __init__(self, tenant, ledger, chat, random, name, user=None, restless=True, slow=False, faults=()):
        self.tenant, self.ledger, self.chat, self.random, self.user = tenant, ledger, chat, random, user
        self.restless, self.slow, self.faults = restless, slow, faults
        self.name = f"{name} of chat {chat}" + (f" by {user}" if user else "")
        self.state = State(faults)
        self.is_loaded = False
        self.is_compared = False  # Then a fresh load would hide what it has lost.
        self.seen = []  # Events since it was loaded, which may come again.
        self.story = collections.deque(maxlen=1000)  # Of what it is about, and what happened.
        self.count = tenant.counts
        self.bearer = tenant.bearer(None if "leak" in faults else user)
        self.path = f"{tenant.path}/chats/{chat}"

    async def run(self):
        while True:
            try:
                if not self.is_loaded:
                    await self.load()
                self.count["connections"] += 1
                await self.follow(self.random.randrange(8))
            except Lost as lost:
                self.tell(f"lost: {lost}")
                await asyncio.sleep(self.random.uniform(0.02, 0.5))
            except Anew as anew:
                self.tell(f"anew: {anew}")
                self.is_loaded = False
            except Out:
                self.tell("out")
                await self.wait_for_entry()
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                self.tell(f"lost: {type(error).__name__}")
                await asyncio.sleep(self.random.uniform(0.1, 0.5))
            except Violation as violation:
                raise Violation(f"{self.name}: {violation}\n{self.excerpt()}") from None
            if self.restless and self.random.random() < 0.02 and not self.is_compared:
                self.is_loaded = False

    async def load(self):
        loaded = await self.tenant.load(self.chat, self.user, self.random.randrange(8))
        self.count["loads"] += 1
        self.state.load(loaded)
        self.seen = []
        self.is_loaded = True
        self.tell(f"loaded at {loaded.cursor}")

    async def wait_for_entry(self):
        """As an application would tell its user."""
        while not await self.is_in():
            await asyncio.sleep(self.random.uniform(0.3, 0.8))

    async def is_in(self):
        try:
            return not self.user or await self.tenant.is_in(self.chat, self.user, self.random.randrange(8))
        except Lost:
            return False

    def tell(self, what, thing=None):
        self.story.append((thing, what))

    def excerpt(self, thing=None):
        """What happened to it, last; of its events those of one thing, if there is one."""
        lines = [f"{what}" for about, what in self.story if thing is None or about in (None, thing)]
        return "  " + "\n  ".join(lines[-25:])

    def budget(self, mean):
        return self.random.expovariate(1 / mean) if self.restless else float("inf")

    async def take(self, kind, value, cursor):
        """An event that the server sends now."""
        self.tell(f"{kind} at {cursor}: {canonical(value)[:300]}", value and value.get("number", value.get("user")))
        self.count["events"] += 1
        if kind == "message" and self.user:
            self.ledger.check_allowed(self.chat, self.user, value["body"].split(" ")[0])
        chance = self.random.random()
        if "drop" in self.faults and chance < 0.1:
            self.state.cursor = cursor
            return
        if "cursor-first" in self.faults and chance < 0.1:
            self.state.cursor = cursor
            raise Lost("by itself, with the cursor")
        mine = self.state.members.get(self.user), self.state.settings.get("access")
        if kind == "message.changed" and self.user and value["number"] not in self.state.messages:
            if value["number"] < (mine[0] or {}).get("from_number", float("inf")):
                # It joined again, and more is there for it now. That comes later, and then it loads the chat anew.
                self.state.cursor = cursor
                return
        self.state.check(kind, value, cursor)
        self.state.apply(kind, value, cursor)
        if self.user and self.is_elsewhere(*mine):
            raise Anew("another part of the chat is there")
        if kind is not None:
            self.seen.append((kind, value))
        if self.seen and chance > 0.9:
            self.state.apply(*self.random.choice(self.seen), None)
        if self.slow and chance < 0.3:
            await asyncio.sleep(self.random.uniform(0, 0.5) if chance > 0.005 else 4)

    def is_elsewhere(self, member, access):
        """Whether another part of the chat is there for the user than before: it joined again, or the chat was opened
        or closed. What was outside is not sent by itself."""
        now = self.state.members.get(self.user)
        joined = [each and each["role"] and each["joined_at"] for each in (member, now)]
        return self.state.settings.get("access") != access or (joined[1] and joined[0] != joined[1])


class StreamReader(Reader):
    kind = "a stream"

    async def follow(self, choice):
        headers = {"Authorization": "Bearer " + self.bearer}
        query = f"after={self.state.cursor}"
        if self.random.random() < 0.3:  # As browsers do.
            headers["Last-Event-ID"], query = self.state.cursor, "after=0"
        async with self.tenant.session.get(
                f"{self.tenant.url(choice)}{self.path}/stream?{query}", headers=headers,
                timeout=aiohttp.ClientTimeout(None, connect=10, sock_read=SILENCE)) as answer:
            if answer.status == 404:
                raise Out(self.name)
            if answer.status == 409:
                raise Anew(await answer.text())
            if answer.status == 503:
                raise Lost("503")
            if answer.status != 200:
                raise Violation(f"a stream is answered {answer.status} {await answer.text()}")
            self.tell(f"streams after {self.state.cursor} from {choice}")
            await self.read(answer)

    async def read(self, answer):
        left = self.budget(15_000)
        rest, fields = b"", {}
        async for piece in answer.content.iter_any():
            # What comes after the cut has never arrived.
            rest += piece if len(piece) <= left else piece[:int(left)]
            left -= len(piece)
            *lines, rest = rest.split(b"\n")
            for line in lines:
                name, colon, value = line.decode().partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif not colon and fields:
                    await self.event(fields)
                    fields = {}
            if left <= 0:
                answer.close()
                raise Lost("by itself")
        raise Lost("the end")

    async def event(self, fields):
        value = json.loads(fields["data"])
        if fields["event"] == "close":
            if value["code"] == "not_found":
                raise Out(self.name)
            raise (Lost if value["reconnect"] else Violation)(f"close: {value}")
        if "id" in fields:
            await self.take(None if fields["event"] == "cursor" else fields["event"], value, fields["id"])


class SocketReader(Reader):
    kind = "a socket"

    async def follow(self, choice):
        try:
            socket = await self.tenant.session.ws_connect(
                f"{self.tenant.url(choice)}{self.tenant.path}/socket",
                headers={"Authorization": "Bearer " + self.bearer}, timeout=aiohttp.ClientWSTimeout(ws_close=1))
        except aiohttp.WSServerHandshakeError as error:
            raise (Lost if error.status == 503 else Violation)(f"a handshake: {error.status}") from None
        try:
            await socket.send_json({"type": "subscribe", "chat": self.chat, "after": self.state.cursor})
            self.tell(f"subscribes after {self.state.cursor} at {choice}")
            try:
                async with asyncio.timeout(SILENCE):  # `receive` has one, too, but each ping begins it anew.
                    await self.hear(await socket.receive())
            except TimeoutError:
                raise Violation("a subscription is not answered within a minute") from None
            left = self.budget(60)
            while left > 0:
                left -= 1
                await self.hear(await socket.receive(timeout=SILENCE))
            raise Lost("by itself")
        finally:
            connection = socket._response.connection
            if connection and connection.transport:
                connection.transport.abort()  # Not a close that is agreed upon.
            await socket.close()

    async def hear(self, frame):
        if frame.type != aiohttp.WSMsgType.TEXT:
            code = frame.data if frame.type == aiohttp.WSMsgType.CLOSE else None
            if code == 4409:
                raise Anew("closed with 4409")
            raise (Violation if code and 4400 <= code < 4500 else Lost)(f"closed: {frame}")
        value = json.loads(frame.data)
        kind = value["type"]
        if kind == "error":
            if value["code"] == "not_found":
                raise Out(self.name)
            if value["code"] == "cursor_epoch":
                raise Anew(f"{value}")
            is_passing = value["code"] in ("unavailable", "timed_out", "overloaded", "shutting_down")
            raise (Lost if is_passing else Violation)(f"a subscription: {value}")
        if "cursor" in value:
            what = value.get("change", value.get("message"))
            await self.take(None if kind == "subscribed" else kind, what, value["cursor"])


class PagingReader(Reader):
    kind = "pages"

    async def follow(self, choice):
        for _ in range(50):
            limit = self.random.choice([1, 2, 7, 100])
            async with self.tenant.session.get(
                    f"{self.tenant.url(choice)}{self.path}/changes?after={self.state.cursor}&limit={limit}",
                    headers={"Authorization": "Bearer " + self.bearer}, timeout=aiohttp.ClientTimeout(30)) as answer:
                if self.restless and self.random.random() < 0.05:
                    answer.close()
                    raise Lost("by itself")
                text = await answer.text()
            if answer.status == 404:
                raise Out(self.name)
            if answer.status == 409:
                raise Anew(text)
            if answer.status != 200:
                raise (Lost if answer.status == 503 else Violation)(f"changes: {answer.status} {text}")
            page = json.loads(text)
            if page["events"]:
                self.tell(f"a page after {self.state.cursor} from {choice}, up to {page['cursor']}")
            for event in page["events"]:
                await self.take(event["type"], event.get("change", event.get("message")), event["cursor"])
            self.state.check(None, None, page["cursor"])
            self.state.cursor = page["cursor"]
            if not page["more"]:
                await asyncio.sleep(self.random.uniform(0.05, 0.6) if self.random.random() < 0.9 else 2)


class PlainReader(StreamReader):
    """Knows messages alone, as clients of before: each once, in the order of their numbers."""
    kind = "messages alone"

    async def load(self):
        self.numbers = []
        self.state.cursor = "0"
        self.is_loaded = True

    async def take(self, kind, value, cursor):
        self.tell(f"{kind} at {cursor}", value.get("number"))
        if kind not in (None, "message") or "." in cursor:
            raise Violation(f"a reader of messages alone is sent {kind} at {cursor}")
        if kind == "message":
            self.count["events"] += 1
            if self.numbers and value["number"] <= self.numbers[-1]:
                raise Violation(f"message {value['number']} comes after {self.numbers[-1]}")
            self.numbers.append(value["number"])
            if "twice" in self.faults and self.random.random() < 0.1:
                await self.take(kind, value, cursor)
        self.state.cursor = cursor

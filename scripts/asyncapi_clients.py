"""Clients of streams and WebSockets for scripts/check-asyncapi.py. They compare all that they get with the document."""
import asyncio, json, sys

import aiohttp

from asyncapi_document import shape

PATIENCE = 20  # Seconds for anything to come.


class Records:
    """What was seen of the document's messages."""

    def __init__(self, document):
        self.document = document
        self.shapes = {key: [] for key in document.senders}
        self.codes = {"close": set(), "error": set(), "frame": set()}

    def note(self, channel, sender, value):
        """Takes a message that must be in the document; its name."""
        names = self.document.names(channel, sender, value)
        if len(names) != 1:
            kind = value.get("headers", {}).get("event") or value["payload"].get("type")
            message = self.document.messages[channel].get(kind)
            why = list(self.document.mismatches(message, value)) if message else ["there is no such message"]
            sys.exit(f"{channel}: {json.dumps(value)} is {names or 'nothing'}, instead of one message of the document:"
                     + "".join("\n  " + each for each in why))
        self.shapes[channel, names[0]].append(shape(value))
        if names[0] in ("close", "error"):
            self.codes[names[0]].add(value["payload"]["code"])
        return names[0]

    def refused(self, value):
        """Takes what the server has refused for its form: nothing that the document has."""
        if names := self.document.names("socket", "client", {"payload": value}):
            sys.exit(f"The server refuses {json.dumps(value)}, which is {names} in the document")

    def closed(self, code):
        if code not in self.document.codes():
            sys.exit(f"The server closes with {code}, which x-close-codes has not")
        self.codes["frame"].add(code)

    def gaps(self):
        """What was not seen."""
        for key, shapes in self.shapes.items():
            if not shapes:
                yield f"{' '.join(key)} was never seen"
            for index, example in enumerate(self.document.messages[key[0]][key[1]]["examples"]):
                if shape({part: example[part] for part in ("headers", "payload") if part in example}) not in shapes:
                    yield f"{' '.join(key)}: no real one has the members of example {index + 1}"


class Stream:
    """A stream of events, each as headers and payload."""

    def __init__(self, site, query="", chat=1, headers=None):
        self.site, self.query, self.chat, self.headers = site, query, chat, headers or {}

    async def __aenter__(self):
        path = f"{self.site.path}/chats/{self.chat}/stream?{self.query}"
        self.answer = await self.site.session.get(self.site.server.url + path, headers=self.headers)
        expect(self.answer.status == 200, f"{path}: {self.answer.status} {await self.problem()}")
        self.names, self.ids, self.state, self.states = [], [], {}, []
        return self

    async def problem(self):
        return await self.answer.text() if self.answer.status != 200 else ""

    async def __aexit__(self, *_):
        self.answer.close()

    async def next(self):
        """The next event; nil at the end."""
        fields = {}
        while line := await asyncio.wait_for(self.answer.content.readline(), PATIENCE):
            name, colon, value = line.decode().rstrip("\n").partition(":")
            if name:
                expect(colon and name not in fields and name in ("event", "data", "id", "retry"), f"the line {line}")
                fields[name] = value.removeprefix(" ")
            elif not colon and fields:
                event = {"headers": fields, "payload": json.loads(fields.pop("data"))}
                if "retry" in fields:
                    fields["retry"] = int(fields["retry"])
                self.names.append(self.site.records.note("stream", "server", event))
                apply(self.state, self.names[-1], event["payload"])
                if "id" in fields:
                    self.ids.append(fields["id"])
                    self.states.append(dict(self.state))
                return event["payload"]

    async def until(self, cursor):
        while not self.ids or self.ids[-1] != cursor:
            expect(await self.next(), f"a stream ended before {cursor}")

    async def closes(self, code, reconnect):
        last = None
        while event := await self.next():
            last = event
        ends = self.names[-1:] == ["close"] and (last["code"], last["reconnect"]) == (code, reconnect)
        expect(ends, f"a stream that ends with {code}: {last}")
        return last


def apply(state, name, payload):
    """The rule for clients."""
    if name == "message":
        state[payload["number"]] = payload
    elif name == "message.changed":
        held, parts = dict(state[payload["number"]]), payload["parts"]
        if "content" in parts and parts["content"]["rev"] >= held.get("rev", 0):
            held |= parts["content"]
        if "reactions" in parts and parts["reactions"]["rev"] >= held.get("reactions", {}).get("rev", 0):
            held["reactions"] = parts["reactions"]
        state[payload["number"]] = held


def essence(message):
    """Of a message, whether it came at once or in parts."""
    return {name: message.get(name) for name in (
        "number", "body", "created_at", "sender", "thread", "reply_to", "metadata", "rev", "edited_at", "deleted_at",
        "deleted_by", "reactions", "mentions")}


class Socket:
    def __init__(self, site, bearer=None, protocols=()):
        self.site, self.protocols = site, protocols
        self.headers = {"Authorization": "Bearer " + bearer} if bearer else {}

    async def __aenter__(self):
        self.socket = await self.site.session.ws_connect(
            self.site.server.url + self.site.path + "/socket", headers=self.headers, protocols=self.protocols)
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def say(self, **message):
        self.site.records.note("socket", "client", {"payload": message})
        await self.socket.send_json(message)

    async def hear(self):
        frame = await asyncio.wait_for(self.socket.receive(), PATIENCE)
        expect(frame.type == aiohttp.WSMsgType.TEXT, f"a frame is missing: {frame}")
        value = json.loads(frame.data)
        self.site.records.note("socket", "server", {"payload": value})
        return value

    async def hears(self, kind, **members):
        """The next frame, which has this type and these members."""
        value = await self.hear()
        wanted = {"type": kind, **members}
        expect(wanted.items() <= value.items(), f"a frame {wanted}: {value}")
        return value

    async def ask(self, kind, answer, **members):
        await self.say(type=kind, **members)
        return await self.hears(answer)

    async def fails(self, code, text=None, **message):
        """A request that is refused: its form if it is text, or if the code says so."""
        if text is None and code not in ("invalid", "missing_parameter", "unknown_type"):
            await self.say(**message)
        else:
            if text is None:
                self.site.records.refused(message)
            await self.socket.send_str(text or json.dumps(message))
        return await self.hears("error", code=code)

    async def closes(self, code):
        frame = await asyncio.wait_for(self.socket.receive(), PATIENCE)
        while frame.type == aiohttp.WSMsgType.TEXT:
            self.site.records.note("socket", "server", {"payload": json.loads(frame.data)})
            frame = await asyncio.wait_for(self.socket.receive(), PATIENCE)
        expect(self.socket.close_code == code, f"a close with {code}: {self.socket.close_code}")
        self.site.records.closed(code)


def expect(truth, what):
    if not truth:
        sys.exit(what)

"""Compares asyncapi.yaml with a server. The document must have the structure of AsyncAPI 3.0, and examples of each
message that are true to its schema. Then streams and WebSockets are driven through messages, edits, deletions, threads,
resumes, refusals of each kind, expiring tokens and a shutdown:

- every event and frame must be exactly one message of the document, with no member that is not described;
- every frame of a client that the server takes must be one, too, and every frame that it refuses for its form none;
- every message of the document must be seen, and every example must have the members of one that was seen.

usage: check-asyncapi.py BINARY
"""
import asyncio, base64, hashlib, hmac, json, pathlib, signal, sys, time

import aiohttp, yaml

from asyncapi_clients import Records, Socket, Stream, essence, expect
from asyncapi_document import Document
from checked_server import Server

RESOURCES = pathlib.Path(__file__).resolve().parent.parent / "Sources/ChatHTTP/Resources"


class Site:
    """An application, and what a client asks of it beside its streams."""

    def __init__(self, server, session, records):
        self.server, self.session, self.records = server, session, records

    async def call(self, method, path, value=None, bearer=None):
        headers = {"Authorization": "Bearer " + (bearer or self.server.admin)}
        async with self.session.request(method, self.server.url + path, json=value, headers=headers) as answer:
            text = await answer.text()
            expect(answer.status < 300, f"{method} {path}: {answer.status} {text}")
            self.cursor = answer.headers.get("Luciq-Cursor")
            return json.loads(text) if text else None

    async def open(self):
        made = await self.call("POST", "/applications", {"name": "asyncapi"})
        self.id, self.path = made["id"], "/applications/" + made["id"]
        key = await self.call("POST", self.path + "/jwt-keys", {"alg": "HS256"})
        self.secret, self.kid = key["secret"], key["kid"]
        return self

    async def chat(self, **settings):
        return (await self.call("POST", self.path + "/chats", settings))["chat_number"]

    async def post(self, chat, body, bearer=None, **more):
        path = f"{self.path}/chats/{chat}/messages"
        return (await self.call("POST", path, {"body": body, **more}, bearer))["message_number"]

    async def change(self, method, chat, number, value=None, bearer=None):
        await self.call(method, f"{self.path}/chats/{chat}/messages/{number}", value, bearer)

    def token(self, user, seconds=600, **more):
        now = int(time.time())
        claims = {"aud": self.id, "sub": user, "iat": now, "exp": now + seconds, **more}
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": self.kid}, claims)]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        secret = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + base64.urlsafe_b64encode(secret).rstrip(b"=")).decode()

    async def ticket(self, user, **more):
        return (await self.call("POST", self.path + "/tickets", more, self.token(user)))["ticket"]


async def streams(site):
    """Messages and changes over streams, to those that stay, that come back, and that know of no changes."""
    admin = {"Authorization": "Bearer " + site.server.admin}
    chat = await site.chat()
    await site.post(chat, "one", sender="u1")
    async with Stream(site, "after=0", chat, admin) as old, Stream(site, "after=0&changes=1", chat, admin) as stays:
        await site.post(chat, "two", sender="u1")
        await site.post(chat, "three", metadata={"order": 1017})
        await stays.until("3.0")
        await site.change("PATCH", chat, 1, {"body": "one, edited"})
        await stays.until("3.1")
        await site.post(chat, "four", thread=1, reply_to=3, in_main=True)
        # By a user, who is then named, and of what was edited.
        await site.post(chat, "five", site.token("u1"))
        await site.change("DELETE", chat, 5, bearer=site.token("u1"))
        await site.change("PATCH", chat, 3, {"body": "three, edited", "metadata": {"order": 1018}})
        await site.change("DELETE", chat, 1)
        await site.change("DELETE", chat, 2)
        await stays.until("5.5")
        await site.call("PUT", f"{site.path}/chats/{chat}/messages/4/reactions/ok?user=u1")
        await stays.until("5.6")
        await site.call("DELETE", f"{site.path}/chats/{chat}/messages/4/reactions/ok?user=u1")
        await stays.until("5.7")
        await site.call("POST", f"{site.path}/chats/{chat}/typing?user=u1")
        while stays.names[-1] != "typing":
            await stays.next()
        await site.call("PUT", f"{site.path}/chats/{chat}/members/u2", {"role": "member"})
        await site.call("DELETE", f"{site.path}/chats/{chat}/members/u2")
        await site.call("PATCH", f"{site.path}/chats/{chat}", {"name": "Kitchen"})
        await site.call("PUT", f"{site.path}/chats/{chat}/pins/4?user=u1")
        await site.call("DELETE", f"{site.path}/chats/{chat}/pins/4?user=u1")
        await stays.until("5.12")
        await old.until("5")
        expect(set(old.names) == {"cursor", "message"} and old.ids == list("012345"), f"without changes: {old.ids}")
    messages = await site.call("GET", f"{site.path}/chats/{chat}/messages")
    expect(site.cursor == "5.12", f"the cursor of a list: {site.cursor}")
    wanted = [essence(message) for message in messages]
    for cursor, held in zip(stays.ids, stays.states):
        async with Stream(site, f"after={cursor}", chat, admin) as back, Stream(
                site, "after=0", chat, {**admin, "Last-Event-ID": cursor}) as browser:
            for stream in [back, browser]:
                stream.state.update(held)
                await stream.until("5.12")
                ended = [essence(stream.state[number]) for number in sorted(stream.state)]
                expect(ended == wanted, f"after {cursor}: {ended}, instead of {wanted}")
    for cursor in ["6.0", "5.13", "e2.5.12"]:
        async with Stream(site, f"soft=1&after={cursor}", chat, admin) as refused:
            close = await refused.closes("cursor_epoch", False)
            expect(close["cursor"] == "5.12", f"the head: {close}")
        path = f"{site.server.url}{site.path}/chats/{chat}/stream?after={cursor}"
        async with site.session.get(path, headers=admin) as answer:
            expect((answer.status, (await answer.json())["cursor"]) == (409, "5.12"), f"a refusal: {answer.status}")


async def receipts(site):
    """How far others have read, over streams and WebSockets."""
    admin = {"Authorization": "Bearer " + site.server.admin}
    chat = await site.chat(receipts="members")
    await site.call("PUT", f"{site.path}/chats/{chat}/members/u1", {"role": "member"})
    for body in ["one", "two"]:
        await site.post(chat, body)
    async with Stream(site, "reads=1", chat, admin) as stream, Socket(site, site.server.admin) as socket:
        await socket.ask("subscribe", "subscribed", chat=chat, changes=True, reads=True)
        await socket.hears("reads", reads=[{"user": "u1", "number": 0}])
        while stream.names[-1:] != ["reads"]:
            await stream.next()
        await site.call("PUT", f"{site.path}/chats/{chat}/read?user=u1", {"number": 2})
        await socket.hears("read", user="u1", number=2)
        while stream.names[-1] != "read":
            await stream.next()
        await socket.fails("invalid", type="subscribe", chat=chat, reads=1)


async def presence(site):
    """Who is online, over streams and WebSockets."""
    admin = {"Authorization": "Bearer " + site.server.admin}
    chat = await site.chat()
    async with Socket(site, site.server.admin) as socket:
        await socket.fails("presence_off", type="presence", users=["u1"], ref="1")
        await site.call("PATCH", site.path, {"presence": "users"})
        async with Stream(site, "presence=u1,u2", chat, admin) as stream:
            await socket.say(type="presence", users=["u1", "u2"])
            for user in ["u1", "u2"]:
                await socket.hears("presence", user=user, state="offline")
            while stream.names.count("presence") < 2:
                await stream.next()
            async with Socket(site, site.token("u1")):
                await socket.hears("presence", user="u1", state="online")
                while stream.names.count("presence") < 3:
                    await stream.next()
        await socket.fails("invalid", type="presence", users="u1")
        await socket.fails("missing_parameter", type="presence")


async def sockets(site):
    """Requests over WebSockets, what they bring, and what they are refused for."""
    chat, other = await site.chat(), await site.chat()
    async with Socket(site, site.server.admin) as socket:
        await socket.ask("subscribe", "subscribed", chat=chat, changes=True)
        await socket.ask("unsubscribe", "unsubscribed", chat=chat, ref="2")
        await socket.ask("subscribe", "subscribed", chat=chat, after="0.0", ref="1")
        for key, more in [("a3f1", {}), ("a3f1", {"replayed": True})]:
            await socket.say(type="send", chat=chat, ref="3", key=key, body="one")
            heard = [await socket.hear() for _ in range(1 if more else 2)]
            sent = next(each for each in heard if each["type"] == "sent")
            expect({"message_number": 1, "ref": "3", **more}.items() <= sent.items(), f"a send: {sent}")
        await socket.say(type="send", chat=chat, body="two", sender="u1", mentions=["u2"])
        expect({(await socket.hear())["type"] for _ in range(2)} == {"sent", "message"}, "a send to an own chat")
        await socket.say(type="typing", chat=chat, user="u1")
        await socket.hears("typing", user="u1")
        await site.post(chat, "three", thread=1, reply_to=2)
        await socket.hears("message", cursor="3.0")
        await site.change("PATCH", chat, 2, {"metadata": {"order": 1017}})
        await socket.hears("message.changed", cursor="3.1")
        await site.change("PATCH", chat, 1, {"body": "one, edited"})
        await socket.hears("message.changed", cursor="3.2")
        await site.change("DELETE", chat, 1)
        await socket.hears("message.changed", cursor="3.3")
        await site.call("PUT", f"{site.path}/chats/{chat}/members/u2", {"role": "member"})
        await socket.hears("member.changed", cursor="3.4")
        await site.call("PATCH", f"{site.path}/chats/{chat}", {"name": "Kitchen"})
        await socket.hears("chat.changed", cursor="3.5")
        await site.call("PUT", f"{site.path}/chats/{chat}/pins/3?user=u1")
        await socket.hears("pin.changed", cursor="3.6")

        await socket.fails("malformed_json", '{"type":')
        await socket.fails("missing_parameter", chat=chat)
        await socket.fails("missing_parameter", type="send", chat=chat, ref="4")
        await socket.fails("unknown_type", type="shout", chat=chat)
        await socket.fails("invalid", type="subscribe", chat=str(chat), ref="5")
        await socket.fails("invalid", type="subscribe", chat=other, after="x")
        await socket.fails("invalid", type="send", chat=chat, body="")
        await socket.fails("invalid", type="subscribe", chat=other, ref="x" * 256)
        await socket.fails("not_found", type="subscribe", chat=1_000_000, ref="6")
        await socket.fails("not_found", type="send", chat=1_000_000, body="hi")
        await socket.fails("already_subscribed", type="subscribe", chat=chat)
        await socket.fails("not_subscribed", type="unsubscribe", chat=other, ref="7")
        await socket.fails("idempotency_key_reused", type="send", chat=chat, body="another", key="a3f1")

        for _ in range(99):
            await socket.ask("subscribe", "subscribed", chat=await site.chat())
        await socket.fails("too_many_subscriptions", type="subscribe", chat=other, ref="8")

    # Old clients and those that come back.
    changed = ["message.changed", "member.changed", "chat.changed", "pin.changed"]
    for cursor, wanted in [("0", ["message"] * 3), ("1", ["message"] * 2), ("3.1", changed),
                           ("1.0", changed + ["message"] * 2), ("2.2", changed + ["message"])]:
        async with Socket(site, site.server.admin) as back:
            await back.ask("subscribe", "subscribed", chat=chat, after=cursor)
            heard = [(await back.hear())["type"] for _ in wanted]
            expect(heard == wanted, f"after {cursor}: {heard}")
    for cursor in ["4.0", "3.7", "e2.3.6"]:
        async with Socket(site, site.server.admin) as lost:
            error = await lost.fails("cursor_epoch", type="subscribe", chat=chat, after=cursor, ref="1")
            expect(error["cursor"] == "3.6", f"the head: {error}")
            await lost.closes(4409)


async def tokens(site):
    """Users: how they show tokens and tickets, what they may not do, and how they end."""
    chat, closed = await site.chat(), await site.chat(access="members")
    member = f"{site.path}/chats/{closed}/members/"
    for user, role in [("u1", "member"), ("u2", "reader")]:
        await site.call("PUT", member + user, {"role": role})
    async with Socket(site) as socket:
        await socket.ask("auth", "authenticated", token=site.token("u1"))
        await socket.ask("subscribe", "subscribed", chat=chat)
        await socket.ask("subscribe", "subscribed", chat=closed)
        await socket.ask("auth", "authenticated", token=site.token("u1"), ref="1")
        # A token that does not name a chat, and a member who is none any more.
        await socket.ask("auth", "authenticated", token=site.token("u1", chats=[closed]))
        await socket.hears("error", code="not_found", chat=chat)
        await socket.hears("unsubscribed", chat=chat)
        async with Stream(site, f"ticket={await site.ticket('u1')}", closed) as stream:
            await stream.next()
            await site.call("DELETE", member + "u1")
            await stream.closes("not_found", False)
        await socket.hears("error", code="not_found", chat=closed)
        await socket.hears("unsubscribed", chat=closed)
        await socket.say(type="auth", token=site.token("u2"))
        await socket.closes(4403)
    protocols = ("luciq.v1", "luciq.token." + site.token("u2"))
    async with Socket(site, protocols=protocols) as socket:
        await socket.fails("insufficient_role", type="send", chat=closed, body="hi")
        await site.call("PATCH", site.path, {"limits": {"user": {"create": {"per_minute": 1, "burst": 1}}}})
        for _ in range(2):
            await socket.say(type="send", chat=chat, body="hi", ref="3")
            last = await socket.hear()
        expect(last["code"] == "quota-exceeded" and last["retry_after"] > 0, f"past a limit: {last}")
        async with Stream(site, f"ticket={await site.ticket('u2')}", chat) as stream:
            await stream.next()
            await site.call("POST", site.path + "/users/u2/block")
            await stream.closes("not_allowed", False)
        await socket.closes(4403)
    async with Socket(site) as socket:
        await socket.ask("auth", "authenticated", token=site.token("u3", 3))
        await socket.hears("token_expiring")
        await socket.closes(4310)
    async with Stream(site, f"ticket={await site.ticket('u3', ttl_s=1)}", chat) as stream:
        await stream.closes("token_expired", False)
    for query, code in [("ticket=x", "token_invalid"), ("after=x", "credentials_required"),
                        (f"ticket={await site.ticket('u3')}&after=x", "invalid")]:
        async with Stream(site, "soft=1&" + query, chat) as stream:
            await stream.closes(code, False)
    async with Socket(site) as socket:
        await socket.say(type="auth", token="x")
        await socket.closes(4401)
    # Of another application, without credentials, not as a text, not as UTF-8, too long, and out of order.
    another = await Site(site.server, site.session, site.records).open()
    async with Socket(another) as socket:
        await socket.say(type="auth", token=site.token("u3"))
        await socket.closes(4404)
    for code, data, kind in [(1003, b"{}", aiohttp.WSMsgType.BINARY), (1007, b"\xff", aiohttp.WSMsgType.TEXT),
                             (1009, b" " * 263_000, aiohttp.WSMsgType.TEXT),
                             (1002, b"{}", aiohttp.WSMsgType.CONTINUATION)]:
        async with Socket(site, site.server.admin) as socket:
            await socket.socket.send_frame(data, kind)
            await socket.closes(code)


async def shutdown(site):
    """A server that stops in good order."""
    chat = await site.chat()
    headers = {"Authorization": "Bearer " + site.server.admin}
    async with Stream(site, "", chat, headers) as stream, Socket(site, site.server.admin) as socket:
        await stream.next()
        await socket.ask("subscribe", "subscribed", chat=chat)
        site.server.process.send_signal(signal.SIGTERM)
        await stream.closes("going_away", True)
        await socket.closes(1001)


async def compare(server, document):
    records = Records(document)
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url + "/asyncapi.yaml") as answer:
            served = await answer.text()
            expect(served == (RESOURCES / "asyncapi.yaml").read_text(), "/asyncapi.yaml is another document")
        for part in (streams, receipts, presence, sockets, tokens, shutdown):
            await part(await Site(server, session, records).open())
    gaps = list(records.gaps())
    expect(not gaps, "\n".join(gaps))
    return records


def agree(document):
    """asyncapi.yaml and openapi.yaml say the same of messages and paths."""
    other = yaml.safe_load((RESOURCES / "openapi.yaml").read_text())
    here, there = document.root["components"]["schemas"]["Message"], other["components"]["schemas"]["MessageItem"]
    for part in ("required", "properties"):
        expect(set(here[part]) == set(there[part]), f"openapi.yaml's MessageItem has other {part}")
    for channel in document.root["channels"].values():
        expect(channel["address"] in other["paths"], f"openapi.yaml has no {channel['address']}")


def main():
    document = Document((RESOURCES / "asyncapi.yaml").read_text())
    expect(not document.problems, "\n".join(document.problems))
    agree(document)
    server = Server(sys.argv[1])
    try:
        records = asyncio.run(compare(server, document))
    finally:
        server.stop()
    print(f"{sum(map(len, records.shapes.values()))} events and frames are as asyncapi.yaml says, and each of its "
          f"{len(records.shapes)} messages was seen.")
    print("Closes of streams:", *sorted(records.codes["close"]))
    print("Errors over WebSockets:", *sorted(records.codes["error"]))
    print("Close frames:", *sorted(records.codes["frame"]))


main()

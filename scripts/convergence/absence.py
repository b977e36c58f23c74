"""A client comes back after a long absence: how many events it gets, in what time, and what that costs the server's
memory.

Messages are stored in one chat, and then things change: a tenth of the changes are reactions of different users to
message 1, the others edits, over so many messages. Then two clients come back, over a stream, a WebSocket and pages of
changes: one that left at the start, and one that had all messages and missed the changes. Each must end in the state of
a reload, and the second one must get exactly one event for each thing that has changed.

usage: absence.py BINARY [--backend embedded|cluster] [--messages N] [--changes N] [--changed N]
"""
import argparse, asyncio, collections, json, sys, time

import aiohttp

from model import State, Violation
from servers import Servers
from tenant import Tenant

CHAT = 1
SENDERS = 8        # Connections that store messages, each with so many on their way:
WINDOW = 16
CHANGERS = 24      # Requests at a time that change something.


class Client:
    """Holds a digest of each message: a million of them fit into memory."""

    def __init__(self, cursor, messages=()):
        self.cursor = cursor
        self.state = State()
        for message in messages:
            self.state.take_message(message)
        self.digests = {}
        self.kinds = collections.Counter()
        self.bytes = 0

    def take(self, kind, value, cursor):
        self.state.cursor = self.cursor
        self.state.check(kind, value, cursor)
        if kind == "message":
            self.digests[value["number"]] = digest(value)
        else:
            self.state.apply(kind, value, None)
        self.kinds[kind] += 1
        self.cursor = cursor

    def result(self):
        """The digest of each message that it holds."""
        held = {number: hash(shown) for number, shown in self.state.parts()["messages"].items()}
        return held | self.digests


def digest(message):
    state = State()
    state.take_message(message)
    return hash(state.parts()["messages"][message["number"]])


async def store(tenant, messages):
    """Over WebSockets, whose answers come in order."""
    left = iter(range(messages))

    async def one(index):
        url = f"{tenant.url(index)}{tenant.path}/socket"
        async with tenant.session.ws_connect(url, headers={"Authorization": "Bearer " + tenant.key}) as socket:
            waiting = 0
            for number in left:
                await socket.send_str(f'{{"type":"send","chat":{CHAT},"body":"Where is my order {number}?"}}')
                waiting += 1
                if waiting == WINDOW:
                    await sent(socket)
                    waiting -= 1
            for _ in range(waiting):
                await sent(socket)

    await asyncio.gather(*(one(index) for index in range(SENDERS)))


async def sent(socket):
    answer = await socket.receive_json(timeout=60)
    if answer["type"] != "sent":
        raise Violation(f"a send is answered {answer}")


async def change(tenant, changes, changed):
    path = f"{tenant.path}/chats/{CHAT}"
    left = iter(range(changes))

    async def one(index):
        for step in left:
            if step % 10 == 0:
                user = f"v{step // 10}"
                asked = "PUT", f"{path}/messages/1/reactions/ok?user={user}", None
            else:
                value = {"body": f"Where is it? Asked for the {step}th time"}
                asked = "PATCH", f"{path}/messages/{1 + step % changed}", value
            status, _, answer = await tenant.ask(*asked, tenant.key, index, seconds=120)
            if status != 200:
                raise Violation(f"{asked}: {status} {answer}")

    await asyncio.gather(*(one(index) for index in range(CHANGERS)))
    for user in ("u1", "u4"):
        await tenant.need("PUT", f"{path}/members/{user}", {"role": "reader"})
    await tenant.need("PATCH", path, {"name": "Orders"})
    for number in (1, 2, 3):
        await tenant.need("PUT", f"{path}/pins/{number}?user=u1")
    # Each message that an edit or a reaction is of; two members, the settings, three pins.
    return len({1 + step % changed for step in range(changes) if step % 10} | {1}) + 6


# The ways to come back. Each ends at the head.

async def by_stream(tenant, client, head):
    url = f"{tenant.url(1)}{tenant.path}/chats/{CHAT}/stream?after={client.cursor}"
    async with tenant.session.get(url, headers={"Authorization": "Bearer " + tenant.key},
                                  timeout=aiohttp.ClientTimeout(None, sock_read=60)) as answer:
        rest, fields = b"", {}
        async for piece in answer.content.iter_any():
            client.bytes += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                name, colon, value = line.decode().partition(":")
                if name:
                    fields[name] = value[1:]
                elif not colon and fields:
                    if fields["event"] == "close":
                        raise Violation(f"the stream ends: {fields}")
                    if fields["event"] != "cursor":
                        client.take(fields["event"], json.loads(fields["data"]), fields["id"])
                    fields = {}
            if client.cursor == head:
                return


async def by_socket(tenant, client, head):
    url = f"{tenant.url(1)}{tenant.path}/socket"
    async with tenant.session.ws_connect(url, headers={"Authorization": "Bearer " + tenant.key}) as socket:
        await socket.send_json({"type": "subscribe", "chat": CHAT, "after": client.cursor})
        while client.cursor != head:
            frame = await socket.receive(timeout=60)
            if frame.type != aiohttp.WSMsgType.TEXT:
                raise Violation(f"the socket ends: {frame}")
            client.bytes += len(frame.data)
            value = json.loads(frame.data)
            if value["type"] != "subscribed":
                client.take(value["type"], value.get("change", value.get("message")), value["cursor"])


async def by_pages(tenant, client, head):
    more = True
    while more:
        path = f"{tenant.path}/chats/{CHAT}/changes?limit=1000&after={client.cursor}"
        headers = {"Authorization": "Bearer " + tenant.key}
        async with tenant.session.get(tenant.url(1) + path, headers=headers) as answer:
            text = await answer.text()
        client.bytes += len(text)
        page = json.loads(text)
        for event in page["events"]:
            client.take(event["type"], event.get("change", event.get("message")), event["cursor"])
        client.cursor, more = page["cursor"], page["more"]
    if client.cursor != head:
        raise Violation(f"the last page ends at {client.cursor}, and the head is {head}")


async def comes_back(tenant, way, name, client, head, fresh):
    """Lets a client come back, and prints what it costs."""
    process = tenant.servers.processes[-1]
    before = peak = process.memory()

    async def watch():
        nonlocal peak
        while True:
            peak = max(peak, process.memory())
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    began = time.monotonic()
    await way(tenant, client, head)
    seconds = time.monotonic() - began
    watching.cancel()
    held = client.result()
    wrong = [number for number in held.keys() | fresh.keys() if held.get(number) != fresh.get(number)]
    if wrong:
        raise Violation(f"{name}: {len(wrong)} messages are not as a reload has them, such as {sorted(wrong)[:5]}")
    print(f"| {name} | {sum(client.kinds.values()):,} | {client.bytes / 1e6:.1f} MB | {seconds:.1f} s | "
          f"{before:.0f} → {peak:.0f} MiB |", flush=True)


async def absence(given):
    servers = Servers(given.binary, given.backend)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await servers.ready(session)
            tenant = await Tenant(servers, session).open([{}])
            path = f"{tenant.path}/chats/{CHAT}"
            began = time.monotonic()
            await store(tenant, given.messages)
            print(f"{given.backend}: {given.messages:,} messages in {time.monotonic() - began:.0f} s", flush=True)
            _, revision = (await tenant.head(CHAT)).rsplit(".", 1)
            at_head = f"{given.messages}.{revision}"
            if await tenant.head(CHAT) != at_head:
                raise Violation(f"the head is {await tenant.head(CHAT)}, and not {at_head}")
            held = []
            while len(held) < given.changed:
                after = held[-1]["number"] if held else 0
                held += (await tenant.get(f"{path}/messages?limit=1000&after={after}", tenant.key, 0))[1]
            held = held[:given.changed]
            began = time.monotonic()
            distinct = await change(tenant, given.changes, given.changed)
            print(f"{given.changes:,} changes of {distinct:,} things in {time.monotonic() - began:.0f} s", flush=True)
            head = await tenant.head(CHAT)
            rows, _ = await tenant.pages(f"{path}/messages?limit=1000", tenant.key, 0)
            fresh = {row["number"]: digest(row) for row in rows}
            del rows
            some = {number: fresh[number] for number in range(1, given.changed + 1)}
            print("\n| a client that comes back | events | bytes | time | memory of the server |")
            print("|---|---|---|---|---|")
            for way, name in [(by_stream, "stream"), (by_socket, "WebSocket"), (by_pages, "pages of changes")]:
                client = Client(at_head, held)
                await comes_back(tenant, way, f"{name}, missed the changes", client, head, some)
                if sum(client.kinds.values()) != distinct:
                    raise Violation(f"{name}: {client.kinds} for {distinct} things that changed")
            for way, name in [(by_stream, "stream"), (by_socket, "WebSocket"), (by_pages, "pages of changes")]:
                client = Client("0.0")
                await comes_back(tenant, way, f"{name}, missed everything", client, head, fresh)
                if client.kinds["message"] != given.messages or client.kinds["message.changed"]:
                    raise Violation(f"{name}: {client.kinds} for {given.messages} messages")
    except Violation as violation:
        sys.exit(f"{given.backend}: {violation}")
    finally:
        servers.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--backend", choices=["embedded", "cluster"], default="embedded")
    for name, number in [("--messages", 1_000_000), ("--changes", 100_000), ("--changed", 10_000)]:
        parser.add_argument(name, type=int, default=number)
    given = parser.parse_args()
    asyncio.run(absence(given))


main()

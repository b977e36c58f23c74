"""Whatever happens to connections, servers and Redis, the state of a client that comes back = that of one that stayed =
that of a reload over REST, byte for byte.

Several users write at random: messages, replies, edits, deletions, reactions, pins, members, settings, read marks.
Readers of several kinds follow, lose their connections at any byte and resume; some are users who are removed and come
back. Servers are killed, stopped and frozen, Redis is emptied and killed, connections to the database are cut. Now and
then the writers rest, and all is compared. The same seed makes the same decisions; in which order they are carried out,
the machine decides.

usage: check.py BINARY [--backend embedded|cluster] [--seconds N] [--seed N] [--break NAME|all]
"""
import argparse, asyncio, collections, random, sys, time

import aiohttp

from model import State, Violation, difference
from readers import PagingReader, PlainReader, SocketReader, StreamReader
from servers import Servers
from tenant import Ledger, Lost, Out, Tenant, is_beyond
from writers import Writer

# The last one is opened and closed.
CHATS = [{}, {"access": "members"}, {"access": "members", "history": "since_join"}, {}]
# Who reads: a kind, a chat, a user (or the application), whether it comes and goes, and whether it is slow.
READERS = [
    (StreamReader, 1, None, False, False), (SocketReader, 1, None, True, False), (PagingReader, 1, None, True, False),
    (PlainReader, 1, None, True, False), (StreamReader, 1, "u4", True, False), (StreamReader, 1, None, True, True),
    (SocketReader, 2, None, False, False), (StreamReader, 2, "u1", True, False), (SocketReader, 2, "u2", True, False),
    (PagingReader, 2, "u3", True, False), (StreamReader, 2, None, True, False), (PlainReader, 2, None, False, False),
    (StreamReader, 3, "u1", True, False), (SocketReader, 3, "u2", False, False), (PagingReader, 3, "u2", True, False),
    (SocketReader, 3, None, True, True),
    (StreamReader, 4, "u1", True, False), (SocketReader, 4, "u5", True, False), (PagingReader, 4, "u4", True, False),
    (StreamReader, 4, None, True, False), (PagingReader, 4, None, False, False),
]
# What a reader, or the check itself, may do wrong, and must be found out.
BREAKS = {
    "drop": "one event in ten is lost", "cursor-first": "the cursor is taken before the event, which is then lost",
    "absent": "reactions that are not told of are taken for none", "lower": "lower revisions are applied",
    "root": "what replies say of their threads is ignored",
    "keep-pin": "a deletion leaves the pin", "leak": "a removed user is sent everything",
    "twice": "a message comes twice",
    "invent": "a create is acknowledged that never was",
}
BROKEN_CHATS = [{"access": "members"}]
BROKEN_READERS = [(StreamReader, 1, None, True, False), (SocketReader, 1, None, True, False),
                  (PagingReader, 1, None, True, False), (PlainReader, 1, None, True, False),
                  (SocketReader, 1, "u1", False, False)]
ROUNDS_OF_A_WORLD = 12  # Then new chats: reloads become dear.


class World:
    """An application, those who write in it, and those who read it."""

    def __init__(self, servers, session, seed, chats=CHATS, readers=READERS, writers=4, faults=(), patience_s=90):
        self.servers, self.seed, self.chats, self.faults, self.patience_s = servers, seed, chats, faults, patience_s
        self.tenant = Tenant(servers, session)
        self.plan, self.writer_count = readers, writers

    async def open(self):
        await self.tenant.open(self.chats)
        self.ledger = Ledger(self.tenant, 0 if len(self.servers.processes) == 1 else 12)
        numbers = range(1, len(self.chats) + 1)
        self.ledger.closed = {number for number in numbers if "access" in self.chats[number - 1]}
        self.writers = [
            Writer(self.tenant, self.ledger, list(numbers), random.Random(f"{self.seed}/writer {index}"), f"{index}.",
                   self.faults) for index in range(self.writer_count)]
        self.readers = []
        for index, (kind, chat, user, restless, slow) in enumerate(self.plan):
            how = kind.kind + (", slow" if slow else "") + ("" if restless else ", that stays")
            self.readers.append(kind(self.tenant, self.ledger, chat, random.Random(f"{self.seed}/reader {index}"),
                                     f"{index + 1} ({how})", user, restless, slow, self.faults))
        self.tasks = [asyncio.create_task(reader.run()) for reader in self.readers]
        return self

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def look(self):
        """Throws what a reader has found."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def write(self, operations, pause_s):
        await asyncio.gather(*(writer.run(operations, pause_s) for writer in self.writers))
        self.look()

    async def compare(self):
        """Waits until all readers have what a reload has; throws the first difference that stays."""
        self.set_compared(True)
        for chat in range(1, len(self.chats) + 1):
            until = time.monotonic() + self.patience_s
            while found := await self.differences(chat):
                self.look()
                if time.monotonic() > until:
                    raise Violation(f"chat {chat}: {found}")
                await asyncio.sleep(0.3)
        self.set_compared(False)

    def set_compared(self, whether):
        for reader in self.readers:
            reader.is_compared = whether

    async def differences(self, chat):
        """What differs first of a chat, and how; nil if nothing does."""
        try:
            head = await self.tenant.head(chat)
            loaded = {None: await self.tenant.load(chat)}
            for problem in self.ledger.check(chat, loaded[None]):
                return problem
            for reader in self.readers:
                if reader.chat != chat or not await reader.is_in():
                    continue
                if reader.user not in loaded:
                    loaded[reader.user] = await self.tenant.load(chat, reader.user)
                if found := self.difference(reader, loaded[reader.user]):
                    return f"{reader.name} differs\n  {found[0]}\nIts last steps:\n{reader.excerpt(found[1])}"
                if reader.user is None and is_beyond(reader.state.cursor, await self.tenant.head(chat)):
                    return f"{reader.name} has the cursor {reader.state.cursor}, beyond {await self.tenant.head(chat)}"
                self.tenant.counts["comparisons"] += 1
            # Something that was asked before may still have happened.
            return None if head == await self.tenant.head(chat) else "its head moves by itself"
        except (Lost, Out) as error:
            return f"it cannot be read: {error!r}"

    def difference(self, reader, loaded):
        if isinstance(reader, PlainReader):
            missing = {message["number"] for message in loaded.messages} ^ set(reader.numbers)
            return (f"messages {sorted(missing)[:5]} are not the same", min(missing)) if missing else None
        fresh = State()
        fresh.load(loaded)
        return difference("it holds", reader.state.parts(), fresh.parts())


async def strikes(servers, session, counts, faults):
    for fault, pause, victim, seconds in faults:
        await asyncio.sleep(pause)
        await servers.strike(fault, victim, seconds)
        counts["fault " + fault] += 1
    await servers.ready(session)


async def converge(binary, backend, seconds, seed):
    counts = collections.Counter()
    servers = Servers(binary, backend)
    began = time.monotonic()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await servers.ready(session)
            chance = random.Random(f"{seed}/faults")
            coming, rounds, world = [], 0, None
            while time.monotonic() - began < seconds:
                if rounds % ROUNDS_OF_A_WORLD == 0:
                    if world:
                        await world.close()
                    world = await World(servers, session, f"{seed}/{rounds}").open()
                    world.tenant.counts = counts
                    for reader in world.readers:
                        reader.count = counts
                faults = []
                for _ in range(chance.choice([1, 2, 2])):
                    coming = coming or chance.sample(servers.faults, len(servers.faults))
                    faults.append((coming.pop(), chance.uniform(0.5, 2.5), chance.randrange(8),
                                   chance.uniform(0.5, 3.5)))
                await asyncio.gather(world.write(45, 0.09), strikes(servers, session, counts, faults))
                await world.compare()
                rounds += 1
                counts["rounds"] += 1
            await world.close()
    except Violation as violation:
        print_counts(counts)
        sys.exit(f"{backend}, seed {seed}, round {rounds + 1}: {violation}\n\n"
                 f"Again: scripts/check-convergence {binary} --backend {backend} --seed {seed}")
    finally:
        servers.stop()
    print(f"{backend}, seed {seed}, {time.monotonic() - began:.0f} s: all readers converge.")
    print_counts(counts)


def print_counts(counts):
    def of(prefix):
        found = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
        return f"{sum(found.values())} ({', '.join(f'{name} {found[name]}' for name in sorted(found))})"
    print(f"  operations: {of('op ')}\n  answers: {of('answer ')}, unknown outcomes {counts['unknown outcomes']}")
    print(f"  faults: {of('fault ')}")
    print(f"  {counts['rounds']} rounds, {counts['comparisons']} comparisons, {counts['events']} events, "
          f"{counts['connections']} connections, {counts['loads']} loads", flush=True)


async def broken(binary, names, seed):
    """Each fault in an application of its own, all at the same time."""
    servers = Servers(binary, "embedded")

    async def one(session, name):
        world = await World(servers, session, f"{seed}/{name}", BROKEN_CHATS, BROKEN_READERS, 2, (name,), 2).open()
        try:
            for _ in range(10):
                await world.write(40, 0.01)
                await world.compare()
        except Violation as violation:
            return str(violation).splitlines()
        finally:
            await world.close()

    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await servers.ready(session)
            for name, found in zip(names, await asyncio.gather(*(one(session, name) for name in names))):
                if not found:
                    sys.exit(f"seed {seed}: nobody notices that {BREAKS[name]}")
                print(f"{name}: {BREAKS[name]}. Found out: {found[0][:150]}", flush=True)
    finally:
        servers.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--backend", choices=["embedded", "cluster"])
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--break", dest="broken", choices=[*BREAKS, "all"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.broken or not given.backend:
        names = list(BREAKS) if given.broken in (None, "all") else [given.broken]
        asyncio.run(broken(given.binary, names, given.seed))
    if not given.broken:
        for backend, seconds in [("embedded", 30), ("cluster", 45)]:
            if given.backend in (None, backend):
                asyncio.run(converge(given.binary, backend, given.seconds or seconds, given.seed))


main()

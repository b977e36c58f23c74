import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import time
import urllib.parse

from benchmarks.measuring import BODY, CHATS, CONNECTIONS, Measuring, median, median_ratio
from benchmarks.programs import fail, free_port, processor_seconds, running, say, serving

# A query and how many of 100,000 messages have it: `luciq-bench fill` puts xylophone into one in every 50,000.
QUERIES = [
    ("a rare word", "xylophone", 2),
    ("two common words", "lazy dog", None),
    ("absent", "velociraptor", 0),
    ("absent, of common letters", "the then sleeps", 0),
    ("one character", "x", None),
    ("in every message", "message", None),
]
# The targets in milliseconds: in 100,000 messages, in 1,000,000, and across an application of 1,000,000.
MOST = {
    "embedded": {100_000: {"a rare word": 4, "absent": 8}, 1_000_000: {"a rare word": 25}, "application": 100},
    "cluster": {100_000: {"a rare word": 6, "absent": 10}, 1_000_000: {"a rare word": 40}, "application": 150},
}
SEARCHERS = 8  # That search at the same time, for ever.


class Search(Measuring):
    """Searches over HTTP, beside the statement of the Rails application on the same rows; the index's space; creates beside
    the making of the index; creates of one application beside searches of another."""

    SECTIONS = ("hundred", "million", "tail", "application", "small", "indexing", "fairness")
    COLUMNS = [("p50_ms", "p50 ms", 2), ("slowest_ms", "slowest ms", 2), ("rate", "requests/s", 0), ("p99_ms", "p99 ms", 2),
               ("searches", "searches/s", 1), ("processor_us", "µs of processor a request", 1), ("errors", "errors", 0)]
    LOAD = "one search at a time, 100-byte messages"
    SECONDS = 5

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--searches", type=int, default=20, help="of each kind in a round (%(default)s)")
        parser.add_argument("--messages", type=int, default=1_000_000, help="at most, for a smaller run (%(default)s)")

    @staticmethod
    def pace(options):
        return (f"{options.rounds} rounds of {options.searches} searches of each kind (Rails' statement in MariaDB: at most 10) "
                f"or {options.seconds} s of creates over {CONNECTIONS} connections")

    def hundred(self):
        self.chat(100_000)

    def million(self):
        self.chat(1_000_000)

    def size(self, messages):
        """So many messages, or as many as a smaller run has."""
        return min(messages, self.options.messages)

    @contextlib.contextmanager
    def without_indexer(self, name):
        """A server that makes no blocks: in a cluster the worker makes them, and none runs."""
        if self.options.backend == "cluster":
            with self.server(name) as server:
                yield server
            return
        port = free_port()
        command = [self.options.tools, "ceiling", "--without-indexer", "--port", port, "--file", f"{self.folder}/{name}.sqlite"]
        with serving(command, port) as server:
            yield server

    @contextlib.contextmanager
    def with_indexer(self, name):
        """A server, and the processes that cost what it costs to create and index."""
        if self.options.backend == "cluster":
            port = free_port()
            command = [self.options.binary, "worker", "--host", "127.0.0.1", "--port", port]
            with self.server(name) as server, serving(command, port, environment=self.environment(name)) as worker:
                yield server, [server, worker]
            return
        port = free_port()
        command = [self.options.tools, "ceiling", "--port", port, "--file", f"{self.folder}/{name}.sqlite"]
        with serving(command, port) as server:
            yield server, [server]

    def luciq(self, database, *arguments):
        environment = os.environ | self.environment(database)
        return subprocess.check_output([self.options.binary, *arguments], text=True, env=environment)

    def statement(self, name, *statements):
        """What a MariaDB prints."""
        url = urllib.parse.urlsplit(self.environment(name)["DATABASE_URL"])
        command = ["mariadb", "--no-defaults", "--batch", f"--host={url.hostname}", f"--port={url.port}",
                   f"--user={url.username}", f"--password={url.password or ''}", url.path[1:]]
        return subprocess.check_output(command, input=";".join(statements), text=True)

    def space(self, name):
        """The bytes of the index on the disk, as a share of those of the messages."""
        if self.options.backend == "embedded":
            with sqlite3.connect(f"{self.folder}/{name}.sqlite") as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                whole = database.execute("PRAGMA page_count").fetchone()[0]
                database.execute("DROP TABLE search_blocks")
                free = database.execute("PRAGMA freelist_count").fetchone()[0]
            return free / (whole - free)
        sizes = self.statement(
            name, "ANALYZE TABLE messages, search_blocks",
            "SELECT CONCAT('size ', table_name, ' ', data_length + index_length) FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND table_name IN ('messages', 'search_blocks')")
        sizes = {line.split()[1]: int(line.split()[2]) for line in sizes.splitlines() if line.startswith("size ")}
        return sizes["search_blocks"] / sizes["messages"]

    def chat(self, messages):
        size = self.size(messages)
        name, token = self.fill(size, 1)
        say("indexing")
        self.luciq(name, "search", "rebuild")
        with self.server(name) as server:
            path = f"/applications/{token}/chats/1/messages/search?limit=100&q="
            cases = {}
            for case, query, count in QUERIES:
                cases[case] = lambda query=query, count=count: self.times(
                    lambda: json.loads(server.call("GET", path + urllib.parse.quote(query))),
                    None if count is None else count * size // 100_000)
                cases[f"{case}, Rails"] = lambda query=query: self.rails(name, query)
            runs = self.alternate(cases)
        for case, _, _ in QUERIES:
            p50 = median(runs[case], "p50_ms")
            most = MOST[self.options.backend].get(size, {})
            self.add(f"{case}, {size:,}", p50, "ms", most.get(case), runs=runs[case])
            faster = median_ratio(runs[f"{case}, Rails"], runs[case], "p50_ms")
            least = 15 if (case, size) == ("a rare word", 100_000) else None
            self.add(f"{case}, {size:,}, by Rails' statement", faster, "× this", at_least=least, runs=runs[f"{case}, Rails"])
        self.add(f"the index on the disk, {size:,}", self.space(name), "of the messages", at_most=0.8)

    def times(self, search, count=None):
        times = []
        for _ in range(self.options.searches):
            began = time.perf_counter()
            found = search()
            times.append((time.perf_counter() - began) * 1000)
            if count is not None and len(found) != min(count, 100):
                fail(f"a search found {len(found)} messages instead of {count}")
        return {"p50_ms": statistics.median(times), "slowest_ms": max(times)}

    def rails(self, name, query, everywhere=False):
        """The statement of the Rails application, by itself: without HTTP or Ruby. It has none for all chats; this is what it
        would be."""
        statement = f"SELECT * FROM messages WHERE chat_id = 1 AND body LIKE '%{query}%' ORDER BY number LIMIT 100"
        if everywhere:
            statement = ("SELECT messages.* FROM messages JOIN chats ON chats.id = messages.chat_id "
                         f"WHERE chats.application_id = 1 AND body LIKE '%{query}%' ORDER BY messages.created_at DESC LIMIT 100")
        if self.options.backend == "embedded":
            with sqlite3.connect(f"{self.folder}/{name}.sqlite") as database:
                return self.times(lambda: database.execute(statement).fetchall())
        repeated = [statement] * min(self.options.searches, 10)
        output = self.statement(name, "SET profiling = 1", *repeated, "SHOW PROFILES")
        times = [float(line.split("\t")[1]) * 1000 for line in output.splitlines() if "LIKE" in line and line[0].isdigit()]
        return {"p50_ms": statistics.median(times), "slowest_ms": max(times)}

    def tail(self):
        """A chat of which the newest tenth is in no block."""
        size = self.size(100_000)
        name, token = self.fill(size, 1, "tail")
        self.luciq(name, "search", "rebuild")
        with self.without_indexer(name) as server:
            load = self.load("POST", [f"/applications/{token}/chats/1/messages"], BODY)
            while (count := self.count(server, token) - size) < size // 10:
                self.wrk(load, server.port, 1)
            path = f"/applications/{token}/chats/1/messages/search?limit=100&q="
            cases = {
                case: lambda query=query: self.times(lambda: self.answer(server, path + urllib.parse.quote(query)))
                for case, query, _ in QUERIES}
            runs = self.alternate(cases)
        for case in runs:
            self.add(f"{case}, {size:,} and {count:,} not indexed", median(runs[case], "p50_ms"), "ms", runs=runs[case])

    @staticmethod
    def count(server, token):
        return json.loads(server.call("GET", f"/applications/{token}/chats/1/message_count"))["messages_count"]

    def application(self):
        size = self.size(1_000_000)
        self.everywhere(size, size // 100, MOST[self.options.backend]["application"] if size == 1_000_000 else None)

    def small(self):
        """Most of these chats have too few messages for a block."""
        size = self.size(1_000_000)
        self.everywhere(size, size // 10)

    def everywhere(self, size, chats, most=None):
        name, token = self.fill(size, chats, f"everywhere_{chats}")
        say("indexing")
        self.luciq(name, "search", "rebuild")
        with self.server(name) as server:
            path = f"/applications/{token}/messages/search?limit=100&q="
            cases = {}
            for case, query, _ in QUERIES:
                cases[case] = lambda query=query: self.times(lambda: self.answer(server, path + urllib.parse.quote(query)))
                cases[f"{case}, Rails"] = lambda query=query: self.rails(name, query, everywhere=True)
            runs = self.alternate(cases)
        for case, _, _ in QUERIES:
            target = most if case in ("a rare word", "absent") else None
            self.add(f"{case}, across {size:,} in {chats:,} chats", median(runs[case], "p50_ms"), "ms", target, runs=runs[case])
            faster = median_ratio(runs[f"{case}, Rails"], runs[case], "p50_ms")
            self.add(f"{case}, across {size:,} in {chats:,} chats, by a statement with LIKE", faster, "× this",
                     runs=runs[f"{case}, Rails"])

    @staticmethod
    def answer(server, path):
        """A page, or the refusal of a search that takes too long."""
        status, text = server.request("GET", path)
        return json.loads(text) if status in (200, 503) else fail(f"GET {path} was answered {status}: {text}")

    def indexing(self):
        """Creates with a process that indexes them, and without: their rate, and the processor time until all are indexed."""
        runs, created = {}, {}
        with contextlib.ExitStack() as stack:
            for case in ("creates, indexed", "creates, not indexed"):
                if case == "creates, indexed":
                    server, processes = stack.enter_context(self.with_indexer("indexed"))
                else:
                    server = stack.enter_context(self.without_indexer("not_indexed"))
                    processes = [server]
                load = self.load("POST", server.create_chats(CHATS)[1], BODY)
                created[case] = lambda server=server, load=load, processes=processes: self.settled(server, load, processes)
            runs = self.alternate(created, turns=True)
        plain, indexed = runs["creates, not indexed"], runs["creates, indexed"]
        self.add("creates, not indexed", runs=plain)
        self.add("creates, indexed", median_ratio(indexed, plain), "of those that are not", at_least=0.95, runs=indexed)
        self.add("creates, indexed, processor time", median_ratio(indexed, plain, "processor_us"), "of that without")

    def settled(self, server, load, processes):
        before = sum(processor_seconds(process.pid) for process in processes)
        run = self.wrk(load, server.port, self.options.seconds)
        indexed = None
        while indexed != (indexed := processes[-1].metric("luciq_search_indexed_messages_total")):
            time.sleep(5)  # Longer than the pause between two looks for what is new.
        used = sum(processor_seconds(process.pid) for process in processes) - before
        run["processor_us"] = used * 1e6 / run["requests"]
        return run

    def fairness(self):
        """Creates of one application, alone and beside searches of another that never end."""
        size = self.size(100_000)
        name, chat = self.fill(size, 1, "fairness")
        _, many = self.fill(size, max(1, size // 100), "fairness")
        self.luciq(name, "search", "rebuild")
        absent = urllib.parse.quote("the then sleeps")
        searches = {
            f"beside {SEARCHERS} searches in a chat of {size:,}": f"/applications/{chat}/chats/1/messages/search?q={absent}",
            f"beside {SEARCHERS} searches in {size // 100:,} chats": f"/applications/{many}/messages/search?q={absent}",
        }
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self.server(name))
            _, chats = server.create_chats(CHATS)
            load = self.load("POST", chats, BODY)
            alone = "creates alone"
            cases = {alone: lambda: self.creates(server, load)}
            for case, path in searches.items():
                cases[case] = lambda path=path: self.creates(server, load, path)
            if self.options.backend == "cluster":
                other = stack.enter_context(self.server(name))
                for case, path in list(searches.items()):
                    searches[case := f"{case}, on another server"] = path
                    cases[case] = lambda path=path: self.creates(server, load, path, other)
            runs = self.alternate(cases, turns=True)
        self.add(alone, runs=runs[alone])
        for case in searches:
            self.add(case, median_ratio(runs[case], runs[alone]), "of those alone", at_least=0.9, runs=runs[case])

    def creates(self, server, load, search=None, searched=None):
        searched = searched or server
        with self.searching(searched, search) if search else contextlib.nullcontext():
            before, answered = processor_seconds(server.pid), self.answered(searched)
            run = self.wrk(load, server.port, self.options.seconds)
            run["processor_us"] = (processor_seconds(server.pid) - before) * 1e6 / run["requests"]
            run["searches"] = (self.answered(searched) - answered) / self.options.seconds
        return run

    @staticmethod
    def answered(server):
        return server.metric(r'luciq_store_read_seconds_count{operation="search"}')

    @contextlib.contextmanager
    def searching(self, server, path):
        """Sends a search over and over while the block runs, over some connections."""
        (self.folder / "search").write_text(path + "\n")
        with running([self.options.tools, "load", "--port", server.port, "--targets", self.folder / "search",
                      "--connections", SEARCHERS, "--seconds", 600]):
            time.sleep(0.5)
            yield

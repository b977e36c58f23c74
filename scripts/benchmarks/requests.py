import json
import random
import statistics
import time

from benchmarks.measuring import BODY, CHATS, TEXT, Measuring, median, median_ratio
from benchmarks.programs import fail, free_port, memory_of, nginx, resident_mb, say, serving

SMALL = 1_000
PAGE = SMALL // CHATS  # Messages of a chat in the small database; pages of the large one must not be longer.
# The target of each case: a share of the no-op request, of 100 chats, or requests per second.
LEAST = {
    "embedded": {
        "create a message, 100 chats": 0.6, "create a message, one chat": 0.9, "create a chat": 0.5,
        "get a message": 0.7, "list 100 messages": 3000,
    },
    "cluster": {
        "create a message, 100 chats": 0.4, "create a message, one chat": 0.85, "get a message": 0.3,
        "list 100 messages": 1500,
    },
}


class Requests(Measuring):
    """Requests, with wrk, next to two ceilings: no-op routes of the same server, and nginx."""

    SECTIONS = ("rates", "flat", "memory")
    COLUMNS = [
        ("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("errors", "errors", 0),
        ("of_noop", "of no-op", 2), ("of_nginx", "of nginx", 2)]
    SECONDS = 5

    @classmethod
    def sections(cls, backend):
        return ["rates", "flat"] if backend == "cluster" else list(cls.SECTIONS)

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--large", type=int, default=5_000_000, help="messages in the large database (%(default)s)")
        parser.add_argument("--soak", type=int, default=300, help="seconds of full load for the memory (%(default)s)")

    def ceiling(self):
        """The same server with no-op routes."""
        port = free_port()
        return serving([self.options.tools, "ceiling", "--port", port, "--file", self.folder / "ceiling.sqlite"], port)

    def constant(self):
        """nginx, which answers every request like a create."""
        return nginx(self.folder, json.dumps({"message_number": 1, "body": TEXT, "created_at": "2026-11-22T16:57:44.194Z"}))

    @staticmethod
    def cases(server):
        """Creates chats and messages on the server. Returns the cases: name, method, paths, body."""
        _, chats = server.create_chats(CHATS)
        for _ in range(1000):
            server.call("POST", chats[0], {"body": TEXT})
        return [
            ("create a message, 100 chats", "POST", chats, BODY),
            ("create a message, one chat", "POST", chats[1:2], BODY),
            ("create a chat", "POST", [chats[0].removesuffix("/1/messages")], "{}"),
            ("get a message", "GET", [f"{chats[0]}/{number}" for number in range(1, 1001)], None),
            ("list 100 messages", "GET", chats[:1], None),
        ]

    def noops(self):
        """wrk's scripts for the no-op routes by method: the same requests except for the first word of the path."""
        paths = [f"/noop/{'0' * 24}/chats/{number}/messages" for number in range(1, CHATS + 1)]
        return {"POST": self.load("POST", paths, BODY), "GET": self.load("GET", [f"{paths[0]}/1"])}

    def rates(self):
        with self.server("rates") as server, self.ceiling() as ceiling, self.constant() as constant:
            cases, noops = self.cases(server), self.noops()
            loads = [(f"nginx, {method}", noop, constant.port) for method, noop in noops.items()]
            for name, method, paths, body in cases:
                # Right before each case, so that both see the machine in the same state.
                loads.append((f"no-op before: {name}", noops[method], ceiling.port))
                loads.append((name, self.load(method, paths, body), server.port))
            runs = self.alternate_loads(loads)

        for method in noops:
            befores = [runs[f"no-op before: {case[0]}"] for case in cases if case[1] == method]
            self.add(f"nginx, {method}", runs=runs[f"nginx, {method}"])
            of_nginx = median_ratio(befores[0], runs[f"nginx, {method}"])
            self.add(f"no-op {method}", runs=sum(befores, []), of_nginx=of_nginx)
        for name, method, _, _ in cases:
            least = LEAST[self.options.backend].get(name)
            mine, before = runs[name], runs[f"no-op before: {name}"]
            measured, unit = median_ratio(mine, before), f"of no-op {method}"
            more = {"of_noop": measured, "of_nginx": median_ratio(mine, runs[f"nginx, {method}"])}
            if name == "create a message, one chat":
                measured, unit = median_ratio(mine, runs["create a message, 100 chats"]), "of 100 chats"
            elif least and least > 1:
                measured, unit = median(mine, "rate"), "/s"
            self.add(name, measured, unit, at_least=least, runs=mine, **more)
        if self.options.backend == "cluster":
            p99 = median(runs["create a message, 100 chats"], "p99_ms")
            self.add("slowest 1 % of these creates, 100 chats", p99, "ms", 40)
            self.inserts()

    def inserts(self):
        """Measures the database server by itself."""
        for name, rows, connections in (("single-row INSERTs, 64 connections", 1, 64), ("100-row INSERTs, one connection", 100, 1)):
            say(name)
            flags = "--seconds", self.options.seconds, "--rows", rows, "--connections", connections
            rates = [float(self.tool("rates", "inserts", *flags)) for _ in range(self.options.rounds)]
            self.add(f"{name}, by themselves", statistics.median(rates), "rows/s", all=rates)

    def flat(self):
        sizes = SMALL, self.options.large
        files = {size: self.fill(size, CHATS) for size in sizes}
        starts = {size: [] for size in sizes}
        for _ in range(5):
            for size in sizes:
                with self.server(files[size][0]) as server:
                    starts[size].append(server.ready_ms)
        for size in sizes:
            self.add(f"start to ready, {size:,}", statistics.median(starts[size]), "ms", 150, all=starts[size])

        with self.server(files[SMALL][0]) as small, self.server(files[sizes[1]][0]) as large:
            # Creating comes last, because it makes the small database larger.
            for case in ("get a message", "first page", "deepest page", "create a message"):
                (few_name, few), (many_name, many) = self.alternate_loads([
                    (f"{case}, {size:,}", self.flat_load(case, files[size][1], size // CHATS), server.port)
                    for size, server in zip(sizes, (small, large))
                ]).items()
                self.add(few_name, runs=few)
                self.add(many_name, median_ratio(few, many), f"× the cost at {SMALL:,}", at_most=1.2, runs=many)

    def flat_load(self, case, token, count):
        """Requests spread over a database with that many messages in each chat."""
        chance = random.Random(1)
        lists = [f"/applications/{token}/chats/{chance.randint(1, CHATS)}/messages" for _ in range(10_000)]
        if case == "create a message":
            return self.load("POST", lists, BODY)
        page = {"first page": f"?limit={PAGE}", "deepest page": f"?limit={PAGE}&after={count - PAGE}"}.get(case)
        return self.load("GET", [path + (page or f"/{chance.randint(1, count)}") for path in lists])

    def memory(self):
        seconds, wanted = self.options.soak, 100_000
        with self.server("soak") as server:
            time.sleep(2)
            self.add("idle", resident_mb(server.pid), "MB", 40)
            load = self.load("POST", server.create_chats(CHATS)[1], BODY)
            say(f"creating messages for {seconds} s")
            with memory_of(server.pid) as mb:
                run = self.wrk(load, server.port, seconds)
            self.add(f"creating for {seconds} s, highest", max(mb), "MB", 120, runs=[run], samples=mb)

        # With room for one write, nearly every request of many connections is refused.
        refusals = r'luciq_http_request_duration_seconds_count\{.*status="503".*\}'
        with self.server("refuse", "--max-pending", "1") as server, memory_of(server.pid) as mb:
            load = self.load("POST", server.create_chats(1)[1], BODY)
            until = time.monotonic() + 300
            while (refused := server.metric(refusals)) < wanted:
                if time.monotonic() > until:
                    fail(f"only {refused:,} requests were refused in 300 s")
                self.wrk(load, server.port, 2)
        self.add(f"{refused:,} refused, highest", max(mb), "MB", 120, samples=mb)

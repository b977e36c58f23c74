import contextlib
import json
import socket
import statistics
import time

from benchmarks.builds import build_of
from benchmarks.measuring import BODY, CHATS, TEXT, median
from benchmarks.programs import BACKENDS, NATS, NGINX, allow_files, fail, memory_of, nats, processor_seconds, resident_mb
from benchmarks.publishing import tables
from benchmarks.requests import Requests

CREATE, ONE_CHAT = "create a message, 100 chats", "create a message, one chat"
GET, LIST = "get a message", "list 100 messages"
RATE = 5_000  # Creates a second that both builds can sustain.


def shares(these, those, key="rate"):
    """The ratio of two runs in each round."""
    return [{"share": this[key] / that[key], "errors": this["errors"] + that["errors"]} for this, that in zip(these, those)]


class Against(Requests):
    """Compares this build with the build of another revision, and with NATS, nginx and a no-op.

    Both builds get the same load in turns; every other round runs in reverse order. A ratio is this build's figure divided
    by the other's in the same round. The other build stays in .build/against. At a fixed rate `luciq-bench load` sends the
    requests, and latency counts from a request's due time.
    """

    SECTIONS = ("rates", "cluster", "latency", "curve", "idle", "readers", "memory")
    COLUMNS = [
        ("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("processor_us", "µs of processor", 1),
        ("kb", "KB", 1), ("mb", "MB", 1), ("generator", "of a core for the generator", 2), ("unsent", "unsent", 0),
        ("errors", "errors", 0)]
    BESIDE = [("wrk", "--version"), (NGINX, "-v"), (NATS, "--version")]
    ROUNDS = 5

    @classmethod
    def sections(cls, backend):
        return list(cls.SECTIONS)

    @staticmethod
    def add_arguments(parser):
        offered = "1000,2000,4000,6000,8000,10000,12500,15000,17500,20000,25000,30000,35000,40000,50000"
        parser.add_argument("revision", help="a Git revision, or the path of an executable")
        parser.add_argument("--offered", default=offered, type=lambda text: list(map(int, text.split(","))),
                            help="creates a second of the curve (%(default)s)")
        parser.add_argument("--idle", type=int, default=10_000, help="idle connections (%(default)s)")
        parser.add_argument("--soak", type=int, default=30, help="seconds of full load for the memory (%(default)s)")

    @staticmethod
    def prepare(options):
        if not NATS.exists():
            fail(f"there is no {NATS}; scripts/setup bench installs it")
        options.other, options.other_binary = build_of(options.revision)

    @classmethod
    def tables(cls, rows):
        return tables(rows)

    # --- Both builds

    @contextlib.contextmanager
    def both(self, name):
        """Runs the servers of both builds, each with its own database."""
        with self.server(f"{name}_other", binary=self.options.other_binary) as other, self.server(f"{name}_this") as this:
            yield {self.options.other: other, "this build": this}

    def turns(self, cases, rounds=None):
        """Runs the cases, named (case, build). Returns the runs by case and build."""
        runs = self.alternate({f"{case}: {whose}": run for (case, whose), run in cases.items()}, rounds, turns=True)
        found = {}
        for case, whose in cases:
            found.setdefault(case, {})[whose] = runs[f"{case}: {whose}"]
        return found

    def compare(self, case, runs, key, unit="", digits=0, of="ratio", at_least=None, at_most=None):
        """Adds a row: the medians of both builds and of the rounds' ratios. The target applies to `of`: ratio or this."""
        other, this = runs[self.options.other], runs["this build"]
        ratios = [mine[key] / its[key] for mine, its in zip(this, other)]
        row = dict(
            kind="comparison", case=case, unit=unit, digits=digits, other=median(other, key), this=median(this, key),
            ratio=statistics.median(ratios), ratios=ratios, of=of, at_least=at_least, at_most=at_most,
            errors=sum(run.get("errors", 0) for run in (*other, *this)), rounds=runs)
        if at_least or at_most:
            # Rounded as in the table.
            measured = round(row[of], 2 if of == "ratio" else digits)
            is_met = measured >= at_least if at_least else measured <= at_most
            is_sustained = not any(run.get("unsent") or run.get("unanswered") for run in this)
            row["met"] = is_met and is_sustained and not row["errors"]
        self.rows.append(row)

    def peer(self, name, runs, beside):
        row = {key: median(runs, key) for key, _, _ in self.COLUMNS if key in runs[0] and key != "errors"}
        row |= dict(kind="peer", case=name, errors=sum(run["errors"] for run in runs), rounds=runs)
        if runs is not beside:
            row["of_nginx"] = median(shares(runs, beside), "share")
        self.rows.append(row)

    # --- Runs

    def asked(self, load, server):
        """Runs wrk; adds the server's processor time a request."""
        used = processor_seconds(server.pid)
        run = self.wrk(load, server.port, self.options.seconds)
        return run | {"processor_us": (processor_seconds(server.pid) - used) / max(1, run["requests"]) * 1e6}

    def generated(self, server, targets, body, rate=None, dialect="http"):
        """Runs `luciq-bench load`."""
        file = self.folder / f"targets-{dialect}-{server.port}"
        file.write_text("".join(target + "\n" for target in targets))
        used = processor_seconds(server.pid)
        flags = ["--dialect", dialect, "--port", server.port, "--targets", file, "--body", body]
        flags += ["--seconds", self.options.seconds, *(["--rate", rate] if rate else [])]
        line = json.loads(self.tool("generated", "load", *flags))
        run = line["report"]
        run |= run.pop("latency", None) or fail(f"no answer came from port {server.port}")
        run["late_p99_ms"] = (run.pop("late", None) or {}).get("p99_ms")
        seconds = self.options.seconds + 1  # With the second of warm-up.
        run["processor_us"] = (processor_seconds(server.pid) - used) / max(1, run["rate"] * seconds) * 1e6
        return run | {"generator": line["processor_seconds"] / seconds}

    def published(self, server, rate=None):
        return self.generated(server, [f"bench.{number}" for number in range(1, CHATS + 1)], TEXT, rate, "nats")

    # --- Sections

    def rates(self):
        with (
            self.both("rates") as builds, self.ceiling() as ceiling, self.constant() as constant,
            nats(self.folder, "always") as durable, nats(self.folder, "2m") as fast,
        ):
            own, noops = {whose: self.cases(server) for whose, server in builds.items()}, self.noops()
            cases = {
                ("POST", "nginx"): lambda: self.asked(noops["POST"], constant),
                # Shows how much the generator itself can send.
                ("POST", "nginx, asked by luciq-bench load"): lambda: self.generated(constant, ["/"], BODY),
                ("POST", "no-op"): lambda: self.asked(noops["POST"], ceiling),
                ("POST", "NATS JetStream, durable"): lambda: self.published(durable),
                ("POST", "NATS JetStream, not durable"): lambda: self.published(fast),
            }
            cases |= self.asked_cases(builds, own, (CREATE, ONE_CHAT))
            cases["GET", "nginx"] = lambda: self.asked(noops["GET"], constant)
            cases["GET", "no-op"] = lambda: self.asked(noops["GET"], ceiling)
            cases |= self.asked_cases(builds, own, (GET, LIST))
            runs = self.turns(cases)

        def of(case, peer):
            return {whose: shares(some, peer) for whose, some in runs[case].items()}

        post, get = runs["POST"], runs["GET"]
        self.compare(CREATE, runs[CREATE], "rate", "/s", at_least=1.7)
        self.compare("… of nginx", of(CREATE, post["nginx"]), "share", digits=2, of="this", at_least=0.25)
        durable = of(CREATE, post["NATS JetStream, durable"])
        self.compare("… of NATS JetStream, durable", durable, "share", "×", 1, of="this", at_least=5)
        self.compare("… processor time of luciq a create", runs[CREATE], "processor_us", "µs", at_most=0.55)
        self.compare(ONE_CHAT, runs[ONE_CHAT], "rate", "/s", at_least=1.6)
        self.compare(GET, runs[GET], "rate", "/s", at_least=1.8)
        self.compare("… of nginx", of(GET, get["nginx"]), "share", digits=2, of="this", at_least=0.5)
        self.compare(LIST, runs[LIST], "rate", "/s", at_least=1.3)
        for method, some in ("POST", post), ("GET", get):
            for name, peer in some.items():
                self.peer(f"{name}, {method}" if name in ("nginx", "no-op") else name, peer, some["nginx"])

    def asked_cases(self, builds, own, names):
        cases = {}
        for name in names:
            for whose, server in builds.items():
                _, method, paths, body = next(case for case in own[whose] if case[0] == name)
                cases[name, whose] = lambda load=self.load(method, paths, body), server=server: self.asked(load, server)
        return cases

    def cluster(self):
        with BACKENDS["cluster"](self.options, self.folder) as self.environment, self.both("rates") as builds:
            own = {whose: self.cases(server) for whose, server in builds.items()}
            runs = self.turns(self.asked_cases(builds, own, (CREATE, GET)))
        self.compare(f"cluster: {CREATE}", runs[CREATE], "rate", "/s", at_least=1.3)
        self.compare("… processor time of luciq a create", runs[CREATE], "processor_us", "µs")
        self.compare(f"cluster: {GET}", runs[GET], "rate", "/s", at_least=1.5)

    def latency(self):
        with self.both("latency") as builds:
            cases = {}
            for whose, server in builds.items():
                _, paths = server.create_chats(CHATS)
                cases["create", whose] = lambda server=server, paths=paths: self.generated(server, paths, BODY, RATE)
            runs = self.turns(cases)["create"]
        self.compare(f"p99 of a create at {RATE:,}/s", runs, "p99_ms", "ms", 2, at_most=0.7)
        self.compare("… p50", runs, "p50_ms", "ms", 2)
        self.compare("… p99.9", runs, "p999_ms", "ms", 2)

    def curve(self):
        """Raises the rate until each series no longer sustains it."""
        with self.both("curve") as builds, nats(self.folder, "always") as durable:
            sent = {"NATS JetStream, durable": lambda rate: self.published(durable, rate)}
            for whose, server in builds.items():
                _, paths = server.create_chats(CHATS)
                sent[whose] = lambda rate, server=server, paths=paths: self.generated(server, paths, BODY, rate)
            for rate in self.options.offered:
                cases = {(f"{rate:,}/s", whose): lambda run=run: run(rate) for whose, run in sent.items()}
                for whose, runs in self.turns(cases, min(3, self.options.rounds)).get(f"{rate:,}/s", {}).items():
                    figures = {key: median(runs, key) for key in ("rate", "p50_ms", "p99_ms", "p999_ms")}
                    lost = {key: sum(run[key] for run in runs) for key in ("unsent", "unanswered", "errors")}
                    self.rows.append(dict(kind="curve", series=whose, offered=rate, **figures, **lost, rounds=runs))
                    if figures["rate"] < 0.9 * rate:
                        del sent[whose]

    def idle(self):
        count = self.options.idle
        most = count * 3 // 2 + 200  # One address may have only a share of all connections.
        allow_files(most + 1000)

        def run(database, binary):
            flags = "--max-connections", most, "--idle-timeout", 600
            with self.server(database, *flags, binary=binary) as server:
                _, paths = server.create_chats(1)
                server.call("POST", paths[0], {"body": TEXT})
                with kept_alive(server.port, paths[0] + "/1", 100):
                    pass  # The first connections cost more than later ones.
                time.sleep(1)
                before = resident_mb(server.pid)
                with kept_alive(server.port, paths[0] + "/1", count):
                    time.sleep(1)
                    after = resident_mb(server.pid)
            return {"kb": (after - before) * 1024 / count, "before_mb": before, "after_mb": after}

        runs = self.turns(self.afresh("idle", run))["idle"]
        self.compare("an idle keep-alive connection", runs, "kb", "KB", 1, of="this", at_most=10)

    def afresh(self, case, run):
        """Cases that start a new server on an empty database in each round."""
        numbers = iter(range(1_000_000))
        binaries = {self.options.other: self.options.other_binary, "this build": self.options.binary}
        return {(case, whose): lambda binary=binary: run(f"{case}_{next(numbers)}", binary)
                for whose, binary in binaries.items()}

    def readers(self):
        """Creates without readers and with one reader a chat."""
        with self.both("readers") as builds:
            cases = {}
            for whose, server in builds.items():
                token, paths = server.create_chats(CHATS)
                load = self.load("POST", paths, BODY)

                def beside(token=token, load=load, server=server):
                    with self.reading(server, token, "sse", chats=CHATS) as readers:
                        run = self.asked(load, server)
                        time.sleep(1)
                        seen = readers.end()
                    errors = run["errors"] + seen["out_of_order"] + sum(seen["closed"].values())
                    return run | {"readers": seen, "errors": errors}

                cases["none", whose] = lambda load=load, server=server: self.asked(load, server)
                cases["one a chat", whose] = beside
            runs = self.turns(cases)
        ratios = {whose: shares(some, runs["none"][whose]) for whose, some in runs["one a chat"].items()}
        case = "creates with one reader a chat, of those with none"
        self.compare(case, ratios, "share", digits=2, of="this", at_least=0.85)

    def memory(self):
        def run(database, binary):
            with self.server(database, binary=binary) as server:
                time.sleep(2)
                idle = resident_mb(server.pid)
                load = self.load("POST", server.create_chats(CHATS)[1], BODY)
                with memory_of(server.pid) as mb:
                    loaded = self.wrk(load, server.port, self.options.soak)
            return loaded | {"idle_mb": idle, "mb": max(mb)}

        runs = self.turns(self.afresh("memory", run))["memory"]
        self.compare("resident memory, idle", runs, "idle_mb", "MB", at_most=1)
        self.compare("… highest while creating", runs, "mb", "MB", at_most=1)


@contextlib.contextmanager
def kept_alive(port, path, count):
    """Holds connections open, idle after one answer each."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                fail(f"connection refused: {path}")
        yield

import time

from benchmarks.measuring import BODY, CHATS, TEXT, Measuring, median, median_ratio
from benchmarks.programs import Stolen, allow_files, memory_of, resident_mb, say

KINDS = {"sse": "SSE", "websocket": "WebSocket"}
RATE = 1_000


class Streams(Measuring):
    """Live streams: how soon messages arrive, what connections cost, what readers cost writers.

    The load generator (`luciq-bench streams`, and wrk for creates) runs on the same processors. Latency runs from
    the moment a message was due to be sent, by a writer that waits for no answer, to the moment a reader has it. That is
    more than the time since the commit, because it includes the request and the commit. The part after the writer's
    answer is shown beside it: a lower bound of what readers add.
    """

    SECTIONS = ("latency", "idle", "creates", "away", "stalled")
    COLUMNS = [
        ("rate", "messages/s", 0), ("p50_ms", "p50 ms", 1), ("p99_ms", "p99 ms", 1),
        ("after_answer_ms", "p99 after the answer", 1), ("answer_ms", "p99 of answers", 1), ("errors", "errors", 0),
        ("stolen", "stolen %", 0)]
    LOAD = f"{len(TEXT)}-byte messages"
    SECONDS = 10

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--idle", type=int, default=10_000, help="idle connections (%(default)s)")
        parser.add_argument("--away", type=int, default=1_000_000, help="messages that a reader was away for (%(default)s)")

    def server(self, database, *flags):
        return super().server(database, "--max-connections", "20000", *flags)

    def paced(self, server, token, kind, **flags):
        """A run of a writer and readers; every message has to arrive once and in order."""
        with self.reading(server, token, kind, rate=RATE, seconds=self.options.seconds, **flags) as readers:
            with Stolen() as stolen:
                result = readers.line()
            if flags.get("stalled"):
                result["closed_after"] = self.seconds_until_subscriptions(server, flags["chats"] * flags["readers"])
                result["closed"] = readers.end()["closed"]
        delivery = result["send_to_delivery"]
        result["missing"] = result["written"] * flags["readers"] - result["received"]
        return result | {
            "rate": result["received"] / (self.options.seconds + 2), "p50_ms": delivery["p50_ms"], "p99_ms": delivery["p99_ms"],
            "after_answer_ms": result["answer_to_delivery"]["p99_ms"], "answer_ms": result["send_to_answer"]["p99_ms"],
            "errors": abs(result["missing"]) + result["out_of_order"] + result["refused"], "stolen": stolen.percent}

    @staticmethod
    def seconds_until_subscriptions(server, count):
        """How long it takes until the server has no more subscriptions than that; 9999 if it takes more than a minute."""
        began = time.monotonic()
        while time.monotonic() < began + 60:
            if server.metric("luciq_stream_subscriptions") <= count:
                return time.monotonic() - began
            time.sleep(0.2)
        return 9999

    def latency(self):
        with self.server("streams") as server:
            token, _ = server.create_chats(10)
            cases = {}
            for kind, name in KINDS.items():
                for chats, readers in ((10, 10), (1, 100)):
                    case = f"{RATE:,} messages/s, {chats * readers} readers in {chats} chat{'s' * (chats > 1)}, {name}"
                    flags = {"kind": kind, "chats": chats, "readers": readers}
                    cases[case] = lambda flags=flags: self.paced(server, token, **flags)
            runs = self.alternate(cases)
        for case, some in runs.items():
            self.add(case, median(some, "p99_ms"), "ms", at_most=10, runs=some)

    def idle(self):
        chats, count = 100, self.options.idle
        allow_files(count + 1000)
        for kind, name in KINDS.items():
            with self.server(f"idle_{kind}") as server:
                token, paths = server.create_chats(chats)
                with self.reading(server, token, kind) as one:
                    one.end()
                time.sleep(1)
                before = resident_mb(server.pid)
                with self.reading(server, token, kind, chats=chats, readers=count // chats) as readers:
                    time.sleep(3)
                    idle = resident_mb(server.pid)
                    for path in paths:
                        server.call("POST", path, {"body": TEXT})
                    time.sleep(3)
                    used = resident_mb(server.pid)
                    result = readers.end()
            kb = lambda mb: (mb - before) * 1024 / count
            is_right = result["received"] == count and not result["closed"]
            self.add(f"{count:,} idle {name} readers in {chats} chats", kb(idle), "KB each", 15, is_right=is_right,
                     before_mb=before, idle_mb=idle)
            self.add("the same, when each has had a message", kb(used), "KB each", used_mb=used)
            say(f"{name}: {before:.0f} MB, with {count:,} idle readers {idle:.0f} MB, with a message to each {used:.0f} MB")

    def creates(self):
        with self.server("streams") as server:
            token, paths = server.create_chats(CHATS)
            load = self.load("POST", paths, BODY)

            def without():
                with Stolen() as stolen:
                    run = self.wrk(load, server.port, self.options.seconds)
                return run | {"stolen": stolen.percent}

            def beside(kind):
                with self.reading(server, token, kind, chats=CHATS) as readers:
                    run = without()
                    time.sleep(1)
                    seen = readers.end()
                return run | {"readers": seen, "errors": run["errors"] + seen["out_of_order"] + sum(seen["closed"].values())}

            cases = {f"the same with one {name} reader a chat": lambda kind=kind: beside(kind) for kind, name in KINDS.items()}
            (first, alone), *others = self.alternate({f"create a message, {CHATS} chats": without} | cases).items()
        self.add(first, runs=alone)
        for case, some in others:
            self.add(case, median_ratio(some, alone), "of creates without", at_least=0.85, runs=some)

    def away(self):
        count = self.options.away
        database, token = self.fill(count, 1)
        for kind, name in KINDS.items():
            with self.server(database) as server:
                # The fixed cost of reading, whatever the amount.
                with self.reading(server, token, kind, after=0, until=count // 100) as first:
                    first.end()
                before = resident_mb(server.pid)
                with memory_of(server.pid) as mb, self.reading(server, token, kind, after=0, until=count) as reader:
                    result = reader.end()
            errors, rate = abs(count - result["received"]) + result["out_of_order"], result["received"] / result["seconds"]
            say(f"{name}: {rate:,.0f}/s, {errors} errors; {before:.0f} MB before, highest {max(mb):.0f} MB")
            self.add(f"{count:,} messages from a cursor, {name}", max(mb) - before, "MB more than after 1 % of them", 8,
                     rate=rate, errors=errors, before_mb=before, samples=mb)

    def stalled(self):
        readers, stalled = 10, 5
        for kind, name in KINDS.items():
            with self.server(f"stalled_{kind}") as server:
                token, _ = server.create_chats(1)
                flags = {"chats": 1, "readers": readers, "size": 1000}
                free, slowed = self.alternate({
                    f"{name}, {count} that do not read":
                        lambda count=count: self.paced(server, token, kind, stalled=count, **flags)
                    for count in (0, stalled)
                }).values()
            ratio = median_ratio(slowed, free, "p99_ms")
            self.add(f"{RATE:,} 1,000-byte messages/s, {readers} {name} readers", runs=free)
            self.add(f"the same with {stalled} more that do not read", ratio, "× the p99", at_most=1.25, runs=slowed)
            # No other reader was closed.
            is_right = all(
                sum(run["closed"].values()) == count for some, count in ((free, 0), (slowed, stalled)) for run in some)
            self.add("those are closed", max(run["closed_after"] for run in slowed), "s after the last message at most", 35,
                     is_right=is_right)

import contextlib
import json
import subprocess

from benchmarks.measuring import BODY, Measuring, median_ratio
from benchmarks.programs import running

OTHERS = 8  # Connections of the application that is not flooding.
FLOOD = "127.0.0.2"  # Linux has all of 127.0.0.0/8 on the loopback.


class Flood(Measuring):
    """Creates of one application, alone and beside clients that send as much as they can: of one application, of one
    address with many applications, past a limit, and with wrong keys."""

    SECTIONS = ("flood",)
    COLUMNS = [
        ("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("errors", "errors", 0),
        ("flooding", "of the flood/s", 0)]
    BESIDE = []
    LOAD = f"{OTHERS} connections beside others"
    SECONDS = 5

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--rate", type=int, default=500, help="creates a second of the others (%(default)s)")
        parser.add_argument("--connections", type=int, default=256, help="of the flood (%(default)s)")
        parser.add_argument("--applications", type=int, default=30, help="of the address with many (%(default)s)")

    def flood(self):
        with self.server("flood") as server:
            _, others = server.create_chats(100)
            _, heavy = server.create_chats(100)
            many = [server.create_chats(1)[1][0] for _ in range(self.options.applications)]
            token, limited = server.create_chats(1)
            limit = {"limits": {"application": {"create": {"per_minute": 60, "burst": 1}}}}
            server.call("PATCH", f"/applications/{token}", limit)
            floods = {
                "beside a flood of one application": (heavy, []),
                f"beside one address with {len(many)} applications": (many, []),
                "beside a flood past its limit (429)": (limited, []),
                "beside a flood with wrong keys (401, 429)": (limited, ["--key", "wrong"]),
            }
            (self.folder / "others").write_text("".join(path + "\n" for path in others))
            cases = {}
            for pace in (self.options.rate, None):
                name = f"at {pace} a second" if pace else "as fast as they are answered"
                cases[f"alone, {name}"] = lambda pace=pace: self.others(server, pace)
                for case, (paths, more) in floods.items():
                    cases[f"{case}, {name}"] = lambda pace=pace, paths=paths, more=more: self.others(
                        server, pace, paths, more)
            runs = self.alternate(cases)
        alone = None
        for case in cases:
            if case.startswith("alone"):
                alone = case
                self.add(case, runs=runs[case])
            else:
                least = 0.8 if "a second" in case else None
                self.add(case, median_ratio(runs[case], runs[alone]), "of those alone", at_least=least, runs=runs[case])

    def others(self, server, pace, paths=None, more=()):
        answered = r'luciq_http_request_duration_seconds_count\{[^}]*\}'
        with self.flooding(server, paths, more) if paths else contextlib.nullcontext():
            before = server.metric(answered)
            run = self.sent(server, self.folder / "others", OTHERS, self.options.seconds, "127.0.0.1",
                            ["--rate", pace] if pace else [])
            # One second of warm-up.
            all_answered = (server.metric(answered) - before) / (self.options.seconds + 1)
        run["flooding"] = max(0, all_answered - run["rate"])
        return run

    def command(self, server, targets, connections, seconds, address, more):
        return [self.options.tools, "load", "--port", server.port, "--targets", targets, "--body", BODY, "--connections",
                connections, "--seconds", seconds, "--from", address, *more]

    def sent(self, *load):
        report = json.loads(subprocess.check_output(list(map(str, self.command(*load))), text=True))["report"]
        latency = report["latency"] or {}
        return {"rate": report["rate"], "p50_ms": latency.get("p50_ms", 0), "p99_ms": latency.get("p99_ms", 0),
                "errors": report["errors"], "unsent": report["unsent"]}

    @contextlib.contextmanager
    def flooding(self, server, paths, more):
        (self.folder / "flood").write_text("".join(path + "\n" for path in paths))
        with running(self.command(server, self.folder / "flood", self.options.connections, 600, FLOOD, more)):
            yield

"""The shared part of the benchmarks: luciq's servers, wrk's load, readers of streams, rounds and rows."""

import contextlib
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from benchmarks.programs import BACKENDS, NGINX, fail, free_port, running, say, serving
from benchmarks.tables import markdown

CONNECTIONS = 64
TEXT = "The quick brown fox jumps over the lazy dog, then sleeps until the morning, and dreams of white hens"
BODY = json.dumps({"body": TEXT})
CHATS = 100
# All requests are built before the clock starts; then wrk only picks the next one. Those with an @ are built as they go,
# with a number in its place.
LUA = """
local requests, paths, at, count = {}, {}, 0, 0
function init()
    for line in io.lines(PATHS) do
        local path, credential = line:match("^(%S+) ?(.*)$")
        if credential ~= "" then HEADERS["Authorization"] = "Bearer " .. credential end
        requests[#requests + 1] = wrk.format(METHOD, path, HEADERS, BODY)
        paths[#requests] = path
    end
    -- Of each run its own: none repeats what another has sent.
    count = START
end
function request()
    at = at % #requests + 1
    if not UNIQUE then return requests[at] end
    count = count + 1
    return wrk.format(METHOD, (paths[at]:gsub("@", count)), HEADERS, BODY and (BODY:gsub("@", count)))
end
function done(all, latency, _)
    local e = all.errors
    local errors = e.status + e.connect + e.read + e.write + e.timeout
    print(string.format('RESULT {"requests":%d,"rate":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}', all.requests,
        all.requests / all.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors))
end
"""


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def median_ratio(these, those, key="rate"):
    return statistics.median(this[key] / that[key] for this, that in zip(these, those))


class Readers:
    """`luciq-bench streams`, which connects all its readers at the start."""

    def __init__(self, process):
        self.process = process

    def line(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else fail(f"failed: {' '.join(self.process.args)}")

    def end(self):
        """Returns what the readers saw. Ends readers that do not end by themselves."""
        self.process.stdin.close()
        return self.line()


class Measuring:
    SECTIONS = ()  # Methods.
    ROUNDS = 3
    COLUMNS = ()  # Figures of a row: key, heading, digits.
    BESIDE = [("wrk", "--version"), (NGINX, "-v")]
    LOAD = f"{CONNECTIONS} connections, {len(TEXT)}-byte messages"

    def __init__(self, options, environment, folder, rows):
        self.options, self.environment, self.folder, self.rows = options, environment, folder, rows

    @classmethod
    def sections(cls, backend):
        """The sections that are measured if none are named."""
        return list(cls.SECTIONS)

    @staticmethod
    def add_arguments(parser):
        """Options of its own."""

    @staticmethod
    def pace(options):
        """What a round is."""
        return f"{options.rounds} rounds of {options.seconds} s"

    @staticmethod
    def prepare(options):
        """Called once, before the first section."""

    @staticmethod
    def store(options, folder):
        """Starts what the databases need."""
        return BACKENDS[options.backend](options, folder)

    def add(self, case, measured=None, unit="", at_most=None, at_least=None, is_right=True, runs=(), **figures):
        """Adds a row: the figures of the runs, and the one figure that may have a target."""
        row = dict(case=case, measured=measured, unit=unit, at_most=at_most, at_least=at_least)
        if runs:
            row |= {key: median(runs, key) for key, _, _ in self.COLUMNS if key in runs[0]} | {"rounds": runs}
        if runs and "errors" in runs[0]:
            row["errors"] = sum(run["errors"] for run in runs)
        row |= figures
        if at_most or at_least or not is_right:
            is_met = measured <= at_most if at_most else measured >= at_least if at_least else True
            row["met"] = is_met and is_right and not row.get("errors")
        self.rows.append(row)

    @classmethod
    def tables(cls, rows):
        return markdown(cls.COLUMNS, rows)

    def server(self, database, *flags, binary=None):
        """The product's server, from this build or from the executable `binary`."""
        port, binary = free_port(), binary or self.options.binary
        command = [binary, "serve", "--host", "127.0.0.1", "--port", port, *flags]
        return serving(command, port, environment=self.environment(database, binary))

    @contextlib.contextmanager
    def reading(self, server, token, kind, **flags):
        """Runs readers of streams while the block runs, for 5 minutes at most."""
        command = [self.options.tools, "streams", "--port", server.port, "--application", token, "--stream", kind]
        command += [word for name, value in flags.items() for word in (f"--{name}", value)]
        with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None) as process:
            timer = threading.Timer(300, process.kill)
            timer.start()
            try:
                readers = Readers(process)
                readers.line()
                yield readers
            finally:
                timer.cancel()

    def tool(self, database, *arguments):
        """Returns what a command of luciq-bench prints."""
        command = [self.options.tools, *map(str, arguments)]
        return subprocess.check_output(command, text=True, env=os.environ | self.environment(database)).strip()

    def fill(self, messages, chats, name=None):
        """Creates an application in a database; returns the database's name and the application's token."""
        say(f"filling a database with {messages:,} messages in {chats} chats")
        name = name or f"filled_{messages}"
        return name, self.tool(name, "fill", "--messages", messages, "--chats", chats)

    def load(self, method, paths, body=None, credentials=(None,)):
        """Writes wrk's script for one kind of request, which uses the paths in turn, and the credentials, if any."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        lines = (f"{path} {credential or ''}".strip() for path, credential in zip(paths, itertools.cycle(credentials)))
        (folder / "paths").write_text("".join(line + "\n" for line in lines))
        # A JSON string of ASCII is a Lua string.
        body, headers = (json.dumps(body), '{["Content-Type"]="application/json"}') if body else ("nil", "{}")
        unique = "true" if "@" in body or any("@" in path for path in paths) else "false"
        variables = f'local PATHS, METHOD, BODY, HEADERS = "{folder}/paths", "{method}", {body}, {headers}\n'
        variables += f'local UNIQUE, START = {unique}, tonumber(os.getenv("START"))\n'
        (folder / "load.lua").write_text(variables + LUA)
        return folder / "load.lua"

    @staticmethod
    def wrk(load, port, seconds, connections=CONNECTIONS):
        """Returns requests per second, latencies, and the number of errors and missing answers."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", load]
        output = subprocess.run(
            command + [f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"START": str(time.monotonic_ns() // 1000)}).stdout
        return json.loads(output.partition("RESULT")[2] or fail("wrk failed"))

    def alternate(self, cases, rounds=None, turns=False):
        """Runs each of the cases (by name, functions that return a run) in turn, round after round; returns their runs.
        With `turns` every other round runs in reverse order, so that no case always follows the same one."""
        runs = {name: [] for name in cases}
        for number in range(1, (rounds or self.options.rounds) + 1):
            for name, run in reversed(cases.items()) if turns and number % 2 == 0 else cases.items():
                runs[name].append(run())
                last = runs[name][-1]
                figures = (f"{heading} {last[key]:,.{digits}f}" for key, heading, digits in self.COLUMNS if key in last)
                say(f"round {number}: {name}: {', '.join(figures)}")
        return runs

    def alternate_loads(self, loads):
        """The same with wrk, by (name, load, port)."""
        cases = {}
        for name, load, port in loads:
            cases[name] = lambda load=load, port=port: self.wrk(load, port, self.options.seconds)
        return self.alternate(cases)

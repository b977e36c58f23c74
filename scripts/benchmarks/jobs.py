import contextlib
import json
import socket
import time

from benchmarks.measuring import Measuring, median_ratio
from benchmarks.programs import fail, free_port, memory_of, processor_seconds, running, wait_until

RUBY = """
class BenchJob
  include Sidekiq::Worker
  def perform(*) = nil
end
"""


class Redis:
    """One connection to a server."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def ask(self, *arguments):
        parts = [str(argument).encode() for argument in arguments]
        strings = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.socket.sendall(b"*%d\r\n%s" % (len(parts), strings))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return int(rest) if kind == b":" else fail(f"Redis: {rest.decode()}") if kind == b"-" else rest

    def enqueue(self, *arguments_of_each):
        now = time.time()
        self.ask("LPUSH", "queue:default", *(json.dumps({
            "class": "BenchJob", "args": arguments, "jid": f"{index:024x}", "queue": "default", "retry": True,
            "created_at": now, "enqueued_at": now}) for index, arguments in enumerate(arguments_of_each)))


class Jobs(Measuring):
    """No-op jobs per second of luciq's worker, next to Ruby's Sidekiq on the same Redis.

    Both perform the same payloads with the same concurrency. Our worker fetches reliably; Sidekiq has its default fetch.
    Needs what `scripts/setup test` installs.
    """

    SECTIONS = ("rates", "latency")
    COLUMNS = [("rate", "jobs/s", 0), ("per_core", "jobs a processor second", 0), ("highest_mb", "highest MB", 0)]
    BESIDE = [("sidekiq", "--version"), ("redis-server", "--version")]
    LOAD = "jobs that do nothing"
    SECONDS = 20

    @staticmethod
    def add_arguments(parser):
        parser.add_argument("--large", type=int, default=1_000_000, help="jobs in the long queue (%(default)s)")
        parser.add_argument("--concurrency", type=int, default=10, help="jobs at the same time (%(default)s)")

    @staticmethod
    @contextlib.contextmanager
    def store(options, folder):
        """A private Redis; gives its port."""
        port = free_port()
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]

        def is_ready():
            with contextlib.suppress(OSError):
                Redis(port)
                return True

        with running(command) as process:
            wait_until(is_ready, process)
            yield port

    def __init__(self, options, port, folder, rows):
        super().__init__(options, None, folder, rows)
        self.redis, self.url = Redis(port), f"redis://127.0.0.1:{port}/0"
        (folder / "bench.rb").write_text(RUBY)
        self.commands = {
            "Sidekiq": ["sidekiq", "-r", folder / "bench.rb", "-c", options.concurrency, "-q", "default"],
            "luciq": [options.tools, "jobs", "--redis-url", self.url, "--concurrency", options.concurrency],
        }

    def worker(self, name):
        return running(self.commands[name], {"REDIS_URL": self.url})

    def left(self):
        return self.redis.ask("LLEN", "queue:default")

    def drain(self, name, count):
        """Measures from the first job taken to the queue's end, and the highest memory meanwhile."""
        self.redis.ask("FLUSHALL")
        self.redis.ask("SADD", "queues", "default")
        for start in range(0, count, 1000):
            self.redis.enqueue(*[[]] * min(1000, count - start))
        with self.worker(name) as process:
            # Not from the very first job: measure the running, not the start.
            wait_until(lambda: self.left() < count, process)
            began, first, used = time.monotonic(), self.left(), processor_seconds(process.pid)
            with memory_of(process.pid) as mb:
                # A large queue need not be emptied to know how fast it goes.
                while (left := self.left()) and time.monotonic() < began + self.options.seconds:
                    time.sleep(0.01)
                took, used = time.monotonic() - began, processor_seconds(process.pid) - used
            return {"rate": (first - left) / took, "per_core": (first - left) / used, "highest_mb": max(mb)}

    def rates(self):
        for count in (10_000, self.options.large):
            runs = self.alternate({name: lambda name=name: self.drain(name, count) for name in self.commands})
            self.add(f"Sidekiq, {count:,} queued", runs=runs["Sidekiq"])
            ratio = median_ratio(runs["luciq"], runs["Sidekiq"])
            self.add(f"luciq, {count:,} queued", ratio, "× Sidekiq", at_least=5, runs=runs["luciq"])

    def latency(self):
        """Measures from enqueueing to the start: one job every 10 ms, with the worker idle in between."""
        count = 1000
        with self.worker("luciq") as process:
            time.sleep(2)
            for _ in range(count):
                self.redis.enqueue([int(time.time() * 1e6)])
                time.sleep(0.01)
            wait_until(lambda: self.redis.ask("LLEN", "bench:latencies") == count, process, seconds=20)
        times = sorted(int(value) / 1000 for value in self.redis.ask("LRANGE", "bench:latencies", 0, -1))
        unit = f"ms p99, p50 {times[count // 2]:.1f}, slowest {times[-1]:.1f}"
        self.add("idle, enqueued to started", times[count * 99 // 100], unit, at_most=20, all=times)

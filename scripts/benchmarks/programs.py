"""Runs programs for a benchmark: starts them, waits for them, measures them, and always ends them by their pid."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

# Debian has nginx in a folder that a user's PATH leaves out.
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx"
ROOT = pathlib.Path(__file__).resolve().parents[2]
NATS = ROOT / ".build/python-bench/bin/nats-server"  # From `scripts/setup bench`.


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"bench: {text}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, environment={}, **pipes):
    """Runs a program while the block does."""
    pipes = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")} | pipes
    with subprocess.Popen(list(map(str, command)), env=os.environ | environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def wait_until(is_ready, process, seconds=60):
    until = time.monotonic() + seconds
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            fail(f"not ready: {' '.join(process.args)} (exit code {process.poll()})")
        time.sleep(0.001)


@contextlib.contextmanager
def serving(command, port, path="/readyz", environment={}):
    """Runs a server while the block does, from its first answer to a GET of the path."""
    began = time.monotonic()
    with running(command, environment) as process:
        server = Server(process.pid, port)
        wait_until(lambda: server.is_ready(path), process)
        server.ready_ms = (time.monotonic() - began) * 1000
        yield server


class Server:
    def __init__(self, pid, port):
        self.pid, self.port = pid, port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def request(self, method, path, value=None, key=None):
        body = None if value is None else json.dumps(value)
        headers = {"Content-Type": "application/json"} if body else {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def is_ready(self, path):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", path)[0] < 500
        self.connection.close()

    def call(self, method, path, value=None, key=None):
        status, text = self.request(method, path, value, key)
        return text if status < 400 else fail(f"{method} {path} was answered {status}: {text}")

    def create_chats(self, count):
        """Creates an application with chats; returns its token and the paths of their messages."""
        token = json.loads(self.call("POST", "/applications", {"name": "bench"}))["token"]
        for _ in range(count):
            self.call("POST", f"/applications/{token}/chats", {})
        return token, [f"/applications/{token}/chats/{number}/messages" for number in range(1, count + 1)]

    def metric(self, pattern):
        """The sum of a metric over the labels that match."""
        return sum(map(int, re.findall(rf"^{pattern} (\d+)", self.call("GET", "/metrics"), re.MULTILINE)))


def nginx(folder, answer):
    """nginx, with a constant answer for everything."""
    port, configuration = free_port(), folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # The default folders belong to root.
    configuration.write_text(f"""
        daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log /dev/null; events {{}}
        http {{
            access_log off; keepalive_requests 1000000000; default_type application/json;
            {" ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)}
            server {{ listen 127.0.0.1:{port}; location / {{ return 201 '{answer}'; }} }}
        }}""")
    return serving([NGINX, "-e", "/dev/null", "-p", folder, "-c", configuration], port, "/")


@contextlib.contextmanager
def nats(folder, sync):
    """NATS with JetStream and a stream in files for the subjects bench.1, bench.2 … With the sync interval `always` it
    flushes each message to the disk before the acknowledgement."""
    port, configuration = free_port(), folder / f"nats-{sync}.conf"
    configuration.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/nats-{sync}", sync_interval: {sync} }}\n')
    stream = json.dumps({"name": "bench", "subjects": ["bench.*"], "storage": "file"})
    request = (
        'CONNECT {"verbose":false,"pedantic":false}\r\nSUB _INBOX.bench 1\r\n'
        f"PUB $JS.API.STREAM.CREATE.bench _INBOX.bench {len(stream)}\r\n{stream}\r\n")

    def has_stream():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request.encode())
            lines = connection.makefile()
            return any('"did_create":true' in line for line in iter(lines.readline, ""))

    with running([NATS, "-c", configuration]) as process:
        wait_until(has_stream, process)
        yield Server(process.pid, port)


# --- Backends: each gives a function from a database's name to the environment that names it to luciq, of which it may be
# another build than the one that is measured.


@contextlib.contextmanager
def embedded(options, folder):
    yield lambda name, binary=None: {"DATABASE_URL": f"sqlite://{folder}/{name}.sqlite"}


@contextlib.contextmanager
def cluster(options, folder):
    script, folder, databases = ROOT / "scripts/services", f"{folder}/servers", {}
    # As an operator would configure it: the data fits into the buffer pool.
    memory = {"SERVICES_MEMORY": "2G"} | os.environ
    servers = subprocess.check_output([script, "start", folder], text=True, env=memory).splitlines()
    servers = {name: url.rpartition("/")[0] for name, _, url in (line.partition("=") for line in servers)}

    def environment(name, binary=options.binary):
        if name not in databases:
            numbers = {"DATABASE_URL": f"luciq_{name}", "REDIS_URL": len(databases) + 1}
            databases[name] = {variable: f"{servers[variable]}/{part}" for variable, part in numbers.items()}
            command = [binary, "db", "create"]
            subprocess.run(command, env=os.environ | databases[name], stdout=subprocess.DEVNULL, check=True)
        return databases[name]

    try:
        yield environment
    finally:
        subprocess.run([script, "stop", folder], check=False, stdout=subprocess.DEVNULL)


BACKENDS = {"embedded": embedded, "cluster": cluster}

# --- Memory and processor time of a process


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status")
    if status.exists():
        return int(re.search(r"VmRSS:\s*(\d+)", status.read_text())[1]) / 1024
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / 1024  # macOS


def allow_files(count):
    """Raises the limit of this process and those that it starts: each has a file for every connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard if hard == resource.RLIM_INFINITY else max(count, hard)))
    except (ValueError, OSError):
        fail(f"a process may have only {hard:,} open files; {count:,} are needed (or a smaller --idle).")


@contextlib.contextmanager
def memory_of(pid):
    """A list of the process' resident megabytes, which grows while the block runs."""
    samples, done = [resident_mb(pid)], threading.Event()

    def watch():
        while not done.wait(0.1):
            samples.append(resident_mb(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def processor_seconds(pid):
    """Processor time of a process and its children, such as nginx' workers."""
    own = pathlib.Path(f"/proc/{pid}")
    fields = (own / "stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    children = (own / "task" / str(pid) / "children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(processor_seconds, children))


class Stolen:
    """The share of processor time that the host gave to other machines while the block ran: on a shared host it adds to
    latencies. In percent; 0 where the kernel does not report it."""

    def __enter__(self):
        self.before = self.times()
        return self

    def __exit__(self, *_):
        elapsed = [after - before for before, after in zip(self.before, self.times())]
        self.percent = 100 * elapsed[7] / max(1, sum(elapsed))

    @staticmethod
    def times():
        try:
            # proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user.
            return [int(word) for word in pathlib.Path("/proc/stat").read_text().split()[1:9]]
        except OSError:
            return [0] * 8

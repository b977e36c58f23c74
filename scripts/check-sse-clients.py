"""Cuts a stream of server-sent events at every byte. The clients, from PyPI, resume from the last id they have seen: none
may miss a message, and none may be given half a message together with an id.

Each cut is made twice: in the chunked body itself, where every client can detect it; and as by a proxy that speaks
HTTP/1.0 to the server (nginx does), which cannot detect it and ends its own chunked body correctly. There sseclient-py
yields the part of an event that it has. That part has no id, and clients ignore events without an id (docs/streams.md).

usage: check-sse-clients.py BINARY
"""
import asyncio, http.client, http.server, json, logging, os, pathlib, queue, re, shutil, socket, subprocess, sys, tempfile
import threading, time, types

import aiohttp, httpx, httpx_sse, requests, requests_sse, requests_sse.client, sseclient
from aiohttp_sse_client2 import client as aiohttp_sse

BODIES = ["é\n\"id: 7\"", "x"]

logging.disable(logging.WARNING)  # They warn about every incomplete line.
# These clients reconnect by themselves, after a wait of seconds; skip the wait.
requests_sse.client.time = types.SimpleNamespace(sleep=lambda seconds: None)
aiohttp_sse.asyncio = types.SimpleNamespace(sleep=lambda seconds: asyncio.sleep(0))


class Server:
    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory()
        log = pathlib.Path(self.folder.name, "log")
        environment = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json", "CORS_ORIGIN": "*",
                       "DATABASE_URL": f"sqlite://{self.folder.name}/luciq.sqlite"}
        self.process = subprocess.Popen([binary, "serve"], env=environment, stderr=log.open("w"))
        for _ in range(200):
            if port := re.search(r'"url":"http://127.0.0.1:(\d+)"', log.read_text()):
                self.port = int(port[1])
                return
            time.sleep(0.05)
        said = log.read_text()[-500:]
        self.stop()
        sys.exit("The server did not start: " + said)

    def post(self, path, value):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Cutter:
    """A proxy that cuts its next connection after `cut` bytes of the body, and no later one; or, if the query says
    `cut=17`, the first connection with that query."""

    def __init__(self, server_port, is_chunked):
        self.server_port, self.is_chunked, self.cut, self.requests = server_port, is_chunked, None, 0
        self.asked = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listener.accept()[0]
            cut, self.cut = self.cut, None
            self.requests += 1
            threading.Thread(target=self.carry, args=(client, cut), daemon=True).start()

    def carry(self, client, cut):
        with client, socket.create_connection(("127.0.0.1", self.server_port)) as server:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (part := client.recv(65536)):
                    return
                request += part
            if (asked := re.search(rb"[?&]cut=(\d+)", request)) and asked[1] not in self.asked:
                self.asked.add(asked[1])
                cut = int(asked[1])
            if not self.is_chunked:
                request = request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
            server.sendall(request)
            # Close the connection to the server when the client leaves.
            threading.Thread(target=self.drain, args=(client, server), daemon=True).start()
            answer = b""
            while b"\r\n\r\n" not in answer:
                if not (part := server.recv(65536)):
                    return
                answer += part
            head, body = answer.split(b"\r\n\r\n", 1)
            left = cut if cut is not None else sys.maxsize
            if not self.is_chunked:
                head = head.replace(b"HTTP/1.0 ", b"HTTP/1.1 ", 1) + b"\r\nTransfer-Encoding: chunked"
            try:
                client.sendall(head + b"\r\n\r\n")
                while left > 0:
                    if part := body[:left]:
                        client.sendall(part if self.is_chunked else b"%x\r\n%b\r\n" % (len(part), part))
                    left -= len(part)
                    if left > 0 and not (body := server.recv(65536)):
                        break
                if not self.is_chunked:
                    client.sendall(b"0\r\n\r\n")
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # The client has all it needs and has left.

    @staticmethod
    def drain(client, server):
        try:
            while client.recv(65536):
                pass
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


# The errors that these clients raise when a connection ends; the last one, when it ends within a character.
LOST = httpx.TransportError, requests.RequestException, aiohttp.ClientError, UnicodeDecodeError


# Each yields (type, data, id) without end, reconnecting as needed. The id is the one that the client itself would
# resume from.

def with_httpx_sse(url, session=httpx.Client(timeout=5)):  # One session for all: creating one takes longer than everything else here.
    last = ""
    while True:
        try:
            headers = {"Last-Event-ID": last} if last else {}
            with httpx_sse.connect_sse(session, "GET", url, headers=headers) as source:
                for event in source.iter_sse():
                    last = event.id or last
                    yield event.event, event.data, event.id
        except LOST:
            pass


def with_sseclient_py(url):
    last = ""
    with requests.Session() as session:
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            with session.get(url, headers=headers, stream=True, timeout=5) as response:
                try:
                    # As in its README; so requests does not split lines within an event.
                    for event in sseclient.SSEClient(response).events():
                        last = event.id or last
                        yield event.event, event.data, event.id
                except LOST:
                    pass


def with_requests_sse(url):
    with requests_sse.EventSource(url, timeout=5) as source:
        while True:
            try:
                event = next(source)
            except LOST:
                source.connect(3)  # It sends its own last id.
                continue
            yield event.type, event.data, event.last_event_id


def with_aiohttp_sse_client2(url):
    async def read_on(source):
        while True:
            try:
                return await source.__anext__()
            except LOST:
                await source.connect(3)  # It sends its own last id.

    loop = asyncio.new_event_loop()

    async def open_source():
        source = aiohttp_sse.EventSource(url, timeout=aiohttp.ClientTimeout(total=None, sock_read=5))
        await source.connect(3)
        return source

    async def close(source):
        await source.close()
        await source._session.close()

    source = loop.run_until_complete(open_source())
    try:
        while True:
            event = loop.run_until_complete(read_on(source))
            yield event.type, event.data, event.last_event_id
    finally:
        loop.run_until_complete(close(source))
        loop.close()


CLIENTS = [with_httpx_sse, with_sseclient_py, with_requests_sse, with_aiohttp_sse_client2]


def read(client, url, cutter, cut):
    """The fault in what the client was given, or None."""
    cutter.cut, before = cut, cutter.requests
    got = {}
    events = client(url)
    for kind, data, id in events:
        if cutter.requests - before > 3:
            return f"{len(BODIES) - len(got)} missing after {cutter.requests - before} connections"
        if kind == "cursor" or not id:
            if kind == "message" and cutter.is_chunked:
                return f"a message without an id: {data!r}"
            continue
        if kind != "message":
            return f"an event of the type {kind!r}: {data!r}, {id!r}"
        try:
            message = json.loads(data)
        except ValueError:
            return f"half a message: {data!r}, {id!r}"
        if message["body"] != BODIES[message["number"] - 1]:
            return f"another text: {data!r}"
        if cutter.is_chunked and str(message["number"]) != id:
            return f"another id: {data!r}, {id!r}"
        if message["number"] > len(got) + 1:
            return f"after {list(got)} came {message['number']}"
        if message["number"] in got and cutter.is_chunked:
            return f"{message['number']} came twice"
        got[message["number"]] = True
        if len(got) == len(BODIES):
            events.close()
            return None


PAGE = """<!DOCTYPE html><title>EventSource</title><script type="module">
const { path, count, proxies } = PLAN;
const results = [];
// A browser opens six connections to a port; one is left for its own use.
async function work({ url, cuts }) {
  for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) {
    const got = [];
    await new Promise(resolve => {
      const source = new EventSource(`${url}${path}/stream?after=0&cut=${cut}`);
      const end = () => { source.close(); resolve(); };
      const timer = setTimeout(end, 10_000);
      source.onmessage = event => {
        got.push([event.lastEventId, event.data]);
        if (got.length === count) { clearTimeout(timer); end(); }
      };
    });
    results.push([url, cut, got]);
  }
}
await Promise.all(proxies.flatMap(proxy => Array.from({ length: 5 }, () => work(proxy))));
await fetch("/", { method: "POST", body: JSON.stringify(results) });
</script>"""


def browser_faults(server, path, size):
    """The faults of a real browser's EventSource, which waits for a second before it reconnects."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        sys.exit("There is no Chromium here; scripts/setup test installs it.")
    # Several proxies, because a browser opens only six connections to each.
    cutters = [Cutter(server.port, is_chunked) for is_chunked in (True, False) for _ in range(10)]
    proxies = [{"url": cutter.url, "cuts": list(range(index % 10, size + 24 * cutter.is_chunked, 10))}
               for index, cutter in enumerate(cutters)]
    plan = json.dumps({"path": path, "count": len(BODIES), "proxies": proxies})
    answers = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self): self.answer(PAGE.replace("PLAN", plan).encode())

        def do_POST(self):
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"")

        def log_message(self, *arguments): pass

    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    browser = subprocess.Popen(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
         "--disable-background-timer-throttling", "--user-data-dir=" + server.folder.name + "/profile",
         "http://127.0.0.1:%d/" % page.server_port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        results = answers.get(timeout=90)
    except queue.Empty:
        return ["EventSource: the page said nothing for 90 s"]
    finally:
        browser.kill()
        browser.wait()
        page.shutdown()
    wanted = [[str(number), body] for number, body in enumerate(BODIES, 1)]
    faults = []
    for url, cut, got in results:
        try:
            read = [[id, json.loads(data)["body"]] for id, data in got]
        except ValueError:
            read = got
        if read != wanted:
            faults.append(f"EventSource, cut at {cut}: {got}")
    if len(results) != sum(len(range(size + 24 * is_chunked)) for is_chunked in (True, False)):
        faults.append(f"EventSource: {len(results)} cuts only")
    return faults


def main():
    server = Server(sys.argv[1])
    try:
        token = server.post("/applications", {"name": "cut"})["token"]
        server.post(f"/applications/{token}/chats", {})
        path = f"/applications/{token}/chats/1"
        for body in BODIES:
            server.post(path + "/messages", {"body": body})
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"GET {path}/stream?after=0 HTTP/1.0\r\n\r\n".encode())
            whole = b""
            while not whole.endswith(b"\nid: %d\n\n" % len(BODIES)):
                whole += connection.recv(65536)
        size = len(whole.split(b"\r\n\r\n", 1)[1])
        faults, lock, began = [], threading.Lock(), time.monotonic()

        def run(client, is_chunked):
            cutter = Cutter(server.port, is_chunked)
            # The chunk headers make the body longer.
            for cut in range(size + (24 if is_chunked else 0)):
                if fault := read(client, cutter.url + path + "/stream?after=0", cutter, cut):
                    with lock:
                        if len(faults) >= 10:
                            return
                        faults.append(f"{client.__name__}, {'chunked' if is_chunked else 'ended in good order'}, cut at {cut}: {fault}")

        threads = [threading.Thread(target=run, args=(client, is_chunked), daemon=True) for client in CLIENTS for is_chunked in (True, False)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, began + 90 - time.monotonic()))
            if thread.is_alive():
                faults.append("a client still waits for a message that it has missed")
                break
        python_seconds = time.monotonic() - began
        faults += browser_faults(server, path, size)
    finally:
        server.stop()
    for fault in faults:
        print("FAULT", fault)
    print(f"{len(CLIENTS)} clients ({python_seconds:.0f} s) and a browser ({time.monotonic() - began - python_seconds:.0f} s), "
          f"{size} bytes cut at each, in two ways: {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()

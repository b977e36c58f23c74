#!/usr/bin/env bash
# Server-sent events: a block that has an `id` or a `retry` and no `data`.
#
# WHATWG's standard dispatches nothing for it, and only remembers the id or the pause. So it looks like the way to hand a
# reader its cursor before the first event. Seen to be otherwise:
#
#   httpx-sse 0.4.3      yields an event with empty data for each such block: code that parses the data as JSON fails
#   sseclient-py 1.8.0   forgets the id with the block: the next event, which has none of its own, has id None
#   requests-sse 0.5.3   does as the standard says
#
# A server that wants to hand out a cursor early sends it in an event that has data. Ends with 0 while this is so, and with
# 1 when the behaviour has changed. Output seen:
#
#   httpx-sse 0.4.3: [('', ''), ('', '5'), ('a', '5')]
#   sseclient-py 1.8.0: [('a', None)]
#   requests-sse 0.5.3: [('a', '5')]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx-sse==0.4.3 httpx==0.28.1 sseclient-py==1.8.0 requests==2.34.2 requests-sse==0.5.3
exec "$folder/venv/bin/python" - <<'PYTHON'
import socketserver, threading
import httpx, requests, requests_sse, sseclient
from httpx_sse import connect_sse


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            b"retry: 1000\n\nid: 5\n\ndata: a\n\n")


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"

with httpx.Client() as http, connect_sse(http, "GET", url) as source:
    by_httpx = [(event.data, event.id) for event in source.iter_sse()]
by_sseclient = [(event.data, event.id) for event in sseclient.SSEClient(requests.get(url, stream=True)).events()]
with requests_sse.EventSource(url, timeout=10) as source:
    event = next(iter(source))
    by_requests = [(event.data, event.last_event_id)]

print("httpx-sse 0.4.3:", by_httpx)
print("sseclient-py 1.8.0:", by_sseclient)
print("requests-sse 0.5.3:", by_requests)
assert by_httpx == [("", ""), ("", "5"), ("a", "5")], "httpx-sse behaves differently now"
assert by_sseclient == [("a", None)], "sseclient-py behaves differently now"
assert by_requests == [("a", "5")], "requests-sse behaves differently now"
PYTHON

#!/usr/bin/env bash
# Server-sent events: what two Python clients make of an event that a lost connection cuts in half.
#
# WHATWG's standard says that an event which is not ended by a blank line is thrown away at the end of the stream, so a
# server need not care where a connection breaks. Seen to be otherwise:
#
#   sseclient-py 1.8.0          delivers the half, with its id, so that a resume by that id skips the whole one
#   aiohttp-sse-client2 0.3.0   keeps the half while it reconnects by itself, and glues it in front of the next event's
#                               data, which is delivered under its own, right id
#
# A server helps both by sending `id` as the last field of an event, and clients of JSON must expect data that does not
# parse. Ends with 0 while this is so, and with 1 when the behaviour has changed. Output seen:
#
#   sseclient-py 1.8.0: [('first', '1'), ('ha', '2')]
#   aiohttp-sse-client2 0.3.0: [('first', '1'), ('ha\nsecond', '2')]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    sseclient-py==1.8.0 requests==2.34.2 aiohttp-sse-client2==0.3.0 aiohttp==3.14.5
exec "$folder/venv/bin/python" - <<'PYTHON'
import asyncio, socketserver, threading
import requests, sseclient
from aiohttp_sse_client2 import client

FIRST = b"event: message\nid: 1\ndata: first\n\n"
CUT = b"event: message\nid: 2\ndata: ha"
SECOND = b"event: message\nid: 2\ndata: second\n\n"


class Stream(socketserver.StreamRequestHandler):
    """The first connection breaks inside the second event; whoever resumes after the first gets it whole."""

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        resumes = b"last-event-id: 1" in head.lower()
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            + (SECOND if resumes else FIRST + CUT))


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/"


def by_sseclient():
    return [(event.data, event.id) for event in sseclient.SSEClient(requests.get(url, stream=True)).events()]


async def by_aiohttp():
    seen = []
    async with client.EventSource(url, timeout=10) as source:
        async for event in source:
            seen.append((event.data, event.last_event_id))
            if len(seen) == 2:
                return seen


half, glued = by_sseclient(), asyncio.run(asyncio.wait_for(by_aiohttp(), 30))
print("sseclient-py 1.8.0:", half)
print("aiohttp-sse-client2 0.3.0:", glued)
assert half == [("first", "1"), ("ha", "2")], "sseclient-py behaves differently now"
assert glued == [("first", "1"), ("ha\nsecond", "2")], "aiohttp-sse-client2 behaves differently now"
PYTHON

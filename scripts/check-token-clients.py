"""Shows user tokens that PyJWT and joserfc, from PyPI, have signed, with HS256 and EdDSA, to a server: over HTTP, for
streams of events (in the header and by a ticket), and for WebSockets (in the header, among the subprotocols, as the first
message and as a newer token). Each must be taken, and refused once a letter of its signature is another.

Then it measures the processor time that the server needs to refuse a token, for tokens as long and as awkward as they may
be: none may cost more than a millisecond, the request included.

usage: check-token-clients.py BINARY
"""
import asyncio, base64, hashlib, hmac, json, re, sys, time, warnings

import aiohttp, joserfc.jwk, joserfc.jwt, jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from checked_server import Server

warnings.simplefilter("ignore")  # joserfc would rather have EdDSA called Ed25519 (RFC 9864).

USER = "zoë/42"
MOST_MS = 1.0  # Of processor time, for a refusal.
REQUESTS = 1000  # For each measurement.


class Site:
    """An application with keys for tokens, and a chat."""

    def __init__(self, server, session):
        self.server, self.session = server, session

    async def call(self, method, path, value=None, bearer=None):
        headers = {"Authorization": "Bearer " + (bearer or self.server.admin)}
        async with self.session.request(method, self.server.url + path, json=value, headers=headers) as answer:
            return answer.status, await answer.json()

    async def open(self):
        _, made = await self.call("POST", "/applications", {"name": "tokens"})
        self.id = made["id"]
        self.path = "/applications/" + self.id
        await self.call("POST", self.path + "/chats", {})
        _, secret = await self.call("POST", self.path + "/jwt-keys", {"alg": "HS256"})
        self.secret, self.secret_kid = secret["secret"], secret["kid"]
        self.private = Ed25519PrivateKey.generate()
        pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        _, public = await self.call("POST", self.path + "/jwt-keys", {"alg": "EdDSA", "public_key": pem})
        self.public_kid = public["kid"]
        self.private_pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def claims(self, **more):
        now = int(time.time())
        return {"aud": self.id, "sub": USER, "iat": now, "exp": now + 600, **more}

    def tokens(self):
        """Of each library and algorithm."""
        yield "PyJWT HS256", jwt.encode(self.claims(), self.secret, "HS256", headers={"kid": self.secret_kid})
        yield "PyJWT EdDSA", jwt.encode(self.claims(), self.private, "EdDSA", headers={"kid": self.public_kid})
        for alg, kid, key in [("HS256", self.secret_kid, joserfc.jwk.OctKey.import_key(self.secret)),
                              ("EdDSA", self.public_kid, joserfc.jwk.OKPKey.import_key(self.private_pem))]:
            yield "joserfc " + alg, joserfc.jwt.encode({"alg": alg, "kid": kid}, self.claims(), key, algorithms=[alg])

    async def events(self, query, headers):
        """A stream's status, and then its events of the type message."""
        async with self.session.get(self.server.url + self.path + "/chats/1/stream" + query, headers=headers) as answer:
            yield answer.status
            kind = ""
            async for line in answer.content:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "message":
                    yield json.loads(line[6:])

    async def socket(self, protocols=(), headers=None, say=()):
        """A WebSocket, its subprotocol, and the JSON that comes until it closes or the messages to `say` are answered."""
        got = []
        async with self.session.ws_connect(
                self.server.url + self.path + "/socket", protocols=protocols, headers=headers or {}) as socket:
            for message in say:
                await socket.send_json(message)
                answer = await socket.receive(timeout=10)
                if answer.type != aiohttp.WSMsgType.TEXT:
                    return socket.protocol, got, socket.close_code
                got.append(json.loads(answer.data))
            return socket.protocol, got, None


def expect(name, truth, what):
    if not truth:
        sys.exit(f"{name}: {what}")


async def takes(site, name, token, newer):
    bearer = {"Authorization": "Bearer " + token}
    status, made = await site.call("POST", site.path + "/chats/1/messages", {"body": name}, token)
    expect(name, status == 201, f"a create: {status} {made}")
    number = made["message_number"]
    status, ticket = await site.call("POST", site.path + "/tickets", {"chats": [1]}, token)
    expect(name, status == 201, f"a ticket: {status} {ticket}")
    for way, query, headers in [("the header", "?", bearer), ("a ticket", f"?ticket={ticket['ticket']}&", {})]:
        events = site.events(f"{query}after={number - 1}", headers)
        expect(name, await anext(events) == 200, f"a stream by {way}")
        event = await asyncio.wait_for(anext(events), 10)
        expect(name, event["body"] == name and event["sender"] == USER, f"a stream by {way}: {event}")
        await events.aclose()
    subscribe = {"type": "subscribe", "chat": 1}
    for way, protocols, headers, say in [
            ("the header", (), bearer, [subscribe]),
            ("the subprotocols", ("luciq.v1", "luciq.token." + token), {}, [subscribe]),
            ("the first message", (), {}, [{"type": "auth", "token": token}, subscribe, {"type": "auth", "token": newer}])]:
        protocol, got, code = await site.socket(protocols, headers, say)
        types = [frame["type"] for frame in got]
        wanted = ["authenticated", "subscribed", "authenticated"] if len(say) == 3 else ["subscribed"]
        expect(name, types == wanted and code is None, f"a socket by {way}: {got} {code}")
        expect(name, protocol == ("luciq.v1" if protocols else None), f"a socket by {way}: the subprotocol {protocol}")
        expect(name, len(say) < 3 or got[0]["user"] == USER, f"a socket by {way}: {got}")


async def refuses(site, name, token):
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    status, problem = await site.call("GET", site.path + "/chats/1/messages", bearer=forged)
    expect(name, (status, problem["code"]) == (401, "token_invalid"), f"forged: {status} {problem}")
    events = site.events("?", {"Authorization": "Bearer " + forged})
    expect(name, await anext(events) == 401, "a stream by a forged one")
    await events.aclose()
    try:
        await site.socket(("luciq.v1", "luciq.token." + forged))
        expect(name, False, "a socket by a forged one")
    except aiohttp.WSServerHandshakeError as error:
        expect(name, error.status == 401, f"a socket by a forged one: {error.status}")
    _, got, code = await site.socket(say=[{"type": "auth", "token": forged}])
    expect(name, got == [] and code == 4401, f"a first message with a forged one: {got} {code}")


def b64(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header, claims, secret):
    signed = b64(header.encode()) + "." + b64(claims.encode())
    return signed + "." + b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def awkward(site):
    """Tokens that are refused, as late and as long as they can be."""
    head = json.dumps({"alg": "HS256", "kid": site.secret_kid})
    public = json.dumps({"alg": "EdDSA", "kid": site.public_kid})
    claims = json.dumps(site.claims())

    def filled(piece, end="}", start=claims[:-1] + ","):
        """Claims of as many pieces as a token may have."""
        pieces = []
        while len(b64((start + ",".join(pieces + [piece(len(pieces))]) + end).encode())) < 3900:
            pieces.append(piece(len(pieces)))
        return start + ",".join(pieces) + end

    names = filled(lambda index: '"\\u00%02x\\u00%02x":1' % (97 + index // 26 % 26, 97 + index % 26))
    chats = filled(lambda index: str(index + 1), "]}", claims[:-1] + ',"chats":[')
    nested = claims[:-1] + ',"x":' + "[" * 1400 + "]" * 1400 + "}"
    accents = claims[:-1] + ',"x":"' + "a\u0301" * 900 + '"}'
    edward = b64(public.encode()) + "." + b64(filled(lambda index: f'"x{index}":1').encode()) + "." + b64(bytes(64))
    yield "an unknown key", raw(json.dumps({"alg": "HS256", "kid": "k"}), claims, site.secret)
    yield "a forged HS256", raw(head, names, "x")
    yield "a forged EdDSA of 4 KiB", edward
    yield "the public key as the secret", raw(public, claims, site.private_pem)
    yield "many names, the last one twice", raw(head, names[:-1] + ',"aud":"x"}', site.secret)
    yield "many chats, and one that is none", raw(head, chats[:-2] + ",0]}", site.secret)
    yield "nested arrays without an end", raw(head, nested[:-2], site.secret)
    yield "accents, forged", raw(head, accents, "x")
    yield "4 KiB of dots", "." * 4096
    yield "a header of 4 KiB", raw(json.dumps({"alg": "HS256", "x": "a" * 2800, "kid": "k"}), claims, site.secret)
    yield "a byte too long", "a" * 4095 + ".b"


async def processor_seconds(site):
    async with site.session.get(site.server.url + "/metrics") as answer:
        return float(re.search(r"^process_cpu_seconds_total (\S+)", await answer.text(), re.M)[1])


async def costs(site):
    """Milliseconds of processor time for a refusal, by the token."""
    url = site.server.url + site.path + "/chats/1/messages"
    for name, token in awkward(site):
        before = await processor_seconds(site)
        for _ in range(REQUESTS):
            async with site.session.get(url, headers={"Authorization": "Bearer " + token}) as answer:
                expect(name, answer.status == 401, f"{answer.status} {await answer.text()}")
                await answer.read()
        yield name, (await processor_seconds(site) - before) * 1000 / REQUESTS


async def main():
    server = Server(sys.argv[1])
    try:
        async with aiohttp.ClientSession() as session:
            site = Site(server, session)
            await site.open()
            tokens = list(site.tokens())
            for index, (name, token) in enumerate(tokens):
                await takes(site, name, token, tokens[(index + 1) % len(tokens)][1])
                await refuses(site, name, token)
            worst = ("", 0)
            async for name, milliseconds in costs(site):
                print(f"{milliseconds:6.3f} ms of processor time for a refusal: {name}")
                worst = max(worst, (name, milliseconds), key=lambda each: each[1])
            expect(worst[0], worst[1] <= MOST_MS, f"{worst[1]:.2f} ms of processor time for a refusal")
    finally:
        server.stop()
    print(f"{len(tokens)} kinds of tokens were taken in six ways each, and refused when forged")


asyncio.run(main())

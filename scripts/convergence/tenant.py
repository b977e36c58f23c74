"""An application, what its users were answered, and what REST says of it."""
import asyncio, base64, collections, dataclasses, hashlib, hmac, json, re, time

import aiohttp

from model import Violation, position

USERS = [f"u{index}" for index in range(1, 6)]


class Lost(Exception):
    """No answer, or one that says to try again: what was asked may have happened."""


class Out(Exception):
    """The chat is not there (any more) for this user."""


class Anew(Exception):
    """The cursor is of no use any more: load the chat."""


@dataclasses.dataclass
class Loaded:
    cursor: str
    messages: list
    pins: list
    members: list
    chat: dict


class Tenant:
    def __init__(self, servers, session):
        self.servers, self.session = servers, session
        self.counts = collections.Counter()

    def url(self, choice=0):
        return self.servers.processes[choice % len(self.servers.processes)].url

    async def ask(self, method, path, value=None, bearer=None, choice=0, headers=None, seconds=30):
        """The status, the headers and the value of an answer. Throws `Lost` without one, and for a 503."""
        headers = {**({"Authorization": "Bearer " + bearer} if bearer else {}), **(headers or {})}
        try:
            async with self.session.request(
                    method, self.url(choice) + path, json=value, headers=headers,
                    timeout=aiohttp.ClientTimeout(seconds)) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise Lost(f"{type(error).__name__}") from None
        if answer.status == 503:
            raise Lost(text)
        if answer.status >= 500:
            raise Violation(f"{method} {path}: {answer.status} {text}")
        return answer.status, answer.headers, json.loads(text) if text else None

    async def need(self, method, path, value=None, bearer=None, choice=0):
        """The value of an answer that must be a success, sooner or later."""
        for _ in range(200):
            try:
                status, _, value_ = await self.ask(method, path, value, bearer or self.servers.admin, choice)
                if status < 300:
                    return value_
                raise Violation(f"{method} {path}: {status} {value_}")
            except Lost:
                await asyncio.sleep(0.2)
        raise Violation(f"{method} {path} is not answered")

    async def open(self, chats):
        made = await self.need("POST", "/applications", {"name": "convergence"})
        self.id, self.path = made["id"], "/applications/" + made["id"]
        self.by_token = "/applications/" + made["token"]
        await self.need("PATCH", self.path, {"path_token": "credential"})
        key = await self.need("POST", self.path + "/keys",
                              {"name": "convergence", "scopes": ["read", "write", "members"]})
        self.key = key["key"]
        signing = await self.need("POST", self.path + "/jwt-keys", {"alg": "HS256"})
        self.secret, self.kid = signing["secret"], signing["kid"]
        self.tokens = {user: self.token(user) for user in USERS}
        for settings in chats:
            chat = (await self.need("POST", self.path + "/chats", settings))["chat_number"]
            for user in USERS[:3]:
                await self.need("PUT", f"{self.path}/chats/{chat}/members/{user}", {"role": "member"})
        return self

    def token(self, user):
        now = int(time.time())
        claims = {"aud": self.id, "sub": user, "iat": now, "exp": now + 80_000}
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": self.kid}, claims)]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        mac = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()

    def bearer(self, user):
        return self.tokens[user] if user else self.key

    # What REST says.

    async def get(self, path, bearer, choice):
        status, headers, value = await self.ask("GET", path, bearer=bearer, choice=choice)
        if status == 404:
            raise Out(path)
        if status != 200:
            raise Violation(f"GET {path}: {status} {value}")
        return headers, value

    async def pages(self, path, bearer, choice):
        """All rows of a list, and the cursor of its first page."""
        rows, cursor = [], None
        while path:
            headers, page = await self.get(path, bearer, choice)
            cursor = cursor or headers.get("Luciq-Cursor")
            rows += page
            following = re.search(r'<(?:https?://[^/>]*)?([^>]*)>; rel="next"', headers.get("Link", ""))
            path = following and following[1]
        return rows, cursor

    async def load(self, chat, user=None, choice=0):
        path = f"{self.path}/chats/{chat}"
        bearer = self.bearer(user)
        messages, cursor = await self.pages(path + "/messages?limit=100", bearer, choice)
        _, pins = await self.get(path + "/pins", bearer, choice)
        # The list of members is for those who administer them.
        members, _ = await self.pages(path + "/members?limit=100", self.key, choice)
        _, settings = await self.get(path, bearer, choice)
        return Loaded(cursor, messages, pins, members, settings)

    async def head(self, chat, choice=0):
        headers, _ = await self.get(f"{self.path}/chats/{chat}/messages?order=desc&limit=1", self.key, choice)
        return headers["Luciq-Cursor"]

    async def is_in(self, chat, user, choice=0):
        """Whether a user is to see all of a chat that there is for it."""
        path = f"{self.path}/chats/{chat}/members/{user}"
        status, _, member = await self.ask("GET", path, bearer=self.key, choice=choice)
        role = member["role"] if status == 200 else None
        if role in ("banned", None):
            _, settings = await self.get(f"{self.path}/chats/{chat}", self.key, choice)
            return role is None and settings["access"] == "open"
        return True


@dataclasses.dataclass
class Thing:
    """What an operation changes, and what it must be: known if the last one was acknowledged, and alone."""
    in_flight: int = 0
    is_contested: bool = False
    is_unknown: bool = False
    wanted: object = None


class Ledger:
    """What was acknowledged, to compare it with what is there, and who was out of a chat since when."""

    def __init__(self, tenant, grace_s):
        self.tenant, self.grace_s = tenant, grace_s
        self.created = collections.defaultdict(dict)   # chat → number → the mark of its create
        self.began = {}                                # mark → when its first request began
        self.items = {}                                # chat, kind, key → Thing
        self.reads = {}                                # chat, user → the highest number that was stored
        self.out = {}                                  # chat, user → when the removal was answered
        self.closed = set()                            # chats that are for their members alone

    def create(self, chat, number, mark):
        held = self.created[chat].setdefault(number, mark)
        if held != mark:
            raise Violation(f"chat {chat}: number {number} was given to {held} and to {mark}")

    def begin(self, item):
        thing = self.items.setdefault(item, Thing())
        thing.in_flight += 1
        thing.is_contested = thing.is_contested or thing.in_flight > 1
        thing.wanted = None

    def end(self, item, wanted=None, is_known=True):
        """Without `is_known` it may still happen, whatever comes later."""
        thing = self.items[item]
        thing.in_flight -= 1
        thing.is_unknown = thing.is_unknown or not is_known
        thing.wanted = None if thing.is_contested or thing.is_unknown else wanted
        thing.is_contested = thing.in_flight > 0

    def removed(self, chat, user):
        self.out.setdefault((chat, user), time.monotonic())

    def lets_in(self, chat, user=None):
        for key in list(self.out):
            if key[0] == chat and user in (None, key[1]):
                del self.out[key]

    def check_allowed(self, chat, user, mark):
        """A user must not be sent what was said after its removal was answered."""
        since, began = self.out.get((chat, user)), self.began.get(mark)
        if since and began and began > since + self.grace_s + self.tenant.servers.frozen_s:
            raise Violation(f"{user} was sent {mark}, which was said {began - since:.1f} s after its removal")

    def check(self, chat, loaded):
        rows = {message["number"]: message for message in loaded.messages}
        marks = collections.Counter()
        for number, mark in self.created[chat].items():
            if number not in rows:
                yield f"message {number} ({mark}) was acknowledged, and is not there"
        for number, message in rows.items():
            mark = message["body"].split(" ")[0]
            if mark.startswith("m"):
                marks[mark] += 1
                if self.created[chat].get(number, mark) != mark:
                    yield f"message {number} is {mark}, and {self.created[chat][number]} was acknowledged"
        yield from (f"{mark} is there {count} times" for mark, count in marks.items() if count > 1)
        pins = {pin["number"] for pin in loaded.pins}
        roles = {member["user"]: member["role"] for member in loaded.members}
        for (of, kind, key), thing in self.items.items():
            wanted = thing.wanted
            if of != chat or wanted is None:
                continue
            message = rows.get(key, {})
            found = {"content": lambda: message.get("rev", 0),
                     "reactions": lambda: message.get("reactions", {}).get("rev", 0),
                     "pin": lambda: key in pins, "member": lambda: roles.get(key, "none"),
                     "chat": lambda: {name: loaded.chat[name] for name in wanted}}[kind]()
            if found != wanted:
                yield f"{kind} {key} was acknowledged as {wanted}, and is {found}"

    def head(self, chat):
        return max(self.created[chat], default=0)


def is_beyond(cursor, head):
    return any((mine or 0) > theirs for mine, theirs in zip(position(cursor), position(head)))

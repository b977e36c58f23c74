"""Users and applications that write at random, and note what they were answered."""
import asyncio, json, time, urllib.parse

import aiohttp

from model import Violation
from tenant import USERS, Lost

REACTIONS = ["👍", "❤️", "ok", "eyes", "zoë/42"]
ROLES = ["member", "member", "member", "reader", "admin", "banned"]
WEIGHTS = {"create": 22, "create_with_key": 16, "send": 4, "reply": 8, "edit": 18, "edit_if_match": 6, "burst": 4,
           "delete": 4, "react": 14, "unreact": 6, "pin": 5, "unpin": 3, "join": 6, "leave": 4, "describe": 3,
           "configure": 1, "access": 0.5, "read": 5}


class Writer:
    """Whatever the answers are, the same seed makes the same decisions."""

    def __init__(self, tenant, ledger, chats, random, name, faults=()):
        self.tenant, self.ledger, self.chats, self.random, self.name = tenant, ledger, chats, random, name
        self.faults = faults
        self.count = 0

    async def run(self, operations, pause_s):
        for _ in range(operations):
            kind = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
            # Drawn all at once, and from here: how often something is asked again must not shift what follows.
            self.count += 1
            self.draw(f"{self.name}{self.count}")
            await getattr(self, kind)()
            self.tenant.counts["op " + kind] += 1
            await asyncio.sleep(self.pause * pause_s)

    def draw(self, mark):
        random = self.random
        self.mark = "m" + mark
        self.chat = random.choice(self.chats)
        self.user = random.choice(USERS)
        self.other = random.choice(USERS[:3])
        self.way = random.choice(["token", "key", "path"])
        self.choice = random.randrange(8)
        self.age = min(random.expovariate(1 / 12), random.uniform(0, 400))
        self.name_ = random.choice(REACTIONS)
        self.role = random.choice(ROLES)
        self.impatient = random.random() < 0.06
        self.words = "w" * (random.randrange(8_000, 20_000) if random.random() < 0.03 else random.randrange(40)) + " ü"
        self.metadata = random.choice([None, {"a": random.randrange(9)}, {"a": None, "b": {"c": self.mark}}])
        self.mentions = random.choice([None, [], random.sample(USERS, random.randrange(1, 4)), [self.user] * 2])
        self.chance = random.random()
        self.pause = random.uniform(0, 2)

    @property
    def number(self):
        """Of a message, often a new one."""
        return max(1, self.ledger.head(self.chat) - int(self.age))

    # How it is asked.

    def as_user(self, path):
        """The path and the credentials: of the user itself, or of the application for it."""
        base = (self.tenant.by_token if self.way == "path" else self.tenant.path) + f"/chats/{self.chat}{path}"
        if self.way == "token":
            return base, self.tenant.bearer(self.user)
        return base, self.tenant.key if self.way == "key" else None

    def for_user(self, path):
        path, bearer = self.as_user(path)
        return path + ("" if self.way == "token" else f"?user={self.user}"), bearer

    async def ask(self, method, path, value=None, bearer=None, headers=None, tries=1):
        """The last answer, and whether anything asked before it may still happen."""
        is_sure = True
        for index in range(tries):
            try:
                seconds = 0.004 if self.impatient and index == 0 else 30
                status, _, answer = await self.tenant.ask(
                    method, path, value, bearer, self.choice + index, headers, seconds)
                self.tenant.counts[f"answer {status}"] += 1
                if status not in (200, 201, 204, 403, 404, 409, 412, 422):
                    raise Violation(f"{method} {path}: {status} {answer}")
                if status == 409 and answer["code"] == "idempotency_key_in_flight":
                    raise Lost("in flight")
                return status, answer, is_sure
            except Lost:
                is_sure = False
                self.tenant.counts["unknown outcomes"] += 1
                await asyncio.sleep(0.1 + index / 20)
        return None, None, False

    async def change(self, items, method, path, value=None, bearer=None, headers=None, tries=3):
        """Something that can be asked twice. `items` says of each thing what an answer makes of it."""
        for item in items:
            self.ledger.begin((self.chat, *item))
        status, answer, is_sure = await self.ask(method, path, value, bearer, headers, tries)
        for item, wanted in items.items():
            self.ledger.end((self.chat, *item), wanted(answer) if status == 200 else None, is_sure)
        return status, answer

    # The operations.

    async def create(self, with_key=False, **more):
        path, bearer = self.as_user("/messages")
        value = {"body": f"{self.mark} {self.words}", **more}
        if self.way != "token" and self.chance < 0.8:
            value["sender"] = self.user
        if self.metadata:
            value["metadata"] = self.metadata
        if self.mentions is not None:
            value["mentions"] = self.mentions
        self.ledger.began[self.mark] = time.monotonic()
        headers = {"Idempotency-Key": self.mark} if with_key else {}
        status, answer, _ = await self.ask("POST", path, value, bearer, headers, 600 if with_key else 1)
        if with_key and status is None:
            raise Violation(f"a create with a key has no outcome: {self.mark}")
        if status == 201:
            self.ledger.create(self.chat, answer["message_number"], self.mark)
        if "invent" in self.faults and self.chance < 0.2:
            self.ledger.create(self.chat, self.ledger.head(self.chat) + 1000, self.mark)

    async def create_with_key(self):
        await self.create(True)
        if self.chance < 0.1:  # A retry long after the answer.
            await self.create(True)

    async def send(self):
        """Over a WebSocket, and after an unknown outcome once more over HTTP."""
        self.ledger.began[self.mark] = time.monotonic()
        self.way, self.metadata, self.chance = "token", None, 1
        mentions = {} if self.mentions is None else {"mentions": self.mentions}
        try:
            async with self.tenant.session.ws_connect(
                    f"{self.tenant.url(self.choice)}{self.tenant.path}/socket",
                    headers={"Authorization": "Bearer " + self.tenant.bearer(self.user)}) as socket:
                await socket.send_json({"type": "send", "chat": self.chat, "key": self.mark,
                                        "body": f"{self.mark} {self.words}", **mentions})
                frame = await socket.receive(timeout=0.001 if self.impatient else 30)
                if frame.type == aiohttp.WSMsgType.TEXT:
                    value = json.loads(frame.data)
                    if value["type"] == "sent":
                        return self.ledger.create(self.chat, value["message_number"], self.mark)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
            pass
        await self.create(True)

    async def reply(self):
        await self.create(True, thread=self.number, **({"in_main": True} if self.chance < 0.3 else {}))

    async def edit(self, headers=None):
        number = self.number
        path, bearer = self.as_user(f"/messages/{number}")
        value = {}
        if self.chance < 0.8:
            value["body"] = f"{self.ledger.created[self.chat].get(number, '?')} {self.mark} {self.words}"
        if self.chance > 0.6:
            value["metadata"] = self.metadata
        if 0.4 < self.chance < 0.7:
            value["mentions"] = self.mentions
        await self.change({("content", number): lambda answer: answer["rev"] if "rev" in answer else None},
                          "PATCH", path, value, bearer, headers)

    async def edit_if_match(self):
        number = self.number
        try:
            _, headers, _ = await self.tenant.ask("GET", f"{self.tenant.path}/chats/{self.chat}/messages/{number}",
                                                  bearer=self.tenant.key, choice=self.choice)
        except Lost:
            return
        tag = headers.get("ETag")
        await self.edit({"If-Match": tag} if tag and self.chance < 0.9 else {"If-Match": f'"{number}.999999"'})

    async def burst(self):
        """Several parts of two messages, at once: a reader stops between them."""
        self.way, older, mark = "key", self.age, self.mark
        for index in range(6):
            self.mark, self.age = f"{mark}.{index}", older if index % 2 else 0
            await (self.react() if index in (0, 3) else self.edit())

    async def delete(self):
        number = self.number
        path, bearer = self.as_user(f"/messages/{number}")
        await self.change({("content", number): lambda answer: answer["rev"],
                           ("reactions", number): lambda _: None, ("pin", number): lambda _: False},
                          "DELETE", path, None, bearer)

    async def react(self, method="PUT"):
        number = self.number
        path, bearer = self.for_user(f"/messages/{number}/reactions/{urllib.parse.quote(self.name_, safe='')}")
        await self.change({("reactions", number): lambda answer: answer.get("reactions", {}).get("rev")},
                          method, path, None, bearer)

    async def unreact(self):
        await self.react("DELETE")

    async def pin(self, method="PUT"):
        number = self.number
        path, bearer = self.for_user(f"/pins/{number}")
        await self.change({("pin", number): lambda _: method == "PUT"}, method, path, None, bearer)

    async def unpin(self):
        await self.pin("DELETE")

    async def join(self):
        self.impatient = False
        if self.role == "banned":
            return await self.put_out("PUT", {"role": "banned"}, "banned")
        self.ledger.lets_in(self.chat, self.other)
        path = f"{self.tenant.path}/chats/{self.chat}/members/{self.other}"
        await self.change({("member", self.other): lambda _: self.role}, "PUT", path, {"role": self.role},
                          self.tenant.key)

    async def leave(self):
        await self.put_out("DELETE", None, "none")

    async def put_out(self, method, value, role):
        self.impatient = False
        path = f"{self.tenant.path}/chats/{self.chat}/members/{self.other}"
        status, _ = await self.change({("member", self.other): lambda _: role}, method, path, value, self.tenant.key)
        is_sure = self.ledger.items[self.chat, "member", self.other].wanted == role
        if status == 200 and is_sure and self.chat in self.ledger.closed:
            self.ledger.removed(self.chat, self.other)

    async def describe(self):
        await self.settings({"name": f"Chat {self.mark}", "metadata": self.metadata})

    async def configure(self):
        history = {"history": "all" if self.chance < 0.3 else "since_join"} if self.chat in self.ledger.closed else {}
        await self.settings({"receipts": "members" if self.chance < 0.5 else "off", **history})

    async def access(self):
        """Of the last chat alone: what is there for its users does not depend on when they joined."""
        self.chat = self.chats[-1]
        if self.chat not in self.ledger.closed:
            await self.settings({"access": "open" if self.chance < 0.6 else "members"})

    async def settings(self, patch):
        def wanted(answer):
            return {name: answer[name] for name in ("name", "metadata", "access", "history", "receipts")}
        path = f"{self.tenant.path}/chats/{self.chat}"
        await self.change({("chat", 0): wanted}, "PATCH", path, patch, self.tenant.key)

    async def read(self):
        path, bearer = self.for_user("/read")
        before = self.ledger.reads.get((self.chat, self.user), 0)
        status, answer, _ = await self.ask("PUT", path, {"number": self.number}, bearer, tries=3)
        if status == 200:
            if answer["number"] < before:
                raise Violation(f"chat {self.chat}: {self.user} had read {before}, and is told {answer['number']}")
            key = self.chat, self.user
            self.ledger.reads[key] = max(answer["number"], self.ledger.reads.get(key, 0))

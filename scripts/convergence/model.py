"""What a client holds of a chat, by the rule for clients of docs/streams.md and nothing else, and what must never reach
it."""
import json

CONTENT = ("rev", "body", "metadata", "mentions", "edited_at", "deleted_at", "deleted_by")
SETTINGS = ("name", "metadata", "access", "history", "receipts")


class Violation(Exception):
    """A promise that was not kept."""


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def position(cursor):
    """The number and the revision of a cursor; the checker alone looks into one. A plain one has no revision."""
    parts = cursor.split(".")
    if parts[0].startswith("e"):
        parts.pop(0)
    return int(parts[0]), int(parts[1]) if len(parts) > 1 else None


def parts_of(message):
    """Of a message that comes as a whole: its content, and its reactions if it says anything of them."""
    content = {name: message.get(name) for name in CONTENT}
    content["rev"] = content["rev"] or 0
    return {"content": content, **({"reactions": message["reactions"]} if "reactions" in message else {})}


class State:
    def __init__(self, faults=()):
        self.faults = faults
        self.clear()

    def clear(self):
        self.messages, self.pins, self.members, self.settings, self.cursor = {}, {}, {}, {"rev": 0}, None
        self.threads = {}  # Number of the root → what replies have said of it.
        self.told = {}  # Thing → the highest revision that an event has told of it.

    def load(self, loaded):
        """Takes over what REST says. The cursor was read before all of it."""
        self.clear()
        self.cursor = loaded.cursor
        since = position(loaded.cursor)[1]
        for message in loaded.messages:
            self.take_message(message)
        for pin in loaded.pins:
            if self.messages.get(pin["number"], {}).get("deleted_at") is None:
                self.pins[pin["number"]] = {"rev": since, "pinned": True, **pin}
        self.members = {member["user"]: {"rev": since, **member} for member in loaded.members}
        self.settings = {"rev": since, **{name: loaded.chat[name] for name in SETTINGS}}

    def apply(self, kind, value, cursor):
        """Takes an event over, and then its cursor."""
        if kind == "message":
            self.take_message(value)
        elif kind == "message.changed":
            self.take_parts(value["number"], value["parts"])
            self.take_root(value)
        elif kind == "member.changed":
            self.take_over(self.members, value["user"], value)
        elif kind == "pin.changed":
            self.take_over(self.pins, value["number"], value)
        elif kind == "chat.changed" and self.is_news(value["rev"], self.settings["rev"]):
            self.settings = value
        if cursor is not None:
            self.cursor = cursor

    def is_news(self, rev, held):
        return rev >= held or "lower" in self.faults

    def take_over(self, table, key, value):
        if self.is_news(value["rev"], table.get(key, {}).get("rev", 0)):
            table[key] = value

    def take_message(self, message):
        number = message["number"]
        fixed = {name: value for name, value in message.items() if name not in (*CONTENT, "reactions", "root")}
        held = self.messages.setdefault(number, fixed)
        self.take_parts(number, parts_of(message))
        self.take_root(message)
        if canonical({name: held[name] for name in fixed}) != canonical(fixed):
            raise Violation(f"message {number} has become another one: {fixed}, before {held}")

    def take_root(self, value):
        """Both numbers only rise, whatever the order in which they are told."""
        if (root := value.get("root")) and "root" not in self.faults:
            held = self.threads.setdefault(root["number"], dict(root))
            for name in ("reply_count", "last_reply"):
                held[name] = max(held[name], root[name])

    def take_parts(self, number, parts):
        held = self.messages[number]
        content, reactions = parts.get("content"), parts.get("reactions")
        if content and self.is_news(content["rev"], held.get("rev", 0)):
            held.update(content)
            if content["deleted_at"] is not None and "keep-pin" not in self.faults:
                self.pins[number] = {"rev": content["rev"], "pinned": False}
        if reactions and self.is_news(reactions["rev"], held.get("reactions", {}).get("rev", 0)):
            held["reactions"] = reactions
        if reactions is None and "absent" in self.faults:
            held.pop("reactions", None)

    # What an event that the server sends now must be.

    def check(self, kind, value, cursor):
        before, now = position(self.cursor), position(cursor)
        if now[0] < before[0] or (before[1] is not None and (now[1] is None or now[1] < before[1])):
            raise Violation(f"the cursor falls from {self.cursor} to {cursor}")
        if kind == "message":
            if value["number"] <= before[0]:
                raise Violation(f"message {value['number']} comes after the cursor {self.cursor}")
            if value["number"] > now[0]:
                raise Violation(f"message {value['number']} has the cursor {cursor}")
            self.check_text(value["number"], parts_of(value)["content"])
            self.check_root(value["number"], value)
        elif kind == "message.changed":
            number, parts = value["number"], value["parts"]
            if number not in self.messages:
                raise Violation(f"a change of message {number} comes before it, at {cursor}")
            if "content" in parts:
                self.check_text(number, parts["content"])
            self.check_root(number, value)
            for name, part in parts.items():
                self.check_rise((number, name), part["rev"])
        elif kind == "member.changed":
            self.check_rise(("member", value["user"]), value["rev"])
        elif kind == "pin.changed":
            self.check_rise(("pin", value["number"]), value["rev"])
        elif kind == "chat.changed":
            self.check_rise("chat", value["rev"])

    def check_root(self, number, value):
        if value.get("root", {"last_reply": number})["last_reply"] < number:
            raise Violation(f"the thread of {number} does not count it: {value['root']}")

    def check_rise(self, thing, rev):
        if rev < self.told.get(thing, 0):
            raise Violation(f"{thing} is told with revision {rev}, after {self.told[thing]}")
        self.told[thing] = rev

    def check_text(self, number, content):
        said = [content["body"], content["metadata"], content.get("mentions")]
        if content["deleted_at"] is not None and any(said):
            raise Violation(f"the tombstone of message {number} has text: {content}")

    # What is compared.

    def parts(self, sees_members=True):
        """Of each kind, each thing as canonical JSON."""
        messages = {}
        for number, message in self.messages.items():
            shown = {name: value for name, value in message.items() if value is not None or name == "sender"}
            if shown.get("rev") == 0:
                del shown["rev"]
            messages[number] = canonical(shown)
        pins = {number: canonical({name: pin[name] for name in ("number", "pinned_by", "pinned_at")})
                for number, pin in self.pins.items() if pin["pinned"]}
        members = {user: canonical({name: member[name] for name in ("user", "role", "from_number", "joined_at")})
                   for user, member in self.members.items() if member["role"] is not None}
        settings = canonical({name: self.settings.get(name) for name in SETTINGS})
        threads = {number: canonical(root) for number, root in self.threads.items()}
        return {"messages": messages, "threads": threads, "pins": pins, "members": members if sees_members else {},
                "settings": {"chat": settings}}


def difference(name, held, fresh):
    """In what a state differs from a reload, byte for byte, and the first such thing; nil if it is the same."""
    lines, first = [], None
    for kind in fresh:
        for key in sorted(held[kind].keys() | fresh[kind].keys(), key=str):
            has, wanted = held[kind].get(key), fresh[kind].get(key)
            if has != wanted:
                first = first or key
                lines.append(f"{kind} {key}\n    {name}: {has}\n    a reload: {wanted}")
    more = f"\n  and {len(lines) - 3} more" if len(lines) > 3 else ""
    return ("\n  ".join(lines[:3]) + more, first) if lines else None

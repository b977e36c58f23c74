import json

from benchmarks.measuring import BODY, CHATS, TEXT, Measuring, median, median_ratio
from benchmarks.streams import KINDS


class Conversation(Measuring):
    """Edits, reactions and what has changed, beside creates.

    Each edit has a text of its own, and each reaction a user of its own, so that none of them is a repeat.
    """

    SECTIONS = ("changes", "delivery", "pages", "unread")
    COLUMNS = [("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("errors", "errors", 0)]
    SECONDS = 4

    @staticmethod
    def chats(server, count):
        token, paths = server.create_chats(count)
        return token, [path.removesuffix("/messages") for path in paths]

    def changes(self):
        with self.server("changes") as server:
            token, chats = self.chats(server, CHATS)
            for chat in chats:
                for _ in range(10):
                    server.call("POST", f"{chat}/messages", {"body": TEXT})
            edited = json.dumps({"body": TEXT[:-8] + "@"})
            messages = [f"{chat}/messages/{number}" for number in range(1, 11) for chat in chats]
            react = "reactions/%F0%9F%91%8D?user=u@"
            loads = {
                "creates in 100 chats": self.load("POST", [f"{chat}/messages" for chat in chats], BODY),
                "edits in 100 chats": self.load("PATCH", messages, edited),
                "reactions in 100 chats": self.load("PUT", [f"{message}/{react}" for message in messages]),
                "edits of one message": self.load("PATCH", messages[:1], edited),
                "reactions to one message": self.load("PUT", [f"{messages[0]}/{react}"]),
            }
            runs = self.alternate(
                {name: lambda load=load: self.wrk(load, server.port, self.options.seconds) for name, load in loads.items()},
                turns=True)
        creates = runs.pop("creates in 100 chats")
        self.add("creates in 100 chats", runs=creates)
        for case, some in runs.items():
            least = 0.7 if "100 chats" in case else 0.3
            self.add(case, median_ratio(some, creates), "of creates", at_least=least, runs=some)

    def delivery(self):
        """1,000 writes a second to one chat with 100 readers, one in 20 of them an edit."""
        rate, readers = 1_000, 100
        with self.server("delivery") as server:
            token, chats = self.chats(server, 1)
            for _ in range(100):
                server.call("POST", f"{chats[0]}/messages", {"body": TEXT})

            def run(kind):
                flags = {"rate": rate, "edits": 20, "seconds": self.options.seconds, "readers": readers}
                with self.reading(server, token, kind, **flags) as crowd:
                    result = crowd.line()
                edits = result["edit_to_delivery"]
                errors = abs(result["written"] * readers - result["received"]) + result["out_of_order"] + result["refused"]
                return {"rate": result["received"] / (self.options.seconds + 2), "p50_ms": edits["p50_ms"],
                        "p99_ms": edits["p99_ms"], "errors": errors}

            cases = {f"an edit to {readers} readers over {name}": lambda kind=kind: run(kind) for kind, name in KINDS.items()}
            for case, some in self.alternate(cases).items():
                self.add(case, median(some, "p99_ms"), "ms p99", at_most=15, runs=some)

    def pages(self):
        for count in 1_000, 1_000_000:
            database, token = self.fill(count, 1)
            with self.server(database) as server:
                chat = f"/applications/{token}/chats/1"
                for number in range(1, 1001):
                    path = f"{chat}/messages/{number * (count // 1000)}"
                    server.call("PATCH", path, {"body": f"edited {number}"})
                load = self.load("GET", [f"{chat}/changes?after={count}.0&limit=1000"])
                runs = self.alternate({f"{count:,}": lambda: self.one(load, server.port)})[f"{count:,}"]
            self.add(f"a page of 1,000 changes, of {count:,} messages", median(runs, "p50_ms"), "ms", at_most=10, runs=runs)

    def one(self, load, port):
        """A run with one connection: the time of each request by itself."""
        return self.wrk(load, port, self.options.seconds, connections=1)

    def unread(self):
        with self.server("unread") as server:
            token, chats = self.chats(server, CHATS)
            application = f"/applications/{token}"
            for number, chat in enumerate(chats, 1):
                server.call("PATCH", chat, {"access": "members"})
                server.call("PUT", f"{chat}/members/u1", {"role": "member"})
            load = self.load("POST", [f"{chat}/messages" for chat in chats], BODY)
            while json.loads(server.call("GET", chats[-1]))["messages_count"] < 1_000:
                self.wrk(load, server.port, 2)
            load = self.load("GET", [f"{application}/users/u1/chats?order=activity&limit=100"])
            runs = self.alternate({"inbox": lambda: self.one(load, server.port)})["inbox"]
        self.add("unread of 100 chats, 1,000 each", median(runs, "p50_ms"), "ms", at_most=10, runs=runs)

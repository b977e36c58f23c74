import contextlib
import json
import os
import subprocess

from benchmarks.measuring import BODY, CHATS, TEXT, Measuring, median_ratio

# Limits hold for users, as by default, but at a pace that no run reaches.
LIMITS = "create=600000/600000 change=600000/600000 read=600000/600000 stream=600000/600000/1000"


class Access(Measuring):
    """Creates and gets by application keys and user tokens, beside those by the token in the path."""

    SECTIONS = ("principals",)
    COLUMNS = [("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("errors", "errors", 0)]
    ROUNDS = 5
    SECONDS = 4

    def luciq(self, *arguments, **environment):
        command = [self.options.binary, *map(str, arguments)]
        return subprocess.check_output(command, text=True, env=os.environ | environment).strip()

    @contextlib.contextmanager
    def closed(self, database):
        """A server with an admin key, and a function that asks it with that key."""
        admin = self.luciq("keys", "admin")
        within, self.environment = self.environment, lambda *names: within(*names) | {
            "LUCIQ_ADMIN_KEY": admin, "LIMITS_USER": LIMITS}
        try:
            with self.server(database) as server:
                yield server, lambda method, path, value=None: json.loads(server.call(method, path, value, admin))
        finally:
            self.environment = within

    def principals(self):
        with self.closed("principals") as (server, call):
            made = call("POST", "/applications", {"name": "bench"})
            application, token, key = f"/applications/{made['id']}", made["token"], None
            call("PATCH", application, {"path_token": "credential"})
            key = call("POST", f"{application}/keys", {"name": "bench", "scopes": ["read", "write"]})["key"]
            signing = call("POST", f"{application}/jwt-keys", {"alg": "HS256"})
            users = [
                self.luciq("token", made["id"], "--kid", signing["kid"], "--user", f"u{number}",
                           LUCIQ_JWT_SECRET=signing["secret"]) for number in range(1, CHATS + 1)]
            for number in range(1, CHATS + 1):
                call("POST", f"{application}/chats", {"access": "members"})
                call("PUT", f"{application}/chats/{number}/members/u{number}", {"role": "member"})
            for _ in range(1000):
                call("POST", f"{application}/chats/1/messages", {"body": TEXT})
            chats = [f"/applications/{token}/chats/{number}/messages" for number in range(1, CHATS + 1)]
            gets = [f"{chats[0]}/{number}" for number in range(1, 1001)]
            principals = {"path token": [None], "application key": [key], "user token": users}
            loads = []
            for case, method, paths, body in ("create", "POST", chats, BODY), ("get", "GET", gets, None):
                for name, credentials in principals.items():
                    # Each user writes into its own chat; the first one reads.
                    some = credentials if method == "POST" else credentials[:1]
                    loads.append((f"{case}, {name}", self.load(method, paths, body, some), server.port))
            cases = {
                name: lambda load=load, port=port: self.wrk(load, port, self.options.seconds) for name, load, port in loads}
            runs = self.alternate(cases, turns=True)
        for case in "create", "get":
            plain = runs[f"{case}, path token"]
            self.add(f"{case}, path token", runs=plain)
            for name, least in ("application key", 0.95), ("user token", 0.9):
                mine = runs[f"{case}, {name}"]
                self.add(f"{case}, {name}", median_ratio(mine, plain), "of the path token's", at_least=least, runs=mine)

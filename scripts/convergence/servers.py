"""Servers of their own, and what befalls them: one over SQLite, or two over one MariaDB and one Redis."""
import asyncio, os, pathlib, re, signal, socket, subprocess, sys, tempfile, time

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent


def free_port(given=set()):
    # Below the system's range for outgoing connections, so that it is still free for a restart.
    for port in range(15000 + os.getpid() * 7 % 10000, 32000):
        with socket.socket() as probe:
            if port not in given and probe.connect_ex(("127.0.0.1", port)) != 0:
                given.add(port)
                return port
    sys.exit("There is no free port")


class Process:
    """A server at a port that it keeps over restarts."""

    def __init__(self, binary, environment, folder, name):
        self.binary, self.log = binary, pathlib.Path(folder, name + ".log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**environment, "PORT": str(self.port)}
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen([self.binary, "serve"], env=self.environment, stderr=log, stdout=log)

    async def ready(self, session):
        for _ in range(1200):
            try:
                async with session.get(self.url + "/livez") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            except Exception as error:  # aiohttp's, while the port is closed or half open
                if self.process.poll() is not None:
                    raise SystemExit(f"The server has ended: {self.log.read_text()[-1500:]}") from error
            await asyncio.sleep(0.05)
        sys.exit("The server did not start: " + self.log.read_text()[-1500:])

    async def restart(self, how):
        self.process.send_signal(how)
        while self.process.poll() is None:
            await asyncio.sleep(0.02)
        self.start()

    async def freeze(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def memory(self, field="VmRSS"):
        """In MiB; VmHWM for the highest yet."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(field + r":\s+(\d+) kB", status)[1]) / 1024


class Servers:
    """Ends them with this process, which a signal must not end without them."""

    faults = ("kill", "terminate", "freeze")

    def __init__(self, binary, backend):
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: sys.exit("It was told to stop."))
        self.folder = tempfile.TemporaryDirectory(prefix="luciq-convergence.")
        self.admin = subprocess.check_output([binary, "keys", "admin"], text=True).strip()
        # What is limited or refused would only be less of what is tested.
        environment = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "LOG_FORMAT": "json",
                       "LUCIQ_ADMIN_KEY": self.admin, "LIMITS_AUTH": "0", "LIMITS_USER": "off", "SHUTDOWN_TIMEOUT": "5"}
        self.services = None
        self.processes = []
        if backend == "embedded":
            environment["DATABASE_URL"] = f"sqlite://{self.folder.name}/luciq.sqlite"
        else:
            self.faults += ("flush", "redis", "connections")
            self.services = pathlib.Path(self.folder.name, "services")
            # A crash of the machine is not tested here.
            said = subprocess.check_output([SCRIPTS / "services", "start", self.services], text=True,
                                           env={**os.environ, "SERVICES_SYNC": "0"})
            found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
            self.mysql_port = re.search(r":(\d+)/", found["DATABASE_URL"])[1]
            self.redis_port = re.search(r":(\d+)/", found["REDIS_URL"])[1]
            environment |= {"DATABASE_URL": found["DATABASE_URL"], "REDIS_URL": found["REDIS_URL"]}
            # The second one must not migrate at the same time.
            subprocess.run([binary, "db", "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        for index in range(1 if backend == "embedded" else 2):
            self.processes.append(Process(binary, environment, self.folder.name, f"server-{index + 1}"))
        self.frozen_s = 0.0

    async def ready(self, session):
        for process in self.processes:
            await process.ready(session)

    async def strike(self, fault, victim, seconds):
        """Carries out one fault, and returns when what it struck runs again (if not yet answers)."""
        process = self.processes[victim % len(self.processes)]
        if fault == "kill":
            await process.restart(signal.SIGKILL)
        elif fault == "terminate":
            await process.restart(signal.SIGTERM)
        elif fault == "freeze":
            began = time.monotonic()
            await process.freeze(seconds)
            self.frozen_s += time.monotonic() - began
        elif fault == "flush":
            await run("redis-cli", "-p", self.redis_port, "FLUSHALL")
        elif fault == "redis":
            file = self.services / "redis-server.pid"
            os.kill(int(file.read_text()), signal.SIGKILL)
            await asyncio.sleep(seconds)
            file.write_text(str(start_redis(self.redis_port, self.services)))
        elif fault == "connections":
            await run("mariadb", "--no-defaults", "--host=127.0.0.1", "--port=" + self.mysql_port, "--user=root",
                      "-e", "KILL CONNECTION USER luciq@'127.0.0.1'", MYSQL_PWD="secret")

    def stop(self):
        for process in self.processes:
            process.stop()
        if self.services:
            subprocess.run([SCRIPTS / "services", "stop", self.services], check=False)
        self.folder.cleanup()


async def run(*command, **environment):
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode != 0:
        sys.exit(f"{command[0]} has failed: {said.decode()}")


def start_redis(port, folder):
    """As scripts/services does; its pid."""
    with open(folder / "redis-server.log", "a") as log:
        return subprocess.Popen(
            ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", str(folder), "--databases", "512",
             "--save", "", "--appendonly", "no"], stdout=log, stderr=log, start_new_session=True).pid

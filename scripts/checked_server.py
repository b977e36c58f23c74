"""A server of its own for the checks in this folder: on a free port, in a temporary folder, closed by a key."""
import os, pathlib, re, subprocess, sys, tempfile, time


class Server:
    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory()
        log = pathlib.Path(self.folder.name, "log")
        self.admin = subprocess.check_output([binary, "keys", "admin"], text=True).strip()
        # What is refused comes by the thousand from one address here.
        environment = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json",
                       "LUCIQ_ADMIN_KEY": self.admin, "LIMITS_AUTH": "0",
                       "DATABASE_URL": f"sqlite://{self.folder.name}/luciq.sqlite"}
        self.process = subprocess.Popen([binary, "serve"], env=environment, stderr=log.open("w"))
        for _ in range(400):
            if port := re.search(r'"url":"http://127.0.0.1:(\d+)"', log.read_text()):
                self.url = "http://127.0.0.1:" + port[1]
                return
            time.sleep(0.05)
        said = log.read_text()[-500:]
        self.stop()
        sys.exit("The server did not start: " + said)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

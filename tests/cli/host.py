"""tests/cli/host.py - a folder with the files of one host, and its daemon; both programs are the real ones."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
KEYS = ["fC5rqxFVyQH7K0gwXXjHBmVr0vFWKDbCIM1YLPc6zxM=", "lWhqTJfkMzB9nNqwFQYHqKkJdHhIZeRDLpM8wCQwVFQ="]


class Host:
    """A folder with the files of one host, and its daemon."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="lapwing-apply-")
        os.chmod(self.dir, 0o755)
        self.config = self.dir + "/etc/lapwing.json"
        self.mesh = self.dir + "/etc/mesh.json"
        self.daemon = None
        os.mkdir(self.dir + "/state", 0o755)
        os.mkdir(self.dir + "/run", 0o755)
        self.key = self.run("genkey", self.dir + "/state/private.key").stdout.strip()

    def run(self, *args, text=None):
        return subprocess.run([BUILD + "/lapwing", "--run", self.dir + "/run", *args], text=True, input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)

    def start(self):
        self.daemon = subprocess.Popen(
            [BUILD + "/lapwingd", "--config", self.config, "--state", self.dir + "/state", "--run", self.dir + "/run"],
            stderr=open(self.dir + "/log", "a", encoding="utf8"))
        for _ in range(200):
            if self.run("status", "--check=live").returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("lapwingd does not start: " + open(self.dir + "/log", encoding="utf8").read())

    def stop(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
        self.daemon = None

    def done(self):
        self.stop()
        subprocess.run(["umount", self.dir + "/etc"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.dir)

    def document(self, peers=1, mesh="m", **more):
        """A document with this host and so many others in its mesh."""
        hosts = [{"name": "self", "public_key": self.key, "addresses": ["100.64.0.1"]}]
        hosts += [{"name": f"p{i}", "public_key": KEYS[i], "addresses": [f"100.64.1.{i}"],
                   "endpoints": [f"192.0.2.{i + 1}:51820"]} for i in range(peers)]
        return {"private_key_file": self.dir + "/state/private.key", "mesh_file": self.mesh,
                "mesh": {"mesh": mesh, "hosts": hosts}, **more}

    def write(self, document):
        path = self.dir + "/wanted.json"
        with open(path, "w", encoding="utf8") as f:
            f.write(document if isinstance(document, str) else json.dumps(document, indent=1))
        return path

    def apply(self, document, *args, command="apply"):
        """The exit status and the JSON document."""
        result = self.run(command, "--json", "--config", self.config, "-f", self.write(document), *args)
        return result.returncode, json.loads(result.stdout)

    def files(self):
        """All that there is, with its content."""
        folder = self.dir + "/etc"
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return {name: open(f"{folder}/{name}", encoding="utf8").read() for name in names}


def check(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r}, not {wanted!r}")


def apart():
    """Goes on with a network and mounts of its own."""
    if os.environ.get("LAPWING_APART") != "1":
        os.environ["LAPWING_APART"] = "1"
        as_root = [] if os.getuid() == 0 else ["-r"]
        os.execvp("unshare", ["unshare", "-mn", *as_root, sys.executable, os.path.abspath(sys.argv[0])])


def main(tests):
    apart()
    failed = 0
    print(f"1..{len(tests)}")
    for i, test in enumerate(tests, 1):
        host = Host()
        try:
            why = test(host)
            print(f"ok {i} {test.__name__}" + (f" # SKIP {why}" if why else ""), flush=True)
        except Exception as e:  # pylint: disable=broad-except
            at = e.__traceback__
            at = at.tb_next.tb_lineno if at.tb_next else 0
            failed += 1
            print(f"not ok {i} {test.__name__}, line {at}: {type(e).__name__}: {e}", flush=True)
        host.done()
    sys.exit(failed > 0)

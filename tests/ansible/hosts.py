"""tests/ansible/hosts.py - fake hosts: each has mounts, a network and processes of its own, and lies over this machine's files."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", TOP + "/build"))
COLLECTION = TOP + "/scripts/ansible"
MESH = COLLECTION + "/mesh.yml"
FIRST = ["Configure", "Make the private key", "Start, now and with the host"]  # what changes on a new host
BECOME = """
mount -t overlay -o lowerdir=$0/below:/,upperdir=$0/$1.up,workdir=$0/$1.work none $0/$1 && cd $0/$1 &&
rm -rf etc/lapwing var/lib/lapwing var/lib/lapwing-tune && mount -t proc none proc && mount --rbind /dev dev &&
mount -t tmpfs none run && mount -t tmpfs none tmp && mount -t tmpfs none var/lib/apt/lists && ip link set lo up && : >$0/$1.made && exec chroot . sh -c 'sleep infinity & wait'
"""


class Hosts:
    """A folder for all of them; `pids` has a file for each, with the number of its first process."""

    def __init__(self, programs=True):
        self.dir = tempfile.mkdtemp(prefix="lapwing-ansible-")
        os.chmod(self.dir, 0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", self.dir], check=True)
        self.pids = self.dir + "/pids"
        self.inits = {}
        os.makedirs(self.dir + "/below/usr/bin")
        os.mkdir(self.pids)
        shutil.copy(TOP + "/tests/ansible/systemctl", self.dir + "/below/usr/bin")
        if programs:
            self.install(self.dir + "/below")

    def install(self, root):
        """What a package does, without one."""
        for folder, source in (("usr/sbin", BUILD + "/lapwingd"), ("usr/bin", BUILD + "/lapwing"),
                               ("usr/lib/systemd/system", TOP + "/scripts/lapwing.service"),
                               ("usr/lib/systemd/system", TOP + "/scripts/lapwing-tune.service")):
            os.makedirs(f"{root}/{folder}", exist_ok=True)
            shutil.copy(source, f"{root}/{folder}")

    def add(self, *names):
        for name in names:
            for folder in ("", ".up", ".work"):
                os.mkdir(f"{self.dir}/{name}{folder}")
            os.chmod(f"{self.dir}/{name}.up", 0o755)
            self.inits[name] = subprocess.Popen(
                ["unshare", "-mnpi", "--fork", "--kill-child", "sh", "-c", BECOME, self.dir, name])
        for name in names:
            while not os.path.exists(f"{self.dir}/{name}.made"):
                if self.inits[name].poll() is not None:
                    raise AssertionError(f"{name} cannot be made")
                time.sleep(0.01)
            self.up(name)

    def up(self, name):
        pid = self.inits[name].pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf8") as f:
            child = f.read().strip()
        with open(f"{self.pids}/{name}", "w", encoding="utf8") as f:
            f.write(child)
        if os.path.exists(f"{self.pids}/{name}.left"):
            os.unlink(f"{self.pids}/{name}.left")

    def down(self, name, after=0):
        """Once it has answered so many commands."""
        with open(f"{self.pids}/{name}.left", "w", encoding="utf8") as f:
            f.write(str(after))

    def path(self, name, path):
        """A file of a host, from outside."""
        pid = self.inits[name].pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf8") as f:
            return f"/proc/{f.read().strip()}/root{path}"

    def read(self, name, path):
        with open(self.path(name, path), encoding="utf8") as f:
            return f.read()

    def on(self, name, *command):
        pid = self.path(name, "").split("/")[2]
        return subprocess.run(["nsenter", f"-t{pid}", "-a", "-r", "-w", *command], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def play(self, playbook, inventory, *args, check=False):
        """What became of each task on each host."""
        path = self.dir + "/inventory.json"
        with open(path, "w", encoding="utf8") as f:
            json.dump(inventory, f)
        plugins = TOP + "/tests/ansible/plugins"
        env = dict(os.environ, ANSIBLE_CONFIG=COLLECTION + "/ansible.cfg", ANSIBLE_CONNECTION_PLUGINS=plugins, HOME=self.dir,
                   ANSIBLE_CALLBACK_PLUGINS=plugins, ANSIBLE_STDOUT_CALLBACK="lines", ANSIBLE_PIPELINING="1",
                   ANSIBLE_LOCALHOST_WARNING="0", PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", path, playbook, *(["--check", "--diff"] if check else []), *args], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        run = Run(done.returncode, done.stdout + done.stderr)
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                run.add(json.loads(line))
        if not run.lines:
            raise AssertionError(run.text)
        return run

    def done(self):
        for init in self.inits.values():
            init.send_signal(signal.SIGKILL)
            init.wait()
        subprocess.run(["umount", "-l", self.dir], check=False)
        os.rmdir(self.dir)


class Run:
    """What a playbook has done."""

    def __init__(self, status, text):
        self.status = status
        self.text = text
        self.lines = []

    def add(self, line):
        self.lines.append(line)

    def became(self, *kinds):
        """Hosts and tasks that became so."""
        return sorted((x["host"], x["task"]) for x in self.lines if x["became"] in kinds)

    def changed(self):
        return self.became("changed")

    def failures(self):
        """What was said of each that failed."""
        return {x["host"]: f"{x['said']} {x['errors'] or ''}" for x in self.lines if x["became"] in ("failed", "unreachable")}


def playbook(hosts, name, text):
    path = f"{hosts.dir}/{name}.yml"
    with open(path, "w", encoding="utf8") as f:
        f.write("- hosts: lapwing\n" + text)
    return path


def role(hosts):
    """A playbook with nothing but the role."""
    return playbook(hosts, "role", "  roles: [{role: lapwing.mesh.lapwing}]\n")


def inventory(hosts, members, **more):
    """The group of the example, whose hosts are numbered; a variable of one host is {host: {variable: ...}} in `only`."""
    only = more.pop("only", {})
    names = {name: {"lapwing_host": {"addresses": [f"100.64.0.{i + 1}"]}, **only.get(name, {})} for i, name in enumerate(members)}
    return {"all": {"children": {"lapwing": {"hosts": names, "vars": {
        "ansible_connection": "fakehost", "fakehosts": hosts.pids, "ansible_become": False,
        "ansible_python_interpreter": "/usr/bin/python3", "lapwing_package": "", "lapwing_wait": "live",
        "lapwing_mesh": {"mesh": "prod"}, **more}}}}}


def check(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r}, not {wanted!r}")


def check_done(run):
    if run.status:
        raise AssertionError(run.failures() or run.text)
    return run


def has(text, words):
    if words not in text:
        raise AssertionError(f"no {words!r} in {text!r}")


def foreseen(hosts, playbook, made, *args):
    """The real run, after one in check mode has told of the same changes, task by task."""
    before = check_done(hosts.play(playbook, made, *args, check=True))
    after = check_done(hosts.play(playbook, made, *args))
    check(before.changed(), after.changed())
    return after


def main(tests):
    """Each test gets hosts of its own; goes on with mounts of its own."""
    if os.environ.get("LAPWING_APART") != "1":
        os.environ["LAPWING_APART"] = "1"
        as_root = [] if os.getuid() == 0 else ["-r"]
        os.execvp("unshare", ["unshare", "-m", *as_root, sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    if not shutil.which("ansible-playbook"):
        print("1..1\nok 1 # SKIP no ansible-core")
        return
    tests = [test for test in tests if sys.argv[1:] in ([], [test.__name__])]
    print(f"1..{len(tests)}")
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # of a test that takes too long its hosts end, too
    for i, test in enumerate(tests, 1):
        hosts = Hosts()
        begun = time.monotonic()
        try:
            why = test(hosts)
            print(f"ok {i} {test.__name__}" + (f" # SKIP {why}" if why else ""), flush=True)
        except Exception as e:  # pylint: disable=broad-except
            at = e.__traceback__
            at = at.tb_next.tb_lineno if at.tb_next else 0
            failed += 1
            print(f"not ok {i} {test.__name__}, line {at}: {type(e).__name__}: {str(e)[-4000:]}", flush=True)
        finally:
            hosts.done()
        print(f"# {test.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
    sys.exit(failed > 0)

"""tests/ansible/hosts.py - fake hosts: each has mounts, a network and processes of its own, and lies over this machine's files."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", TOP + "/build"))
COLLECTION = TOP + "/scripts/ansible"
BECOME = """
mount -t overlay -o lowerdir=$0/below:/,upperdir=$0/$1.up,workdir=$0/$1.work none $0/$1 && cd $0/$1 &&
rm -rf etc/lapwing var/lib/lapwing var/lib/lapwing-tune && mount -t proc none proc && mount --rbind /dev dev &&
mount -t tmpfs none run && mount -t tmpfs none tmp && ip link set lo up && : >$0/$1.made && exec chroot . sleep infinity
"""


class Hosts:
    """A folder for all of them; `pids` has a file for each that is not down."""

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

    def down(self, name):
        os.unlink(f"{self.pids}/{name}")

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
        run = Run(done.returncode)
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                run.add(json.loads(line))
        if not run.lines:
            raise AssertionError(done.stdout + done.stderr)
        return run

    def done(self):
        for init in self.inits.values():
            init.send_signal(signal.SIGKILL)
            init.wait()
        subprocess.run(["umount", "-l", self.dir], check=False)
        os.rmdir(self.dir)


class Run:
    """What a playbook has done."""

    def __init__(self, status):
        self.status = status
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

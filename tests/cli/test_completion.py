#!/usr/bin/python3
"""tests/cli/test_completion.py - bash, zsh and fish complete a line that is typed at them; peers are those of a daemon."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

from host import BUILD, check, main

SCRIPTS = os.path.abspath("scripts/completion")
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
# Prints the line as it stands.
BASH_SETUP = r"""PS1='ready> '; bind 'set bell-style none'; bind -x '"\C-x\C-p": printf "<<%%s>>" "$READLINE_LINE"'
. %s; . %s/bash"""
ZSH_SETUP = r"""PS1='ready> '; unsetopt BEEP; setopt NO_ALWAYS_LAST_PROMPT; fpath=(%s $fpath); autoload -U compinit; compinit -D -u
p() { print -n "<<$BUFFER>>" }; zle -N p; bindkey '^X^P' p"""

# What is typed before the key, and the line after it; DIR is the daemon's, with the folder "sub" in it.
LINES = [
    ("lapwing enr", "lapwing enroll "),
    ("lapwing check", "lapwing check-config "),
    ("lapwing nothing", "lapwing nothing"),
    ("lapwing psk cl", "lapwing psk clear "),
    ("lapwing log-level de", "lapwing log-level debug "),
    ("lapwing metrics --per", "lapwing metrics --per-peer "),
    ("lapwing status --che", "lapwing status --check="),
    ("lapwing status --check=re", "lapwing status --check=ready "),
    ("lapwing enroll --wait=con", "lapwing enroll --wait=control "),
    ("lapwing tune dia", "lapwing tune diagnose "),
    ("lapwing tune apply --only=irq,flo", "lapwing tune apply --only=irq,flow-hash "),
    ("lapwing tune apply --underlay l", "lapwing tune apply --underlay lo "),
    ("lapwing plan -f DIR/want", "lapwing plan -f DIR/wanted.json "),
    ("lapwing plan --file=DIR/want", "lapwing plan --file=DIR/wanted.json "),
    ("lapwing --run DIR/ru", "lapwing --run DIR/run/"),
    ("lapwing --run DIR/run peers oth", "lapwing --run DIR/run peers other "),
    ("lapwing --run DIR/run wake --wait oth", "lapwing --run DIR/run wake --wait other "),
    ("lapwing --run DIR/nowhere wake oth", "lapwing --run DIR/nowhere wake oth"),
]


class Shell:
    """An interactive one at a terminal."""

    def __init__(self, argv, setup, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.send(setup.replace("\n", "; ") + "; clear; echo set'up'\n")
        self.until("setup\r?\n")

    def send(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        text, end = "", time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                text += os.read(self.fd, 4096).decode(errors="replace")
            match = re.search(pattern, text)
            if match:
                return match
        raise AssertionError(f"no {pattern} in {text!r}")

    def complete(self, line):
        self.send("\x15" + line + "\t\x18\x10")
        return self.until(r"<<(.*?)>>").group(1)

    def done(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def environment(host):
    """lapwing is the one that was built, and nothing of the user's is read."""
    env = {"PATH": BUILD + ":/usr/bin:/bin:/usr/sbin:/sbin", "HOME": host.dir, "TERM": "dumb", "LC_ALL": "C.UTF-8", "COLUMNS": "500"}
    os.makedirs(host.dir + "/etc", exist_ok=True)
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    host.start()
    host.run("down")
    document = host.document(peers=1)
    document["mesh"]["hosts"][1]["name"] = "other"
    check(host.apply(document)[0], 0)
    return env


def differences(host, complete):
    lines = [(typed.replace("DIR", host.dir), wanted.replace("DIR", host.dir)) for typed, wanted in LINES]
    return [(got, wanted) for got, wanted in ((complete(typed), wanted) for typed, wanted in lines) if got != wanted]


def test_bash(host):
    if not os.path.exists(BASH_COMPLETION):
        return "no bash-completion"
    shell = Shell(["bash", "--norc", "--noprofile", "-i"], BASH_SETUP % (BASH_COMPLETION, SCRIPTS), environment(host))
    check(differences(host, shell.complete), [])
    shell.done()
    return None


def test_zsh(host):
    if not shutil.which("zsh"):
        return "no zsh"
    env = environment(host)
    os.mkdir(host.dir + "/functions")
    shutil.copy(SCRIPTS + "/zsh", host.dir + "/functions/_lapwing")
    shell = Shell(["zsh", "-f", "-i"], ZSH_SETUP % (host.dir + "/functions"), env)
    check(differences(host, shell.complete), [])
    shell.done()
    return None


def test_fish(host):
    """It prints the words that it would offer."""
    if not shutil.which("fish"):
        return "no fish"
    env = environment(host)

    def complete(typed):
        result = subprocess.run(["fish", "--no-config", "-c", f"source {SCRIPTS}/fish; complete -C '{typed}'"], env=env, text=True,
                                stdout=subprocess.PIPE, check=True)
        words = [line.split("\t")[0] for line in result.stdout.splitlines()]
        line = typed.rsplit(" ", 1)[0] + " " + words[0] if len(words) == 1 else typed
        return line if line == typed or line[-1] in "=/" else line + " "

    check(differences(host, complete), [])
    return None


main([test_bash, test_zsh, test_fish])

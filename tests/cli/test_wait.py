#!/usr/bin/python3
"""tests/cli/test_wait.py - who waits for a mesh or a network is told at once when it cannot come, and why."""
import json
import os
import pathlib
import subprocess
import sys
import time

from host import check, main

SOON = 8  # seconds; waiting to the end takes 60 and more


def soon(host, *args, text=None):
    """The exit status and the document, long before the time is over."""
    begin = time.monotonic()
    result = host.run(*args, "--json", text=text)
    took = time.monotonic() - begin
    if took > SOON:
        raise AssertionError(f"{args}: {took:.1f} s: {result.stdout}")
    return result.returncode, json.loads(result.stdout)


def start(host, config="{}"):
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write(config)
    host.start()


def can_make(kind, name):
    return subprocess.run(["ip", "link", "add", name, "type", kind], stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_interface(host):
    """The first thing that a mesh needs, and all else waits for, cannot be had."""
    if not any(can_make(kind, "wtwait0") for kind in ("dummy", "veth", "bridge")):
        return "no interface can be made"
    start(host)
    document = host.document(interface={"name": "wtwait0"})
    code, answer = soon(host, "apply", "--config", host.config, "-f", host.write(document))
    check((code, answer["state"], answer["changed"]), (7, "conflict", True))
    check("interface wtwait0 exists" in answer["reason"], True)
    for _ in ("at first", "when it is known"):
        code, answer = soon(host, "up", "--wait")
        check((code, answer["state"], answer["code"]), (12, "conflict", 12))
        check("interface wtwait0 exists" in answer["reason"], True)
    result = host.run("up", "--wait")
    check((result.returncode, "interface wtwait0 exists" in result.stdout), (12, True))
    check(soon(host, "up")[0], 0)
    code, answer = soon(host, "down")
    check((code, answer["state"], answer["code"]), (0, "down", 0))
    return None


def test_kernel(host):
    """It has no WireGuard: what is found out comes at once, also after something else was in the way."""
    if can_make("wireguard", "wtwait0"):
        return "it has"
    start(host)
    code, answer = soon(host, "apply", "--config", host.config, "-f", host.write(host.document()))
    check((code, answer["state"]), (7, "degraded"))
    check("no WireGuard" in answer["reason"], True)
    code, answer = soon(host, "up", "--wait")
    check((code, answer["code"]), (9, 9))
    return None


def test_files(host):
    """A file that is not valid is the answer, whatever else is under way."""
    start(host)
    check(host.run("down").returncode, 0)
    check(host.apply(host.document())[0], 0)
    with open(host.mesh, "w", encoding="utf8") as f:
        f.write("{")
    code, answer = soon(host, "up", "--wait")
    check((code, answer["code"]), (13, 13))
    check(host.mesh in answer["message"], True)
    return None


def test_nothing(host):
    """There is neither a mesh nor a network."""
    start(host)
    for until in ("ready", "control"):
        code, answer = soon(host, "up", "--wait=" + until)
        check((code, answer["code"], answer["state"]), (4, 4, "waiting"))
    return None


class Network:
    """A network that this host has joined."""

    def __init__(self, host, *arguments):
        from running import Program  # pylint: disable=import-outside-toplevel
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.hub = Program("hub.py", "--listen", "127.0.0.1:0", *arguments)
        self.url = "http://" + self.hub.target
        self.host = host

    def join(self, *more):
        return soon(self.host, "enroll", "--management-url", self.url, "--setup-key-stdin", *more,
                    text=self.hub.add_key(reusable=True))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.process.kill()


def test_server(host):
    """A server that does not know this host any more, or does not let it in."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "hub"))
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        return "no python3-grpcio"
    start(host)
    with Network(host) as network:
        code, answer = soon(host, "enroll", "--management-url", network.url, "--setup-key-stdin", "--wait",
                            text="11111111-2222-3333-4444-555555555555")
        check((code, answer["error"]["class"]), (15, "setup_key"))
        check(network.join("--wait=control")[0], 0)
        host.run("down")
        network.hub.remove(peer=host.key)
        for _ in ("at first", "when it is known"):
            code, answer = soon(host, "up", "--wait=control")
            check((code, answer["code"]), (4, 4))
            check(answer["message"].startswith(f"management {network.url}: "), True)
        # Where both are in the way, the one that was found first.
        check(soon(host, "up", "--wait=ready")[0] in (4, 9), True)
        # It joins again, and is blocked as soon as it is there.
        check(network.join("--wait=control")[0], 0)
        network.hub.mark(peer=host.key, blocked=True)
        while json.loads(host.run("status", "--json").stdout)["control"]["management"]["state"] == "connected":
            time.sleep(0.05)
        code, answer = soon(host, "up", "--wait=control")
        check((code, answer["code"]), (4, 4))
    return None


main([test_interface, test_kernel, test_files, test_nothing, test_server])

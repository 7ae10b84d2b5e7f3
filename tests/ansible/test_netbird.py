#!/usr/bin/python3
"""tests/ansible/test_netbird.py - joining the network of a server, which is the hub of tests/hub, and leaving it."""
import os
import subprocess
import sys

from hosts import TOP, check, check_done, foreseen, has, inventory, main, role


class Hub:
    """In the network of a host."""

    def __init__(self, hosts, name):
        self.control = hosts.dir + "/hub.sock"
        pid = hosts.path(name, "").split("/")[2]
        self.process = subprocess.Popen(
            ["nsenter", f"-t{pid}", "-n", sys.executable, TOP + "/tests/hub/hub.py", "--control", self.control,
             "--listen", "127.0.0.1:33073"], stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def tell(self, *words):
        done = subprocess.run([sys.executable, TOP + "/tests/hub/hubctl", "-s", self.control, *words], text=True, check=True,
                              stdout=subprocess.PIPE)
        return done.stdout.strip()


def test_network(hosts):
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        return "no python3-grpcio"
    hosts.add("a")
    hub = Hub(hosts, "a")
    try:
        in_network(hosts, hub)
    finally:
        hub.process.kill()
        hub.process.wait()
    return None


def in_network(hosts, hub):
    play = role(hosts)
    key = hub.tell("add-key", "reusable=false")
    wanted = {"lapwing_mesh": {}, "lapwing_management_url": "http://127.0.0.1:33073/"}

    # A key that is wrong is not shown either.
    wrong = "11111111-2222-3333-4444-555555555555"
    run = hosts.play(play, inventory(hosts, "a", lapwing_setup_key=wrong, **wanted), "-vvv")
    check(run.became("failed"), [("a", "Join the network")])
    check(wrong in run.text, False)

    run = foreseen(hosts, play, inventory(hosts, "a", lapwing_setup_key=key, **wanted), "-vvv")
    check((run.changed(), key in run.text), ([("a", "Join the network")], False))
    # The key was for once, and is not needed any more.
    check(check_done(hosts.play(play, inventory(hosts, "a", **wanted))).changed(), [])

    # Another server only when it is said.
    moved = dict(wanted, lapwing_management_url="http://127.0.0.2:33073")
    run = hosts.play(play, inventory(hosts, "a", lapwing_setup_key=key, **moved), check=True)
    has(run.failures()["a"], "lapwing_allow_migration")

    # It leaves, and comes back by a key that is there already and goes then.
    run = foreseen(hosts, play, inventory(hosts, "a", lapwing_state="absent", **wanted))
    has(str(run.changed()), "Leave the network")
    credential = hosts.path("a", "/etc/credstore/lapwing.setup-key")
    os.makedirs(os.path.dirname(credential), exist_ok=True)
    with open(credential, "w", encoding="utf8") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(hub.tell("add-key", "reusable=false"))
    run = check_done(hosts.play(play, inventory(hosts, "a", **wanted)))
    has(str(run.changed()), "Join the network")
    check(os.path.exists(credential), False)


main([test_network])

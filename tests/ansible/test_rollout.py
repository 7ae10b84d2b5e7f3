#!/usr/bin/python3
"""tests/ansible/test_rollout.py - the example playbook on 20 hosts: check mode foresees everything, and a second run changes nothing.
That the tunnels come up, only the VM can show."""
import json
import time

from hosts import FIRST, MESH, check, check_done, foreseen, inventory, main

NAMES = [f"h{i:02d}" for i in range(20)]


def test_twenty(hosts):
    hosts.add(*NAMES)
    made = inventory(hosts, NAMES)
    run = foreseen(hosts, MESH, made)
    check(run.changed(), sorted((name, task) for name in NAMES for task in FIRST))

    # One document everywhere, with the keys that each host has, and they alone.
    document = hosts.read("h00", "/etc/lapwing/mesh.json")
    check([host["name"] for host in json.loads(document)["hosts"]], NAMES)
    for i, name in enumerate(NAMES):
        check(hosts.read(name, "/etc/lapwing/mesh.json"), document)
        check(json.loads(document)["hosts"][i]["public_key"], hosts.on(name, "lapwing", "pubkey").stdout.strip())
        private = hosts.read(name, "/var/lib/lapwing/private.key").strip()
        if private in run.text or any(private in hosts.read(other, "/etc/lapwing/mesh.json") for other in NAMES):
            raise AssertionError(f"the private key of {name} went out")

    begun = time.monotonic()
    check(check_done(hosts.play(MESH, made)).changed(), [])
    print(f"# 20 hosts without a change: {time.monotonic() - begun:.1f} s", flush=True)


main([test_twenty])

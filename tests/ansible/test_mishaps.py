#!/usr/bin/python3
"""tests/ansible/test_mishaps.py - hosts that come, go and are down, and what the role refuses."""
import json

from hosts import FIRST, MESH, check, check_done, foreseen, has, inventory, main

KEY = "lWhqTJfkMzB9nNqwFQYHqKkJdHhIZeRDLpM8wCQwVFQ="


def members(hosts, name):
    return [host["name"] for host in json.loads(hosts.read(name, "/etc/lapwing/mesh.json"))["hosts"]]


def test_come_and_go(hosts):
    hosts.add("a", "b", "c")
    check_done(hosts.play(MESH, inventory(hosts, "abc")))

    # One more: only documents change.
    hosts.add("d")
    made = inventory(hosts, "abcd")
    run = check_done(hosts.play(MESH, made))
    check(run.changed(), sorted([(name, "Configure") for name in "abc"] + [("d", task) for task in FIRST]))

    # c is down when its turn comes: the rest stays as it was, and a second run finishes.
    made = inventory(hosts, "abcd", lapwing_mesh={"mesh": "prod", "lazy": {"idle_minutes": 7}})
    hosts.down("c", after=1)
    run = hosts.play(MESH, made)
    check((run.status != 0, run.became("unreachable")), (True, [("c", "Configure")]))
    check(run.changed(), [("a", "Configure"), ("b", "Configure")])
    hosts.up("c")
    check(check_done(hosts.play(MESH, made)).changed(), [("c", "Configure"), ("d", "Configure")])

    # One that is down from the beginning stays a member.
    made = inventory(hosts, "abcd", lapwing_mesh={"mesh": "prod", "lazy": {"idle_minutes": 8}})
    hosts.down("b")
    run = hosts.play(MESH, made)
    check(run.became("unreachable"), [("b", "Look")])
    check(run.changed(), [(name, "Configure") for name in "acd"])
    check(members(hosts, "a"), list("abcd"))

    # It leaves; those that --limit leaves out do not.
    hosts.up("b")
    made = inventory(hosts, "abcd", lapwing_mesh={"mesh": "prod", "lazy": {"idle_minutes": 8}},
                     only={"b": {"lapwing_state": "absent"}})
    run = foreseen(hosts, MESH, made, "--limit", "a,b")
    check([x for x in run.changed() if x[0] == "a"], [("a", "Configure")])
    check(members(hosts, "a"), list("acd"))
    check(hosts.on("b", "ls", "/etc/lapwing", "/var/lib/lapwing").returncode, 2)


def test_refused(hosts):
    hosts.add("a", "b")
    wrong = {"a": {"lapwing_allow_migration": ["perhaps"]}, "b": {"lapwing_tune": "often"}}
    run = hosts.play(MESH, inventory(hosts, "ab", only=wrong))
    has(run.failures()["a"], "lapwing_allow_migration")
    has(run.failures()["b"], "lapwing_tune")
    check(run.changed(), [])

    # b was never reached: nobody has its key, unless the inventory says it.
    hosts.down("b")
    run = hosts.play(MESH, inventory(hosts, "ab"))
    has(run.failures()["a"], "no public key is known of b")
    check(run.changed(), [("a", "Make the private key")])
    known = {"b": {"lapwing_host": {"addresses": ["100.64.0.2"], "public_key": KEY}}}
    run = hosts.play(MESH, inventory(hosts, "ab", only=known))
    check(run.changed(), [("a", "Configure"), ("a", FIRST[2])])
    check(members(hosts, "a"), ["a", "b"])

    # Whom a host trusts does not change by the way.
    made = inventory(hosts, "a", lapwing_mesh={"mesh": "another"})
    for only_check in (True, False):
        run = hosts.play(MESH, made, check=only_check)
        has(run.failures()["a"], "lapwing_allow_migration")
        check(run.changed(), [])
    made = inventory(hosts, "a", lapwing_mesh={"mesh": "another"}, lapwing_allow_migration=True)
    check(foreseen(hosts, MESH, made).changed(), [("a", "Configure")])


main([test_come_and_go, test_refused])

#!/usr/bin/python3
"""tests/ansible/test_tune.py - tuning a host, and taking it back."""
import os
import shutil
import subprocess

from hosts import BUILD, FIRST, TOP, check, check_done, foreseen, has, inventory, main, playbook, role


def make_up(hosts):
    """lapwing tune sees another host."""
    made_up = hosts.path("a", "/made-up")
    subprocess.run([BUILD + "/tests/live_fakehost", made_up, "nic=virtio", "cpus=4", "queues=4", "wireguard=kernel", "peers=2"],
                   check=True, stdout=subprocess.DEVNULL)
    os.makedirs(made_up + "/usr/lib/systemd/system")
    shutil.copy(TOP + "/scripts/lapwing-tune.service", made_up + "/usr/lib/systemd/system")
    os.rename(hosts.path("a", "/usr/bin/lapwing"), hosts.path("a", "/usr/bin/lapwing.real"))
    with open(hosts.path("a", "/usr/bin/lapwing"), "w", encoding="utf8") as f:
        f.write('#!/bin/sh\n[ "$1" != tune ] || set -- "$@" --root=/made-up\nexec lapwing.real "$@"\n')
        os.fchmod(f.fileno(), 0o755)


def task(hosts, options):
    return playbook(hosts, "tune", f"  tasks: [{{name: Tune, lapwing.mesh.lapwing_tune: {options}}}]\n")


def test_tune(hosts):
    """Of a host that is made up, as this machine's settings are others' as well."""
    hosts.add("a")
    # In a container nothing can have been tuned, and taking that back is no mistake.
    done = hosts.on("a", "sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && lapwing tune revert;"
                    " status=$?; umount /proc/sys; exit $status")
    check((done.returncode, done.stdout), (0, "nothing to change\n"))
    make_up(hosts)
    made = inventory(hosts, "a", lapwing_tune="apply", lapwing_tune_options={"skip": ["bbr", "fq"]})
    run = foreseen(hosts, role(hosts), made)
    check(run.changed(), sorted(("a", task) for task in FIRST + ["Tune"]))
    check(check_done(hosts.play(task(hosts, "{skip: [bbr, fq]}"), made)).changed(), [])
    run = foreseen(hosts, task(hosts, "{skip: [bbr]}"), made)
    check(run.changed(), [("a", "Tune")])
    shown = [line["diff"] for line in run.lines if line["task"] == "Tune"][0]
    check(sorted(shown["before"]), sorted(shown["after"]))
    run = foreseen(hosts, task(hosts, "{state: absent}"), made)
    check(run.changed(), [("a", "Tune")])
    run = hosts.play(task(hosts, "{only: [rsp]}"), made)
    has(run.failures()["a"], "rps")


main([test_tune])

#!/usr/bin/python3
"""tests/ansible/test_package.py - installing from a package file, upgrading, and taking everything away."""
import os
import shutil
import subprocess

from hosts import FIRST, MESH, check, check_done, foreseen, has, inventory, main, role


def package(hosts, version):
    """As small as one can be."""
    root, path = f"{hosts.dir}/{version}", f"{hosts.dir}/lapwing_{version}_all.deb"
    os.makedirs(root + "/DEBIAN")
    hosts.install(root)
    with open(root + "/DEBIAN/control", "w", encoding="utf8") as f:
        f.write(f"Package: lapwing\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@x.x>\nDescription: x\n")
    with open(root + "/DEBIAN/postrm", "w", encoding="utf8") as f:
        f.write('#!/bin/sh\n[ "$1" != purge ] || rm -rf /etc/lapwing /var/lib/lapwing /var/lib/lapwing-*\n')
        os.fchmod(f.fileno(), 0o755)
    subprocess.run(["dpkg-deb", "-Znone", "-b", root, path], check=True, stdout=subprocess.DEVNULL)
    return path


def test_package(hosts):
    if not os.path.isdir("/usr/lib/python3/dist-packages/apt"):
        return "no python3-apt"
    shutil.rmtree(hosts.dir + "/below/usr/sbin")
    os.unlink(hosts.dir + "/below/usr/bin/lapwing")
    hosts.add("a")
    installing = ["Bring the package file", "Install the package file"]
    run = foreseen(hosts, MESH, inventory(hosts, "a", lapwing_package_file=package(hosts, "1.0")))
    check(run.changed(), sorted(("a", task) for task in FIRST + installing))
    newer = package(hosts, "1.1")
    run = check_done(hosts.play(MESH, inventory(hosts, "a", lapwing_package_file=newer)))
    check(run.changed(), [("a", task) for task in installing])
    check(check_done(hosts.play(MESH, inventory(hosts, "a", lapwing_package_file=newer))).changed(), [])
    gone = inventory(hosts, "a", lapwing_package_file=newer, lapwing_state="absent")
    run = foreseen(hosts, role(hosts), gone)
    has(str(run.changed()), "Remove the package")
    check(hosts.on("a", "sh", "-c", "ls /etc/lapwing /var/lib/lapwing /usr/bin/lapwing").returncode, 2)
    return None


main([test_package])

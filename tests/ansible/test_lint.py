#!/usr/bin/python3
"""tests/ansible/test_lint.py - yamllint, ansible-lint with its strictest profile, and the documentation of role and modules."""
import os
import shutil
import subprocess
import sys
import tempfile

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + "/scripts/ansible"
MODULES = ["config", "info", "network", "tune"]
TESTS = [
    ["yamllint", "--strict", "."],
    ["ansible-lint", "--offline", "--nocolor", "--strict", "--profile", "production"],
    ["ansible-playbook", "--syntax-check", "mesh.yml", "netbird.yml"],
    ["ansible-doc", "-t", "module", *(f"lapwing.mesh.lapwing_{name}" for name in MODULES)],
    ["ansible-doc", "-t", "role", "lapwing.mesh.lapwing"],
    ["ansible-doc", "-t", "filter", "lapwing.mesh.members"],
]

failed = 0
print(f"1..{len(TESTS)}")
with tempfile.TemporaryDirectory() as home:
    # They leave caches where they are.
    copy = shutil.copytree(COLLECTION, home + "/ansible")
    env = dict(os.environ, HOME=home, PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8")
    for i, command in enumerate(TESTS, 1):
        what = " ".join(command[:4])
        if not shutil.which(command[0]):
            print(f"ok {i} {what} # SKIP no {command[0]}")
            continue
        done = subprocess.run(command, cwd=copy, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        bad = done.returncode != 0 or "ERROR" in done.stdout
        failed += bad
        print(f"not ok {i} {what}\n{done.stdout}" if bad else f"ok {i} {what}", flush=True)
sys.exit(failed > 0)

#!/usr/bin/python3
"""tests/cli/test_apply.py - lapwing plan and apply beside a real daemon, which has a network of its own. What the
kernel makes of a mesh is for the scenarios."""
import json
import os
import subprocess

from host import check, main

DONE = "everything is as it was"


def actions(answer):
    return [item["action"] for item in answer["items"]]


def refused(host, document, code, words, *args):
    """Nothing at all is changed."""
    before = host.files()
    got, answer = host.apply(document, *args)
    check(got, code)
    check(host.files(), before)
    if words not in answer["error"]["message"]:
        raise AssertionError(answer)


def test_first(host):
    """Without a daemon: both files are made, once."""
    for command, args in (("plan", []), ("apply", ["--check"])):
        code, answer = host.apply(host.document(), *args, command=command)
        check((code, answer["changed"], answer["check"], answer["state"]), (0, True, True, "not_running"))
        check(actions(answer), ["create", "create", "none"])
        check(host.files(), {})
        check(host.apply(host.document(), "--exit-diff", *args, command=command)[0], 6)
    code, answer = host.apply(host.document())
    check((code, answer["changed"], answer["check"]), (0, True, False))
    check([item["result"] for item in answer["items"]], ["done", "done", "unchanged"])
    check(answer["mesh_difference"]["added"], 2)
    files = host.files()
    check(sorted(files), ["lapwing.json", "mesh.json"])
    check(json.loads(files["mesh.json"]), host.document()["mesh"])
    wanted = host.document()
    del wanted["mesh"]
    check(json.loads(files["lapwing.json"]), wanted)
    check(os.stat(host.mesh).st_mode & 0o777, 0o644)
    code, answer = host.apply(host.document())
    check((code, answer["changed"], actions(answer)), (0, False, ["none"] * 3))
    check(host.apply(host.document(), "--exit-diff", "--check")[0], 0)
    check(host.files(), files)
    # Written in another way it is the same.
    code, answer = host.apply(json.dumps(host.document()))
    check((code, answer["changed"]), (0, False))
    os.chmod(host.mesh, 0o640)
    check(host.apply(host.document(peers=2))[0], 0)
    check(os.stat(host.mesh).st_mode & 0o777, 0o640)


def test_text(host):
    """What people see."""
    text = json.dumps(host.document())
    out = host.run("plan", "--config", host.config, "-f", "-", text=text).stdout
    for line in (f"{host.config} would be made", f"{host.mesh} would be made", "hosts: 2 added, 0 removed, 0 changed",
                 "  + p0", "lapwingd does not run", f'  mesh_file: not set -> "{host.mesh}"'):
        if line not in out:
            raise AssertionError(out)
    host.run("apply", "--config", host.config, "-f", "-", text=text)
    changed = host.document(policy={"max_peers": 7})
    changed["mesh"]["hosts"][1]["endpoints"] = ["192.0.2.77:1"]
    out = host.run("apply", "--diff", "--config", host.config, "-f", host.write(changed)).stdout
    for line in (f"{host.config} was replaced", "  policy.max_peers: not set -> 7", "  ~ p0: endpoints"):
        if line not in out:
            raise AssertionError(out)


def test_bad(host):
    """Errors name the line of the document that was given, and change nothing."""
    check(host.apply(host.document())[0], 0)
    bad = host.document()
    bad["mesh"]["hosts"][1]["addresses"] = ["100.64.0.1"]
    line = json.dumps(bad, indent=1).splitlines().index('     "100.64.0.1"', 15) + 1
    refused(host, bad, 13, f"line {line}: hosts[1].addresses")
    refused(host, host.document(policy={"max_peers": 1}), 13, "policy.max_peers")
    refused(host, host.document(colour="red"), 13, "colour")
    refused(host, host.document(endpoints={"p0": ["192.0.2.1:1"]}), 13, '"endpoints" exclude each other')
    refused(host, host.document(management={}), 13, '"management" exclude each other')
    named_by_default = host.document(management={})
    del named_by_default["mesh_file"]
    refused(host, named_by_default, 13, '"mesh" and "management" exclude each other')
    refused(host, '{"mesh": {}, "mesh": {}}', 13, "twice")
    refused(host, '{"mesh": 3}', 13, "an object is wanted")
    refused(host, '{"mesh": {"mesh":"m","hosts":[]},}', 13, "line 1")
    refused(host, "", 13, "")
    other = host.document()
    other["mesh"]["hosts"] = other["mesh"]["hosts"][1:]
    refused(host, other, 13, "no host has this host's public key")
    refused(host, host.document(mesh="another"), 12, "is of the mesh another")
    check(host.apply(host.document(mesh="another"), "--force")[0], 0)
    result = host.run("apply", "--config", host.config)
    check((result.returncode, "--file is missing" in result.stderr), (2, True))
    check(host.apply({"mesh_file": host.dir + "/none.json"})[0], 13)
    os.unlink(host.mesh)
    os.symlink("lapwing.json", host.mesh)
    before = host.files()
    check(host.apply(host.document())[0], 1)
    check(host.files(), before)


def test_disk_full(host):
    """No room for the second file, or for either: nothing of it is left."""
    os.mkdir(host.dir + "/etc")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", host.dir + "/etc"], check=False).returncode:
        return "no mount"
    check(host.apply(host.document())[0], 0)
    with open(host.dir + "/etc/zz", "w", encoding="utf8") as f:
        f.write("x" * 40000)
    big = host.document(peers=2)
    big["policy"] = {"routes": [f"10.{i // 250}.{i % 250}.0/24" for i in range(900)]}
    refused(host, big, 1, DONE)
    os.unlink(host.dir + "/etc/zz")
    check(host.apply(big)[0], 0)
    return None


def test_daemon(host):
    """A daemon takes it, and says what it was; what it refuses goes back."""
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    host.start()
    code, answer = host.apply(host.document(), command="plan")
    check((code, answer["state"], actions(answer)), (0, "waiting", ["replace", "create", "reload"]))
    host.run("down")
    code, answer = host.apply(host.document())
    check((code, answer["state"]), (0, "down"))
    check(answer["mesh_difference"]["added"], 2)
    check(host.run("peers", "p0").returncode, 0)
    code, answer = host.apply(host.document())
    check((code, answer["changed"], actions(answer)), (0, False, ["none"] * 3))
    code, answer = host.apply(host.document(peers=2))
    check((code, answer["state"], answer["changed"]), (0, "down", True))
    check([answer["mesh_difference"][k] for k in ("added", "removed", "changed")], [1, 0, 0])
    check([h["name"] for h in answer["mesh_difference"]["hosts"]], ["p1"])
    # Without --config it is the file of the daemon that is asked; another one is not that daemon's.
    result = host.run("plan", "--json", "-f", host.write(host.document(peers=2)))
    check(json.loads(result.stdout)["items"][0]["file"], host.config)
    result = host.run("plan", "--config", "/elsewhere", "-f", host.write(host.document()))
    check((result.returncode, "reads" in result.stderr), (12, True))
    # Edited by hand, and the daemon was not told.
    with open(host.config, "a", encoding="utf8") as f:
        f.write("\n")
    for _ in ("plan", "then do"):
        code, answer = host.apply(host.document(peers=2), command="plan")
        check((answer["changed"], actions(answer)), (True, ["none", "none", "reload"]))
    check(host.apply(host.document(peers=2))[1]["changed"], True)
    check(host.apply(host.document(peers=2))[1]["changed"], False)
    # Only the daemon sees that its key is gone: both files go back.
    os.rename(host.dir + "/state/private.key", host.dir + "/state/away")
    refused(host, host.document(peers=1, policy={"max_peers": 9}), 13, DONE)
    os.rename(host.dir + "/state/away", host.dir + "/state/private.key")
    code, answer = host.apply(host.document(peers=2))
    check(code, 0)
    check(host.apply(host.document(peers=2))[1]["changed"], False)
    # The mesh of a host that is up does not go by the way.
    host.run("up")
    without = host.document()
    del without["mesh"], without["mesh_file"]
    refused(host, without, 12, "has none")


def test_hung(host):
    """A daemon that does not answer: nothing is written."""
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    host.start()
    host.run("down")
    check(host.apply(host.document())[0], 0)
    host.daemon.send_signal(19)
    refused(host, host.document(peers=2), 3, "no answer", "--timeout=0.3")
    host.daemon.send_signal(18)
    host.stop()
    check(host.apply(host.document(peers=2))[1]["items"][2]["action"], "none")


main([test_first, test_text, test_bad, test_disk_full, test_daemon, test_hung])

#!/usr/bin/python3
"""tests/cli/test_debug.py - what lapwing debug runtime tells, against what the kernel tells of the daemon."""
import io
import json
import os
import re
import tarfile
import time

from host import KEYS, check, main


def runtime(host):
    result = host.run("debug", "runtime", "--json")
    check(result.returncode, 0)
    return json.loads(result.stdout)


def memory_of(pid):
    """As the kernel tells it; it may take pages back and give them again at any time."""
    with open(f"/proc/{pid}/status", encoding="utf8") as f:
        return {name: 1024 * int(kilobytes) for name, kilobytes in re.findall(r"^(Vm\w+):\s+(\d+)", f.read(), re.M)}


def between(told, before, after, share=0.1):
    if not (1 - share) * min(before, after) <= told <= (1 + share) * max(before, after):
        raise AssertionError(f"{told}, and really {before} to {after}")


def test_runtime(host):
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write('{"policy": {"max_peers": 77}}')
    check(host.run("debug", "runtime").returncode, 3)
    host.start()
    before = memory_of(host.daemon.pid)
    first = runtime(host)
    check(first["schema"], "lapwing.runtime/1")
    after = memory_of(host.daemon.pid)
    for line, key in (("VmRSS", "rss_bytes"), ("VmSize", "virtual_bytes"), ("VmData", "data_bytes"),
                      ("VmHWM", "rss_peak_bytes")):
        between(first["memory"][key], before[line], after[line])
    # Connections that are closed by now are among them: the one that asked, and perhaps the one that saw it start.
    more = first["process"]["descriptors"] - len(os.listdir(f"/proc/{host.daemon.pid}/fd"))
    if not 0 <= more <= 2:
        raise AssertionError(f"{more} descriptors more than there are")
    if not 0 < first["memory"]["heap"]["used_bytes"] < first["memory"]["data_bytes"]:
        raise AssertionError(first["memory"])
    pools = {pool["name"]: pool for pool in first["pools"]}
    check(len(pools), len(first["pools"]))
    check((pools["peers"]["count"], pools["peers"]["limit"], pools["control clients"]["count"]), (0, 77, 1))
    for pool in first["pools"]:
        if pool["limit"] is not None and pool["count"] > pool["limit"]:
            raise AssertionError(pool)
    # Nothing happens on its own: what is counted comes from being asked.
    time.sleep(1)
    second = runtime(host)
    grown = second["loop"]["wakeups"] - first["loop"]["wakeups"]
    if not 1 <= grown <= 20 or sum(second["loop"]["turn"]["counts"]) < second["loop"]["turns"] - 1:
        raise AssertionError(f"{grown} wakeups, {second['loop']}")
    text = host.run("debug", "runtime").stdout
    for word in ("resident", "heap", "wakeups", "control clients", "77"):
        check(word in text, True)
    check(host.run("debug", "walltime").returncode, 2)
    check(host.run("debug").returncode, 2)


def unpack(path):
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            check((member.mode, member.uid, member.isfile()), (0o600, 0, True))
        return {os.path.basename(member.name): archive.extractfile(member).read().decode() for member in archive.getmembers()}


def report(host, *args):
    path = host.dir + "/report.tar"
    result = host.run("report", "--json", "--config", host.config, "-o", path, *args)
    check(result.returncode, 0)
    check(os.stat(path).st_mode & 0o777, 0o600)
    files = unpack(path)
    document = json.loads(result.stdout)
    check(document["members"], list(files))
    check(document["bytes"], os.stat(path).st_size)
    for name, text in files.items():
        if name.endswith(".json"):
            json.loads(text)
    return files


def test_report(host):
    """What is in it, at each level; and no secret at any."""
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    files = report(host)
    check("lapwingd is not running" in files["README"], True)
    check("status.json" in files, False)
    host.start()
    host.run("down")
    document = host.document(peers=2, mesh="secretmesh", tune={"underlay": "corp.example"})
    document["mesh"]["hosts"][1]["name"] = "db1.corp.example"
    check(host.apply(document)[0], 0)
    secret = open(host.dir + "/state/private.key", encoding="utf8").read().strip()
    public = (KEYS[0], host.key, "192.0.2.2", "secretmesh", "db1", "corp.example", os.uname().nodename)
    private = ("100.64.1.1",)
    for level in ("off", "default", "strict"):
        files = report(host, f"--anonymize={level}")
        for name in ("status.json", "runtime.json", "events.json", "metrics.prom", "doctor.json", "config.json", "kernel.txt",
                     "README"):
            check((name, name in files), (name, True))
        text = "\n".join(files.values())
        check(secret in text, False)
        check([word in text for word in public[:-1]], [level == "off"] * (len(public) - 1))
        check(public[-1] in text and level != "off", False)
        check([word in text for word in private], [level != "strict"])
        status = json.loads(files["status.json"])
        # The same stands for the same in all of them.
        key = status["peers"][0]["public_key"]
        check(key in files["metrics.prom"], True)
        check(len({peer["name"] for peer in status["peers"]}), 2)
        check(json.loads(files["config.json"])["private_key_file"], host.dir + "/state/private.key")
    check(json.loads(files["events.json"])["events"] != [], True)
    archive = host.run("report", "-o", "-", "--config", host.config)
    check(tarfile.open(fileobj=io.BytesIO(archive.stdout.encode())).getnames()[0], "lapwing-report/status.json")
    check(host.run("report", "-o", host.dir + "/no/x").returncode, 1)
    check(host.run("report", "--anonymize=much").returncode, 2)


main([test_runtime, test_report])

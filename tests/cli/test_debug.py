#!/usr/bin/python3
"""tests/cli/test_debug.py - what lapwing debug runtime tells, against what the kernel tells of the daemon."""
import json
import os
import re
import time

from host import check, main


def runtime(host):
    result = host.run("debug", "runtime", "--json")
    check(result.returncode, 0)
    return json.loads(result.stdout)


def near(told, real, share=0.1):
    if abs(told - real) > share * real:
        raise AssertionError(f"{told}, and really {real}")


def test_runtime(host):
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write('{"policy": {"max_peers": 77}}')
    check(host.run("debug", "runtime").returncode, 3)
    host.start()
    first = runtime(host)
    check(first["schema"], "lapwing.runtime/1")
    status = open(f"/proc/{host.daemon.pid}/status", encoding="utf8").read()
    for line, key in (("VmRSS", "rss_bytes"), ("VmSize", "virtual_bytes"), ("VmData", "data_bytes"),
                      ("VmHWM", "rss_peak_bytes")):
        near(first["memory"][key], 1024 * int(re.search(rf"^{line}:\s+(\d+)", status, re.M).group(1)))
    near(first["process"]["descriptors"], len(os.listdir(f"/proc/{host.daemon.pid}/fd")))
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


main([test_runtime])

#!/usr/bin/python3
"""tests/cli/test_metrics.py - what lapwing metrics prints, judged by Prometheus' own tools."""
import os
import shutil
import subprocess
import time

from host import BUILD, KEYS, check, main

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

PEERS = 10000
FIRST_MS = 200  # generous: the machine may be busy; unloaded it is below 20


def judge(text):
    """Parses, has no series twice, and no label that grows with the mesh."""
    series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in series:
                raise AssertionError(f"twice: {key}")
            series[key] = sample.value
    if shutil.which("promtool"):
        result = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
        check((result.returncode, result.stdout), (0, ""))
    return series


def big_mesh(host):
    """So many hosts; the daemon is down, as what counts is what it knows."""
    document = host.document(peers=0)
    hosts = document["mesh"]["hosts"]
    for i in range(PEERS):
        digits = f"{i:06d}"
        hosts.append({"name": f"p{i}", "public_key": KEYS[0][:-8] + digits[:4] + digits[4:] [:2] + "M=",
                      "addresses": [f"100.65.{i // 250}.{i % 250 + 1}"], "endpoints": [f"192.0.2.1:{i + 1000}"]})
    return document


def test_judged(host):
    """A daemon without a mesh, none, and one with a mesh."""
    if not text_string_to_metric_families:
        return "no python3-prometheus-client"
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    check(judge(host.run("metrics").stdout), {("lapwing_up", ()): 0})
    host.start()
    series = judge(host.run("metrics").stdout)
    check((series[("lapwing_up", ())], series[("lapwing_state", (("state", "waiting"),))]), (1, 1))
    host.run("down")
    check(host.apply(host.document(peers=2))[0], 0)
    series = judge(host.run("metrics").stdout)
    check(series[("lapwing_mesh_hosts", ())], 3)
    few = len(series)
    check(len(judge(host.run("metrics", "--per-peer").stdout)) - few, 8)
    path = host.dir + "/lapwing.prom"
    check(host.run("metrics", "--textfile", path).returncode, 0)
    check((len(judge(open(path, encoding="utf8").read())), os.stat(path).st_mode & 0o777), (few, 0o644))
    check([name for name in os.listdir(host.dir) if "prom" in name], ["lapwing.prom"])
    check(host.apply(big_mesh(host))[0], 0)
    check(len(judge(host.run("metrics").stdout)), few)
    best = min(timed(host) for _ in range(5))
    print(f"# {PEERS} peers: {best:.1f} ms", flush=True)
    if best > FIRST_MS:
        raise AssertionError(f"{best} ms")
    begun = time.monotonic()
    text = host.run("metrics", "--per-peer").stdout
    print(f"# {PEERS} peers one by one: {1000 * (time.monotonic() - begun):.0f} ms, {len(text)} bytes", flush=True)
    return None


def timed(host):
    begun = time.monotonic()
    subprocess.run([BUILD + "/lapwing", "--run", host.dir + "/run", "metrics"], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.monotonic() - begun)


main([test_judged])

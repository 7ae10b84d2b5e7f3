#!/usr/bin/python3
"""tunetime.py LAPWING FAKEHOST: how long a plan and an apply without a change take on a made-up host with 64 queues and 128
interrupts, on this machine: a guest's emulated clock says nothing of it."""
import os
import statistics
import subprocess
import sys
import tempfile
import time

lapwing, fakehost = sys.argv[1:]
RUNS, LIMIT_MS = 41, 20


def median_ms(*words):
    times = []
    for _ in range(RUNS):
        start = time.monotonic()
        pid = os.posix_spawn(lapwing, ['lapwing', 'tune', *words], os.environ,
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
        assert os.waitpid(pid, 0)[1] == 0, words
        times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


with tempfile.TemporaryDirectory() as base:
    root = os.path.join(base, 'host')
    subprocess.run([fakehost, root, 'cpus=64', 'nic=mlx5', 'queues=64', 'irqs=127', 'wireguard=kernel', 'peers=200', 'up=150'],
                   check=True)
    plan = median_ms('plan', '--root', root)
    apply = ('apply', '--allow-disruptive', '--root', root)
    subprocess.run([lapwing, 'tune', *apply], stdout=subprocess.DEVNULL, check=True)
    for what, ms in (('a plan for 64 queues and 128 interrupts', plan), ('an apply that has nothing to change', median_ms(*apply))):
        print('ok' if ms <= LIMIT_MS else 'not ok', f'- {what}: {ms:.1f} ms (at most {LIMIT_MS})', flush=True)

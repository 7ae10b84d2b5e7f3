#!/usr/bin/python3
"""clitime.py LAPWING LAPWINGD: how long the command line takes on this machine, to tell what it knows and to be scraped beside a
daemon with 10,000 peers. That one is down, so that the kernel needs no WireGuard: it counts its peers all the same."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from common import INNER, address, endpoint, expect, host, key, report, run

PEERS, RUNS = 10000, 41


def times_ms(*command):
    times = []
    for _ in range(RUNS):
        start = time.monotonic()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
        expect(os.waitpid(pid, 0)[1] == 0, f'{command} failed')
        times.append((time.monotonic() - start) * 1000)
    return times


def figure(what, limit_ms, *command):
    """The best of all is judged: the machine is not ours alone."""
    times = times_ms(*command)
    report(what, min(times), limit_ms and (0, limit_ms), ' ms')
    report(what + ', median', statistics.median(times), unit=' ms')


def write(path, document):
    with open(path, 'w', encoding='utf8') as f:
        json.dump(document, f)
    return path


def start(lapwingd, lapwing, base):
    """A daemon that is down."""
    daemon = subprocess.Popen([lapwingd, '--config', write(base + '/lapwing.json', {}), '--state', base + '/state', '--run', base],
                              stderr=open(base + '/log', 'w', encoding='utf8'))
    while subprocess.run([lapwing, '--run', base, 'status', '--check=live'], capture_output=True, check=False).returncode:
        expect(daemon.poll() is None, 'lapwingd does not start')
        time.sleep(0.05)
    run(lapwing, '--run', base, 'down')
    return daemon


def give_mesh(lapwing, base):
    own = run(lapwing, 'genkey', base + '/private.key').strip()
    hosts = [host('h0', own, INNER)] + [host(f'h{i}', key(i), address(i), endpoint(i)) for i in range(1, PEERS + 1)]
    wanted = {'mesh_file': base + '/mesh.json', 'private_key_file': base + '/private.key',
              'mesh': {'mesh': 'bench', 'hosts': hosts}}
    run(lapwing, '--run', base, 'apply', '--config', base + '/lapwing.json', '-f', write(base + '/wanted.json', wanted))
    counts = re.findall(r'^lapwing_peers\{.*\} (\d+)$', run(lapwing, '--run', base, 'metrics'), re.M)
    expect(sum(map(int, counts)) == PEERS, f'{counts} are not {PEERS} peers')


def main(lapwing, lapwingd):
    figure('lapwing --help', 5, lapwing, '--help')
    with tempfile.TemporaryDirectory() as base:
        os.mkdir(base + '/state', 0o700)
        daemon = start(lapwingd, lapwing, base)
        try:
            give_mesh(lapwing, base)
            figure(f'lapwing metrics, {PEERS:,} peers', 20, lapwing, '--run', base, 'metrics')
            figure(f'lapwing metrics --per-peer, {PEERS:,} peers', None, lapwing, '--run', base, 'metrics', '--per-peer')
        finally:
            daemon.kill()
            daemon.wait()


if os.environ.get('LAPWING_APART') != '1':
    os.environ['LAPWING_APART'] = '1'
    os.execvp('unshare', ['unshare', '-n', sys.executable, *sys.argv])
main(*map(os.path.abspath, sys.argv[1:]))

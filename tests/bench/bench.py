#!/usr/bin/env python3
"""Runs in the guest: measures lapwingd against wg(8) and prints a line per figure with its gate.

Time is processor time of the process (with what the kernel does on its behalf) in a guest whose clock
counts instructions, 2 ns each: the figures are the same on every machine. Where it says "virtual ms" it
is time that passed, idle waits of the kernel included.
"""
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import common
import firewall
import lazy
import lazynet
import meet
import steering
import tune
from common import INNER, OWN, PRIVATE, WORK, Daemon, program, report, run


def wg_program(n, private_key):
    common.empty_device()
    common.write_wg(WORK + '/wg.conf', n, private_key)
    run('ip', 'link', 'add', 'wt0', 'type', 'wireguard')
    return common.cpu_of('wg', 'setconf', 'wt0', WORK + '/wg.conf')


def slope(cost):
    """Of the logarithms: 1 is linear."""
    points = [(math.log(n), math.log(cost[n] - cost[1])) for n in cost if n > 1]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def bench_program():
    """Cold programming against wg setconf, with the key and without (the part that is not crypto). Peers
    are lazy, as they are by default: they get their sentinels."""
    for with_key in (True, False):
        mine, theirs = {}, {}
        for n in (1, 1000, 10000):
            d, mine[n], _ = program(n, None if with_key else WORK + '/nokey.so')
            d.stop()
            theirs[n] = wg_program(n, PRIVATE if with_key else None)
        for n in (1000, 10000):
            a, b = mine[n] - mine[1], theirs[n] - theirs[1]
            what = f'programming {n} peers ' + ('' if with_key else 'without key ')
            report(what + 'lapwing', a / n * 1e6, unit=' us/peer')
            report(what + 'wg setconf', b / n * 1e6, unit=' us/peer')
            report(what + '/ wg setconf', a / b, (0, 1.02 if with_key else 1.05))
    big, theirs = {}, {}
    for n in (1, 1000, 10000, 50000):
        d, big[n], _ = program(n)
        d.stop()
        theirs[n] = wg_program(n, PRIVATE)
    report('50000 peers lapwing', (big[50000] - big[1]) / 5e4 * 1e6, unit=' us/peer')
    report('50000 peers / wg setconf', (big[50000] - big[1]) / (theirs[50000] - theirs[1]), (0, 1.02))
    report('growth from 1,000 to 50,000 peers, log-log slope', slope(big), (0.97, 1.03))


def count_syscalls(path):
    total = 0
    for line in open(path):
        words = line.split()
        if words and words[-1] == 'total':
            total = int(words[3])
    return total


def bench_syscalls():
    counts = {}
    for n in (1000, 10000):  # both by the shared sentinel, which is tested once
        d, _, _ = program(n, wrap=('strace', '-f', '-c', '-o', WORK + '/strace'))
        run('pkill', '-KILL', 'lapwingd')  # a clean stop would give all peers their endpoints
        d.process.wait()
        counts[n] = count_syscalls(WORK + '/strace')
    report('system calls per programmed peer', (counts[10000] - counts[1000]) / 9000, (0, 0.05))


def bench_reload():
    """The same file, then one change in 10,000, against wg syncconf of the same. What changes for a peer
    that sleeps is not told to the kernel, so nobody does."""
    d, _, _ = program(10000, enabled=False)
    d.quiet()
    before = d.cpu()
    d.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    report('all files of 10,000 again', (d.cpu() - before) * 1e3, unit=' ms')
    common.write_wg(WORK + '/changed.conf', 10000, PRIVATE, (5000,))
    run('ip', 'link', 'add', 'wg9', 'type', 'wireguard')
    common.write_wg(WORK + '/wg.conf', 10000, PRIVATE)
    run('wg', 'setconf', 'wg9', WORK + '/wg.conf')
    theirs = common.cpu_of('wg', 'syncconf', 'wg9', WORK + '/changed.conf')
    common.empty_device('wg9')
    d.quiet()
    common.write_mesh(10000, (5000,), enabled=False)
    before = d.cpu()
    time.sleep(1)
    mine = d.cpu() - before
    report('one change in 10,000, lapwing', mine * 1e3, unit=' ms')
    report('one change in 10,000, wg syncconf', theirs * 1e3, unit=' ms')
    report('one change in 10,000 / wg syncconf', mine / theirs, (0, 0.05))
    common.expect('192.0.2.1:7' in run('wg', 'show', 'wt0', 'endpoints'), 'the change did not arrive')
    d.stop()


def bench_requests():
    """What goes to the kernel for the same file and for one change, counted by a shim. A parked peer's new
    endpoint waits for its next wake."""
    common.watch_requests()
    for form, enabled in (('lazy off', False), ('parked', True)):
        d, _, _ = program(10000, WORK + '/count.so', enabled=enabled)
        for what, changed in (('the same file again', ()), ('one change in 10,000', (5000,))):
            d.quiet()
            common.watch_requests()
            common.write_mesh(10000, changed, enabled=enabled)
            time.sleep(1)
            writes = [line for line in common.requests() if line.startswith('write')]
            wanted = int(bool(changed) and not enabled)
            report(f'{what}, {form}: WireGuard requests', sum('wireguard' in w for w in writes), (wanted, wanted))
            report(f'{what}, {form}: other writing requests', sum('wireguard' not in w for w in writes), (0, 0))
        d.stop()


def bench_repair():
    """After ip link delete, 1,000 peers are back within twice their cold programming time."""
    d, _, cold = program(1000)
    time.sleep(60)
    d.drain()
    run('ip', 'link', 'delete', 'wt0')
    deleted = time.monotonic()
    while len(run('wg', 'show', 'wt0', 'peers').split() if os.path.exists('/sys/class/net/wt0') else []) != 1000:
        d.settle()
    passed = time.monotonic() - deleted
    report('1,000 peers cold', cold * 1e3, unit=' virtual ms')
    report('1,000 peers back after deletion', passed * 1e3, unit=' virtual ms')
    report('back after deletion / cold', passed / cold, (0, 2))
    d.stop()


SENDER = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic()
for i in range(int(sys.argv[1])):
    time.sleep(max(0, start + i / 1000 - time.monotonic()))
    s.sendto(struct.pack('!I', i), ('100.127.255.1', 9))
"""


def bench_restart():
    """kill -9 and start under 1,000 packets a second from a peer: none is lost."""
    number, restarts = 10000, 3
    common.join('other')
    private = run('wg', 'genkey')
    run('ip', '-n', 'other', '-batch', '-', input=f'''link add wg0 type wireguard
address add 100.64.0.1/32 dev wg0
link set wg0 up
route add {INNER} dev wg0''')
    common.within('other', 'wg', 'set', 'wg0', 'private-key', '/dev/stdin', 'peer', OWN, 'allowed-ips', INNER,
                  'endpoint', '198.51.100.1:51820', input=private)
    common.empty_device()
    other = run('wg', 'pubkey', input=private).strip()
    common.write_hosts(WORK + '/mesh.json', [common.host('h0', OWN, INNER), common.host('other', other, '100.64.0.1')])
    d = Daemon()
    d.settle()
    receiver = common.open_socket(socket.SOCK_DGRAM, port=9)
    sender = subprocess.Popen(['ip', 'netns', 'exec', 'other', 'python3', '-c', SENDER, str(number)])
    for _ in range(restarts):
        time.sleep(2)
        d.stop(signal.SIGKILL)
        d = Daemon(keep=True)
        d.settle()
    sender.wait()
    time.sleep(1)
    receiver.setblocking(False)
    seen = set()
    try:
        while True:
            seen.add(receiver.recv(16))
    except BlockingIOError:
        pass
    report(f'packets lost of {number} at 1,000 a second over {restarts} times kill -9 and start', number - len(seen),
           (0, 0))
    d.stop()
    common.part('other')


def bench_networkidle():
    import network  # takes seconds here, and nothing else needs it
    network.bench_idle()


def bench_networkping():
    import network
    network.bench_ping()


BENCHES = {'program': bench_program, 'syscalls': bench_syscalls, 'reload': bench_reload, 'requests': bench_requests,
           'repair': bench_repair, 'restart': bench_restart, 'memory': lazy.bench_memory, 'idle': lazy.bench_idle,
           'wake': lazy.bench_wake, 'counters': lazy.bench_counters, 'storm': lazynet.bench_storm,
           'crossing': lazynet.bench_crossing, 'throughput': lazynet.bench_throughput, 'stream': lazynet.bench_stream,
           'firewall': firewall.bench_firewall, 'steering': steering.bench_steering, 'tune': tune.bench_tune,
           'steeringstream': steering.bench_stream, 'meet': meet.bench_meet,
           'lan': meet.bench_lan, 'burst': meet.bench_burst, 'connected': meet.bench_connected,
           'networkidle': bench_networkidle, 'networkping': bench_networkping}

common.write_config(WORK, PRIVATE)
for name in 'nokey', 'count', 'heap':
    shutil.copy(f'/job/{name}.so', WORK)
run('ip', '-batch', '-', input='''link set lo up
link add under0 type dummy
address add 192.0.2.9/24 dev under0
link set under0 up
route add default via 192.0.2.254''')
for name in sys.argv[1:]:
    print(f'== {name}', flush=True)
    name, *counts = name.split(':')
    BENCHES[name](*map(int, counts))
sys.exit(common.failed > 0)

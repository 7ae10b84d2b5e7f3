#!/usr/bin/env python3
"""Runs in the guest: measures lapwingd against wg(8) and prints a line per figure with its gate.

Time is processor time of the process (with what the kernel does on its behalf) in a guest whose clock
counts instructions, 2 ns each: the figures are the same on every machine. Where it says "virtual ms" it
is time that passed, idle waits of the kernel included.
"""
import base64
import ctypes
import json
import math
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

WORK = '/tmp/bench'
failed = 0


def report(name, value, gate=None, unit=''):
    """One figure; `gate` is (low, high)."""
    global failed
    text = f'{value:.4g}' if isinstance(value, float) else str(value)
    if gate is None:
        print(f'       {name}: {text}{unit}', flush=True)
        return
    good = gate[0] <= value <= gate[1]
    failed += not good
    bound = f'at most {gate[1]:g}' if gate[0] <= 0 else f'{gate[0]:g} to {gate[1]:g}'
    print(f'{"ok" if good else "not ok"} - {name}: {text}{unit} ({bound})', flush=True)


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def cpu_of(*command):
    """Processor time in seconds of a command that must succeed."""
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f'{command} ended with {status}')
    return usage.ru_utime + usage.ru_stime


# -- data ----------------------------------------------------------------------------------------

def key(i):
    return base64.b64encode(random.Random(i).randbytes(32)).decode()


def address(i):
    return f'100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}'


def endpoint(i):
    return f'10.{i >> 16}.{i >> 8 & 255}.{i & 255}:51820'


def write_wg(path, n, private_key=None, changed=()):
    with open(path, 'w') as f:
        f.write('[Interface]\n' + (f'PrivateKey = {private_key}\n' if private_key else ''))
        for i in range(1, n + 1):
            e = '192.0.2.1:7' if i in changed else endpoint(i)
            f.write(f'[Peer]\nPublicKey = {key(i)}\nEndpoint = {e}\nAllowedIPs = {address(i)}/32\n')


def write_mesh(path, n, own, changed=()):
    hosts = [{'name': 'h0', 'public_key': own, 'addresses': ['100.127.255.1'], 'endpoints': ['192.0.2.9:51820']}]
    for i in range(1, n + 1):
        e = '192.0.2.1:7' if i in changed else endpoint(i)
        hosts.append({'name': f'h{i}', 'public_key': key(i), 'addresses': [address(i)], 'endpoints': [e]})
    with open(path + '.new', 'w') as f:
        json.dump({'mesh': 'bench', 'hosts': hosts}, f, separators=(',', ':'))
    os.rename(path + '.new', path)


# -- the daemon ----------------------------------------------------------------------------------

class Daemon:
    """lapwingd, watched through the service manager's socket."""

    def __init__(self, preload=None, keep=False, wrap=()):
        if not keep:
            shutil.rmtree(WORK + '/state', ignore_errors=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            os.unlink(WORK + '/notify')
        except FileNotFoundError:
            pass
        self.socket.bind(WORK + '/notify')
        os.chmod(WORK + '/notify', 0o777)
        environment = dict(os.environ, NOTIFY_SOCKET=WORK + '/notify')
        if preload:
            environment['LD_PRELOAD'] = preload
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*wrap, 'lapwingd', '--config', WORK + '/lapwing.json', '--state', WORK + '/state', '--run', WORK + '/run'],
            env=environment, stderr=open(WORK + '/log', 'a'))
        self.pid = self.process.pid

    def settle(self, limit=3000):
        """Waits until nothing is left to do; virtual seconds since the last event."""
        self.socket.settimeout(limit)
        while True:
            if b'STATUS=' in self.socket.recv(4096):
                return time.monotonic()

    def drain(self):
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass

    def quiet(self):
        """Far from what the daemon does by itself: looks soon after work, and the check each minute."""
        time.sleep(60)
        time.sleep((30 - (time.monotonic() - self.started)) % 60)
        self.drain()

    def cpu(self):
        total = 0
        for task in os.listdir(f'/proc/{self.pid}/task'):
            total += int(open(f'/proc/{self.pid}/task/{task}/schedstat').read().split()[0])
        return total / 1e9

    def memory(self):
        fields = {}
        for line in open(f'/proc/{self.pid}/smaps_rollup'):
            words = line.split()
            if len(words) == 3 and words[2] == 'kB':
                fields[words[0][:-1]] = int(words[1]) * 1024
        return fields

    def switches(self):
        total = 0
        for task in os.listdir(f'/proc/{self.pid}/task'):
            for line in open(f'/proc/{self.pid}/task/{task}/status'):
                if 'ctxt_switches' in line:
                    total += int(line.split()[1])
        return total

    def stop(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        self.process.wait()
        self.socket.close()


def empty_device(name='wt0'):
    """A device with peers would take a grace period for each to go."""
    if os.path.exists(f'/sys/class/net/{name}'):
        write_wg(WORK + '/none.conf', 0)
        run('wg', 'setconf', name, WORK + '/none.conf')
        run('ip', 'link', 'delete', name)


def program(n, preload=None, wrap=()):
    """Cold programming: processor and passed seconds; the daemon, still running."""
    empty_device()
    write_mesh(WORK + '/mesh.json', n, OWN)
    d = Daemon(preload, wrap=wrap)
    passed = d.settle() - d.started
    if len(run('wg', 'show', 'wt0', 'peers').split()) != n:
        raise SystemExit(f'not all of {n} peers are there: ' + open(WORK + '/log').read())
    return d, d.cpu(), passed


def wg_program(n, private_key):
    empty_device()
    write_wg(WORK + '/wg.conf', n, private_key)
    run('ip', 'link', 'add', 'wt0', 'type', 'wireguard')
    return cpu_of('wg', 'setconf', 'wt0', WORK + '/wg.conf')


# -- figures -------------------------------------------------------------------------------------

def slope(cost):
    """Of the logarithms: 1 is linear."""
    points = [(math.log(n), math.log(cost[n] - cost[1])) for n in cost if n > 1]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def bench_program():
    """Cold programming against wg setconf, with the key and without (the part that is not crypto)."""
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
    for n in (1, 10000):
        d, _, _ = program(n, wrap=('strace', '-f', '-c', '-o', WORK + '/strace'))
        run('pkill', '-TERM', 'lapwingd')
        d.process.wait()
        counts[n] = count_syscalls(WORK + '/strace')
    report('system calls per programmed peer', (counts[10000] - counts[1]) / 9999, (0, 0.05))


def bench_reload():
    """The same file, then one change in 10,000, against wg syncconf of the same."""
    d, _, _ = program(10000)
    d.quiet()
    before = d.cpu()
    d.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    report('all files of 10,000 again', (d.cpu() - before) * 1e3, unit=' ms')
    write_wg(WORK + '/changed.conf', 10000, PRIVATE, (5000,))
    run('ip', 'link', 'add', 'wg9', 'type', 'wireguard')
    write_wg(WORK + '/wg.conf', 10000, PRIVATE)
    run('wg', 'setconf', 'wg9', WORK + '/wg.conf')
    theirs = cpu_of('wg', 'syncconf', 'wg9', WORK + '/changed.conf')
    empty_device('wg9')
    d.quiet()
    write_mesh(WORK + '/mesh.json', 10000, OWN, (5000,))
    before = d.cpu()
    time.sleep(1)
    mine = d.cpu() - before
    report('one change in 10,000, lapwing', mine * 1e3, unit=' ms')
    report('one change in 10,000, wg syncconf', theirs * 1e3, unit=' ms')
    report('one change in 10,000 / wg syncconf', mine / theirs, (0, 0.05))
    if '192.0.2.1:7' not in run('wg', 'show', 'wt0', 'endpoints'):
        raise SystemExit('the change did not arrive')
    d.stop()


def bench_requests():
    """What goes to the kernel for the same file and for one change, counted by a shim."""
    open(WORK + '/requests', 'w').close()
    os.chmod(WORK + '/requests', 0o666)
    d, _, _ = program(10000, WORK + '/count.so')
    for what, changed, gate in (('the same file again', (), 0), ('one change in 10,000', (5000,), 1)):
        d.quiet()
        open(WORK + '/requests', 'w').close()
        write_mesh(WORK + '/mesh.json', 10000, OWN, changed)
        time.sleep(1)
        lines = open(WORK + '/requests').read().split('\n')
        writes = [line for line in lines if line.startswith('write')]
        report(f'{what}: WireGuard requests', sum('wireguard' in w for w in writes), (gate, gate))
        report(f'{what}: other writing requests', sum('wireguard' not in w for w in writes), (0, 0))
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
    run('ip', 'netns', 'add', 'other')
    run('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'other')
    for command in ('address add 198.51.100.1/24 dev veth0', 'link set veth0 up', '-n other link set eth0 up',
                    '-n other address add 198.51.100.2/24 dev eth0', '-n other link add wg0 type wireguard',
                    '-n other address add 100.64.0.1/32 dev wg0', '-n other link set wg0 up',
                    '-n other route add 100.127.255.1 dev wg0'):
        run('ip', *command.split())
    private = run('wg', 'genkey')
    run('ip', 'netns', 'exec', 'other', 'wg', 'set', 'wg0', 'private-key', '/dev/stdin', 'peer', OWN, 'allowed-ips',
        '100.127.255.1', 'endpoint', '198.51.100.1:51820', input=private)
    empty_device()
    hosts = [{'name': 'h0', 'public_key': OWN, 'addresses': ['100.127.255.1']},
             {'name': 'other', 'public_key': run('wg', 'pubkey', input=private).strip(), 'addresses': ['100.64.0.1']}]
    with open(WORK + '/mesh.json', 'w') as f:
        json.dump({'mesh': 'bench', 'hosts': hosts}, f)
    d = Daemon()
    d.settle()
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE, which Python has no name for
    receiver.bind(('100.127.255.1', 9))
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


def bench_memory():
    rss = {}
    for n in (100, 10000, 99999):
        d, _, _ = program(n, WORK + '/nokey.so')
        time.sleep(120)
        memory = d.memory()
        rss[n] = memory['Rss']
        report(f'{n} peers: RSS', memory['Rss'] / 2**20, (0, 16) if n == 100 else None, ' MiB')
        report(f'{n} peers: private dirty', memory['Private_Dirty'] / 2**20, (0, 3) if n == 100 else None, ' MiB')
        d.stop()
    for n in (10000, 99999):
        report(f'bytes per further peer at {n}', (rss[n] - rss[100]) / (n - 100), (0, 300))


def bench_idle():
    d, _, _ = program(100)
    time.sleep(300)
    minutes = 20
    before, cpu = d.switches(), d.cpu()
    time.sleep(minutes * 60)
    report('wake-ups per minute, idle with 100 peers', (d.switches() - before) / minutes, (0, 2))
    report('processor time per idle minute', (d.cpu() - cpu) / minutes * 1e3, unit=' ms')
    d.stop()


BENCHES = {'program': bench_program, 'syscalls': bench_syscalls, 'reload': bench_reload, 'requests': bench_requests,
           'repair': bench_repair, 'restart': bench_restart, 'memory': bench_memory, 'idle': bench_idle}

os.makedirs(WORK + '/run', exist_ok=True)
shutil.copy('/job/nokey.so', WORK)
shutil.copy('/job/count.so', WORK)
PRIVATE = run('wg', 'genkey').strip()
OWN = run('wg', 'pubkey', input=PRIVATE).strip()
with open(os.open(WORK + '/private.key', os.O_CREAT | os.O_WRONLY, 0o600), 'w') as f:
    f.write(PRIVATE + '\n')
shutil.chown(WORK + '/private.key', 'lapwing')
with open(WORK + '/lapwing.json', 'w') as f:
    json.dump({'mesh_file': WORK + '/mesh.json', 'private_key_file': WORK + '/private.key'}, f)
subprocess.run(['ip', 'link', 'set', 'lo', 'up'])
subprocess.run(['ip', 'link', 'add', 'under0', 'type', 'dummy'])
subprocess.run(['ip', 'address', 'add', '192.0.2.9/24', 'dev', 'under0'])
subprocess.run(['ip', 'link', 'set', 'under0', 'up'])
subprocess.run(['ip', 'route', 'add', 'default', 'via', '192.0.2.254'])
for name in sys.argv[1:]:
    print(f'== {name}', flush=True)
    BENCHES[name]()
sys.exit(failed > 0)

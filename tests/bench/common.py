"""What all figures need: how they are reported, meshes and configurations, the daemon under observation."""
import base64
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

WORK = '/tmp/bench'
SO_RCVBUFFORCE = 33  # which Python has no name for
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


def expect(condition, text):
    """What has to be so for a figure to mean anything."""
    if not condition:
        raise SystemExit(text)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    expect(done.returncode == 0, f'{command} ended with {done.returncode}: {done.stderr}')
    return done.stdout


def cpu_of(*command):
    """Processor time in seconds of a command that must succeed."""
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    expect(not status, f'{command} ended with {status}')
    return usage.ru_utime + usage.ru_stime


# -- data ----------------------------------------------------------------------------------------

PRIVATE = run('wg', 'genkey').strip()
OWN = run('wg', 'pubkey', input=PRIVATE).strip()
INNER = '100.127.255.1'  # our address in the tunnel


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


def host(name, public_key, inner, outer=None, **more):
    return dict({'name': name, 'public_key': public_key, 'addresses': [inner]},
                **({'endpoints': [outer]} if outer else {}), **more)


def write_hosts(path, hosts, **lazy):
    """The mesh file; `lazy` are members of its "lazy"."""
    with open(path + '.new', 'w') as f:
        json.dump({'mesh': 'bench', 'lazy': lazy, 'hosts': hosts}, f, separators=(',', ':'))
    os.rename(path + '.new', path)


def write_mesh(n, changed=(), **lazy):
    """Us and n others that nobody answers for."""
    write_hosts(WORK + '/mesh.json', [host('h0', OWN, INNER, '192.0.2.9:51820')] + [
        host(f'h{i}', key(i), address(i), '192.0.2.1:7' if i in changed else endpoint(i)) for i in range(1, n + 1)],
        **lazy)


def write_config(home, private_key):
    os.makedirs(home + '/run', exist_ok=True)
    with open(os.open(home + '/private.key', os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 'w') as f:
        f.write(private_key + '\n')
    shutil.chown(home + '/private.key', 'lapwing')
    with open(home + '/lapwing.json', 'w') as f:
        json.dump({'mesh_file': home + '/mesh.json', 'private_key_file': home + '/private.key'}, f)


# -- namespaces ----------------------------------------------------------------------------------

def within(namespace, *command, **more):
    return run('ip', 'netns', 'exec', namespace, *command, **more)


def open_socket(kind, namespace=None, port=0):
    """A socket in that namespace; this process stays where it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open('/proc/self/ns/net', os.O_RDONLY)
    if namespace:
        there = os.open('/run/netns/' + namespace, os.O_RDONLY)
        expect(libc.setns(there, 0) == 0, 'no namespace ' + namespace)
        os.close(there)
    s = socket.socket(socket.AF_INET, kind)
    expect(libc.setns(here, 0) == 0, 'no way back')
    os.close(here)
    if kind == socket.SOCK_DGRAM:
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    s.bind(('0.0.0.0', port))
    return s


def join(namespace):
    """A new namespace, 198.51.100.2, beside ours, 198.51.100.1. The device has a name of those whose addresses others are told."""
    run('ip', 'netns', 'add', namespace)
    run('ip', '-batch', '-', input=f'''link add eth0 type veth peer name eth0 netns {namespace}
address add 198.51.100.1/24 dev eth0
link set eth0 up''')
    run('ip', '-n', namespace, '-batch', '-', input='''link set lo up
link set eth0 up
address add 198.51.100.2/24 dev eth0''')


def part(namespace):
    run('ip', 'link', 'delete', 'eth0')
    run('ip', 'netns', 'delete', namespace)


def passing(sender, receiver, to, payload):
    """Instructions for a packet from end to end over a veth."""
    rounds, burst = 100, 64
    begin = time.monotonic()
    for _ in range(rounds):
        for _ in range(burst):
            sender.sendto(payload, to)
        for _ in range(burst):
            receiver.recv(100)
    return (time.monotonic() - begin) / rounds / burst * 5e8


# -- the daemon ----------------------------------------------------------------------------------

class Daemon:
    """lapwingd, watched through the service manager's socket."""

    def __init__(self, preload=None, keep=False, wrap=(), home=WORK):
        self.run = home + '/run'
        if not keep:
            shutil.rmtree(home + '/state', ignore_errors=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            os.unlink(home + '/notify')
        except FileNotFoundError:
            pass
        self.socket.bind(home + '/notify')
        os.chmod(home + '/notify', 0o777)
        environment = dict(os.environ, NOTIFY_SOCKET=home + '/notify')
        if preload:
            environment['LD_PRELOAD'] = preload
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*wrap, 'lapwingd', '--config', home + '/lapwing.json', '--state', home + '/state', '--run', self.run],
            env=environment, stderr=open(home + '/log', 'a'))
        self.pid = self.process.pid

    def settle(self, limit=3000):
        """Waits until nothing is left to do; virtual seconds since the last event."""
        self.socket.settimeout(limit)
        while True:
            message = self.socket.recv(4096)
            if b'STATUS=' in message and b'being set up' not in message:
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

    def lapwing(self, *command):
        return run('lapwing', '--run', self.run, *command)

    def lazy(self):
        """What status says of lazy peers."""
        return json.loads(self.lapwing('status', '--json'))['lazy']

    def peers(self):
        return json.loads(self.lapwing('peers', '--json'))['peers']

    def expect_parked(self, n):
        found = self.lazy()
        expect(found['parked'] == n, f'not {n} parked: {found}')
        return found['sentinels']

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

    def wakeups(self):
        """How often it has gone to sleep; that others took the processor from it is not counted."""
        total = 0
        for task in os.listdir(f'/proc/{self.pid}/task'):
            for line in open(f'/proc/{self.pid}/task/{task}/status'):
                if line.startswith('voluntary_ctxt_switches'):
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


def start(n, preload=None, wrap=()):
    """A daemon that has just made the mesh of n peers that lies there, and when it was done."""
    empty_device()
    d = Daemon(preload, wrap=wrap)
    done = d.settle()
    expect(len(run('wg', 'show', 'wt0', 'peers').split()) == n,
           f'not all of {n} peers are there: ' + open(WORK + '/log').read())
    return d, done


def program(n, preload=None, wrap=(), **lazy):
    """Cold programming: processor and passed seconds; the daemon, still running."""
    write_mesh(n, **lazy)
    d, done = start(n, preload, wrap)
    return d, d.cpu(), done - d.started


# -- what the shim has seen ----------------------------------------------------------------------

def watch_requests():
    open(WORK + '/requests', 'w').close()
    os.chmod(WORK + '/requests', 0o666)


def requests():
    """Lines like "write wireguard type 28"."""
    return open(WORK + '/requests').read().splitlines()


def counter_readings():
    return sum(line == 'read nftables type 2573' for line in requests())  # NFT_MSG_GETSETELEM

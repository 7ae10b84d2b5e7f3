"""Figures of lazy peers that somebody answers for: storms of wakes, wakes that cross, what counting costs a packet."""
import base64
import json
import os
import random
import resource
import select
import signal
import socket
import statistics
import subprocess
import time

import common
from common import INNER, OWN, PRIVATE, WORK, Daemon, address, report, run, within
from lazy import report_latency

# -- storms --------------------------------------------------------------------------------------

MANY = 1000


def make_devices(addresses, own, inner):
    """As many WireGuard devices in the namespace "many", each with its own key, that know the host `own`; their keys."""
    batch = ['rule add to 198.51.100.0/24 lookup main pref 100']
    for i, at in enumerate(addresses, 1):
        batch += [f'link add wg{i} type wireguard', f'address add {at}/32 dev wg{i}', f'link set wg{i} up',
                  f'route add {inner} dev wg{i} table {1000 + i}',
                  f'rule add from {at} lookup {1000 + i} pref {1000 + i}']
    run('ip', '-n', 'many', '-batch', '-', input='\n'.join(batch))
    for i in range(1, len(addresses) + 1):
        private = base64.b64encode(random.Random(f'one of many {i}').randbytes(32)).decode()
        with open(f'{WORK}/wg{i}', 'w') as f:
            f.write(f'''[Interface]
PrivateKey = {private}
ListenPort = {20000 + i}
[Peer]
PublicKey = {own}
Endpoint = 198.51.100.1:51820
AllowedIPs = {inner}/32
''')
    within('many', 'sh', '-c', f'for i in $(seq {len(addresses)}); do wg setconf wg$i {WORK}/wg$i; done')
    return dict(line.split() for line in within('many', 'wg', 'show', 'all', 'public-key').splitlines())


def make_many():
    """The devices, and a mesh of them."""
    common.join('many')
    keys = make_devices([address(i) for i in range(1, MANY + 1)], OWN, INNER)
    common.write_hosts(WORK + '/mesh.json', [common.host('h0', OWN, INNER, '198.51.100.1:51820')] + [
        common.host(f'h{i}', keys[f'wg{i}'], address(i), f'198.51.100.2:{20000 + i}') for i in range(1, MANY + 1)])


class Datagrams:
    """One to each, numbered."""
    name = 'datagrams'

    def __init__(self):
        self.sender = common.open_socket(socket.SOCK_DGRAM)
        self.receiver = common.open_socket(socket.SOCK_DGRAM, 'many', 9)

    def ask(self, i):
        self.sender.sendto(b'%d' % i, (address(i), 9))

    def take(self, seconds):
        if select.select([self.receiver], [], [], seconds)[0]:
            return int(self.receiver.recv(16))

    def lost(self):
        return 0  # each has a number


class Connections:
    """One to each. A SYN that is lost would be sent again, so they are counted where they go in and come out."""
    name = 'connections'

    def __init__(self):
        self.listener = common.open_socket(socket.SOCK_STREAM, 'many', 9)
        self.listener.listen(4096)
        self.made = {}
        self.numbers = {address(i): i for i in range(1, MANY + 1)}
        for prefix, hook in ((), 'output'), (('ip', 'netns', 'exec', 'many'), 'input'):
            run(*prefix, 'nft', f'''table ip syn {{
                chain c {{ type filter hook {hook} priority 0;
                           tcp dport 9 tcp flags & (syn|ack) == syn counter; }}; }}''')

    def ask(self, i):
        self.made[i] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.made[i].setblocking(False)
        self.made[i].connect_ex((address(i), 9))

    def take(self, seconds):
        if select.select([self.listener], [], [], seconds)[0]:
            accepted, _ = self.listener.accept()
            i = self.numbers[accepted.getsockname()[0]]
            self.made.pop(i).close()
            return i

    def lost(self):
        sent, received = (json.loads(run(*prefix, 'nft', '-j', 'list', 'table', 'ip', 'syn'))['nftables'][-1]['rule']
                          ['expr'][-1]['counter']['packets'] for prefix in ((), ('ip', 'netns', 'exec', 'many')))
        return sent - received


def wake_many(d, packets, at_once):
    """Processor time, and of each that arrived how long that took since it was sent."""
    arrived, asked, before = {}, {}, d.cpu()

    def take(seconds):
        i = packets.take(seconds)
        if i:
            arrived[i] = time.monotonic() - asked[i]
        return i

    if at_once:  # nobody else has the processor meanwhile
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    for i in range(1, MANY + 1):
        asked[i] = time.monotonic()
        packets.ask(i)
        if not at_once:
            take(30)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    while len(arrived) < MANY and take(30):
        pass
    time.sleep(10)
    return d.cpu() - before, sorted(arrived.values()), asked[MANY] - asked[1]


def wake_and_report(packets, at_once):
    """Processor time of the daemon."""
    d, _ = common.start(MANY)
    d.expect_parked(MANY)
    d.quiet()
    cpu, times, span = wake_many(d, packets, at_once)
    what = f'first {packets.name} to {MANY} peers, ' + ('at once' if at_once else 'singly')
    report(f'{what}: lost', max(MANY - len(times), packets.lost()), (0, 0))
    report(f'{what}: arrived after, median', statistics.median(times) * 1e3, unit=' virtual ms')
    report(f'{what}: the last', times[-1] * 1e3, unit=' virtual ms')
    report(f'{what}: processor time of a wake', cpu / MANY * 1e6, unit=' us')
    if at_once:
        report(f'{what}: sent within', span, (0, 1), ' s')
    else:
        report_latency(what, d.peers())
    d.stop()
    return cpu


def report_plain(packets):
    """What WireGuard takes for it when all have their endpoints and nobody has to be woken: one processor
    does the work of a thousand hosts, 7 ms a handshake, and handshakes that take 5 s begin anew."""
    hosts = json.load(open(WORK + '/mesh.json'))['hosts']
    common.write_hosts(WORK + '/mesh.json', hosts, enabled=False)
    d, _ = common.start(MANY)
    d.quiet()
    _, times, _ = wake_many(d, packets, True)
    what = f'first {packets.name} to {MANY} peers at once, without lazy peers: '
    report(what + 'arrived after, median', statistics.median(times) * 1e3, unit=' virtual ms')
    report(what + 'the last', times[-1] * 1e3, unit=' virtual ms')
    d.stop()


def bench_storm():
    """The first packets to 1,000 parked peers, one after the other and all within a second."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    make_many()
    run('ping', '-q', '-c', '1', '198.51.100.2')
    datagrams, connections = Datagrams(), Connections()
    for packets in (datagrams, connections):
        singly, at_once = wake_and_report(packets, False), wake_and_report(packets, True)
        report(f'processor time of {packets.name} at once / singly', at_once / singly, (0, 1.2))
    report_plain(datagrams)
    common.part('many')


# -- crossing ------------------------------------------------------------------------------------

OTHER = {'a': 'b', 'b': 'a'}
ADDRESS = {'a': '100.64.0.1', 'b': '100.64.0.2'}


def make_two():
    """Hosts a and b with a daemon each."""
    for name in OTHER:
        run('ip', 'netns', 'add', name)
    run('ip', 'link', 'add', 'eth0', 'netns', 'a', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'b')
    hosts, daemons = [], {}
    for name, outer in ('a', '198.51.100.1'), ('b', '198.51.100.2'):
        run('ip', '-n', name, '-batch', '-', input=f'link set lo up\nlink set eth0 up\naddress add {outer}/24 dev eth0')
        private = run('wg', 'genkey').strip()
        common.write_config(f'{WORK}/{name}', private)
        hosts.append(common.host(name, run('wg', 'pubkey', input=private).strip(), ADDRESS[name], outer + ':51820'))
    for name in OTHER:
        common.write_hosts(f'{WORK}/{name}/mesh.json', hosts)
        daemons[name] = Daemon(wrap=('ip', 'netns', 'exec', name), home=f'{WORK}/{name}')
        daemons[name].settle()
    return {h['name']: h['public_key'] for h in hosts}, daemons


def forget_session(keys, daemons):
    for name in OTHER:
        daemons[name].lapwing('idle', OTHER[name])
    for name in OTHER:
        within(name, 'wg', 'set', 'wt0', 'peer', keys[OTHER[name]], 'remove')
        daemons[name].lapwing('up', '--wait')
    while not all('127.' in within(name, 'wg', 'show', 'wt0', 'endpoints') for name in OTHER):
        time.sleep(0.05)
    time.sleep(1)  # nothing of before is remembered


def cross(sockets, spread):
    """Each asks the other; the second does so at most `spread` seconds after the first. Seconds to the answers."""
    first, second = random.sample('ab', 2)
    begin = time.monotonic()
    due, asked, answered = {first: begin, second: begin + random.uniform(0, spread)}, {}, {}
    question = b'?%f' % begin
    while len(answered) < 2 and time.monotonic() < begin + 12:
        for name in [n for n in due if time.monotonic() >= due[n]]:
            asked[name] = time.monotonic()
            sockets[name].sendto(question, (ADDRESS[OTHER[name]], 7000))
            del due[name]
        wait = min(due.values(), default=begin + 12) - time.monotonic()
        for s in select.select(list(sockets.values()), [], [], max(0, wait))[0]:
            data, sender = s.recvfrom(100)
            if data == question:
                s.sendto(b'!' + data[1:], sender)
            elif data[1:] == question[1:]:
                name = next(n for n in OTHER if sockets[n] is s)
                answered.setdefault(name, time.monotonic() - asked[name])
    return [answered.get(name, 99) for name in OTHER]


def bench_crossing():
    """Both sides wake each other within one round trip. Both hosts share the one processor, on which two
    handshakes take some 10 ms: where the network takes no time, that is taken for the round trip."""
    random.seed(1)
    runs = 200
    keys, daemons = make_two()
    sockets = {name: common.open_socket(socket.SOCK_DGRAM, name, 7000) for name in OTHER}
    for rtt in (0, 0.02, 0.1):
        for name in OTHER:
            run('tc', '-n', name, 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', 'delay', f'{rtt / 2 * 1e6:.0f}us',
                'limit', '10000')
        times = []
        for _ in range(runs):
            forget_session(keys, daemons)
            times += cross(sockets, max(rtt, 0.01))
        times.sort()
        what = f'{runs} crossing wakes, round trip {rtt * 1e3:.0f} ms: '
        report(what + 'first reply after, median', statistics.median(times) * 1e3, unit=' virtual ms')
        report(what + 'the last', times[-1] * 1e3, unit=' virtual ms')
        report(what + 'later than 4 round trips and 100 ms', sum(t > 4 * rtt + 0.1 for t in times), (0, 0))
        report(what + 'later than 5 s', sum(t >= 5 for t in times), (0, 0))
    for name in OTHER:
        daemons[name].stop()
        run('ip', 'netns', 'delete', name)


# -- throughput ----------------------------------------------------------------------------------

def make_far():
    """A plain WireGuard host 100.64.0.1 beside us; the mesh of both."""
    common.join('far')
    private = run('wg', 'genkey')
    run('ip', '-n', 'far', '-batch', '-', input=f'''link add wg0 mtu 1420 type wireguard
address add {address(1)}/32 dev wg0
link set wg0 up
route add {INNER} dev wg0''')
    within('far', 'wg', 'set', 'wg0', 'listen-port', '51820', 'private-key', '/dev/stdin', 'peer', OWN, 'allowed-ips',
           INNER, 'endpoint', '198.51.100.1:51820', input=private)
    return [common.host('h0', OWN, INNER, '198.51.100.1:51820'),
            common.host('far', run('wg', 'pubkey', input=private).strip(), address(1), '198.51.100.2:51820')]


def per_packet(sender, receiver, to):
    """Instructions for a small packet from one end to the other, both ends included: nobody waits for a clock."""
    rounds, burst = 100, 64
    begin = time.monotonic()
    for _ in range(rounds):
        for _ in range(burst):
            sender.sendto(b'x' * 64, to)
        for _ in range(burst):
            receiver.recv(100)
    return (time.monotonic() - begin) / rounds / burst * 5e8


def throughput(size, *more):
    """Mbit/s of a TCP stream through the tunnel."""
    server = subprocess.Popen(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1'], stdout=subprocess.DEVNULL)
    time.sleep(1)
    result = json.loads(run('iperf3', '-c', address(1), '-n', size, '-J', *more))
    server.wait()
    return result['end']['sum_received']['bits_per_second'] / 1e6


def report_streams(what, off, on, them='lazy peers'):
    """Two ways of the same, run in turn. What differs between runs of one way is noise: as its band counts what
    lies between the quartiles."""
    middle = statistics.median(off)
    low, _, high = statistics.quantiles(off, n=4)
    difference, band = (statistics.median(on) - middle) / middle * 100, (high - low) / middle * 100
    report(f'{what}, with {them}: medians differ by {difference:+.1f} %, runs without by {band:.1f} %; beyond noise',
           max(0.0, abs(difference) - band), (0, 0), ' %')


class Switched:
    """Lazy peers off and on in turn, in a mesh of us and one far host."""
    def __init__(self):
        self.hosts = make_far()
        common.write_hosts(WORK + '/mesh.json', self.hosts, enabled=False)
        self.daemon, _ = common.start(1)

    def runs(self, n):
        for enabled in (False, True) * n:
            common.write_hosts(WORK + '/mesh.json', self.hosts, enabled=enabled)
            time.sleep(5)
            state = self.daemon.lazy()
            common.expect(state['active' if enabled else 'permanent'] == 1, f'not as the mesh says: {state}')
            yield enabled

    def stop(self):
        self.daemon.stop(9)
        run('nft', 'flush', 'ruleset')
        common.part('far')


def bench_throughput():
    """Counting may cost a packet what a few nftables rules cost: its address is looked up in a set, and counted
    there, and what WireGuard makes of it passes the chain, too. Even 6,400 packets differ by some hundreds of
    instructions from one placing of rules in memory to another; the gate is a twenty-fifth of what a small packet
    costs here from end to end (sender, both WireGuards, receiver)."""
    switched, found = Switched(), {False: [], True: []}
    near, far = common.open_socket(socket.SOCK_DGRAM, port=9), common.open_socket(socket.SOCK_DGRAM, 'far', 9)

    def measure():
        per_packet(near, far, (address(1), 9))
        switched.daemon.process.send_signal(signal.SIGSTOP)  # it looks at what it has just programmed
        cost = {'out': per_packet(near, far, (address(1), 9)), 'in': per_packet(far, near, (INNER, 9))}
        switched.daemon.process.send_signal(signal.SIGCONT)
        return cost

    for enabled in switched.runs(4):
        found[enabled].append(measure())
    for way in 'out', 'in':
        off, on = ([f[way] for f in found[enabled]] for enabled in (False, True))
        for form, values in ('without lazy peers', off), ('with them', on):
            report(f'instructions of an inner packet {way}, {form}', ' '.join(f'{v:.0f}' for v in values))
        report(f'instructions of an inner packet {way}, more with them', statistics.median(on) - statistics.median(off),
               (0, 1800))
    switched.stop()


def bench_stream():
    """TCP through the tunnel, on two processors and by a real clock, as noisy as this machine is."""
    switched, found = Switched(), {False: [], True: []}
    for enabled in switched.runs(8):
        speeds = {'sending': throughput('8M'), 'receiving': throughput('8M', '-R')}
        found[enabled].append(speeds)
        for way, speed in speeds.items():
            report(f'stream {way}, ' + ('with' if enabled else 'without') + ' lazy peers', speed, unit=' Mbit/s')
    for way in 'sending', 'receiving':
        report_streams(f'stream {way}', *([f[way] for f in found[enabled]] for enabled in (False, True)))
    switched.stop()

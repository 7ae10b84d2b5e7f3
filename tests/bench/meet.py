"""Figures of peers that have to find each other first: by the signal server, by ICE, and by WireGuard's own packets.

The remote hosts are WireGuard devices of the kernel with one process that speaks signal and ICE for all of them (remotes.py).
Everything shares one processor that does 500 million instructions a second, a tenth of what one of today does: what is
said of time is mostly processor time of both sides, of the signal server in Python and of cryptography, and says how parts
compare. Gates hold here and by far elsewhere."""
import json
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import common
import lazynet
from common import WORK, Daemon, expect, report, run, within

sys.path.append('/job/hub')
from running import Program  # noqa: E402

HOME = '/tmp/meet'
STAGES = ('offer_ms', 'answer_ms', 'candidate_ms', 'path_ms')


class Remotes(Program):
    def __init__(self, count):  # pylint: disable=super-init-not-called
        self.directory = tempfile.TemporaryDirectory()
        self.control = self.directory.name + '/control'
        self.process = subprocess.Popen(
            ['ip', 'netns', 'exec', 'many', sys.executable, '/job/remotes.py', str(count), '198.51.100.2', '--control', self.control,
             '--listen', '0.0.0.0:33073', '--signal-listen', '0.0.0.0:10000', '--signal', '198.51.100.2:10000'],
            stdout=subprocess.PIPE)
        expect(self.process.stdout.readline(), 'no remotes')


def wait(condition, what, limit=300):
    end = time.monotonic() + limit
    while not condition():
        expect(time.monotonic() < end, f'not in time: {what}')
        time.sleep(0.1)


def percentile(values, part):
    values = sorted(values)
    return values[min(int(len(values) * part), len(values) - 1)]


def report_times(what, milliseconds, unit=' virtual ms', gate=None):
    """`gate` is that of the hundredth part that takes longest."""
    report(f'{what}: median', statistics.median(milliseconds), unit=unit)
    report(f'{what}: 99th percentile', percentile(milliseconds, 0.99), gate, unit)


def report_stages(what, peers):
    """Since the first packet, as the daemon says; a path is what ICE has found, which WireGuard does not wait for."""
    for stage in STAGES:
        values = [p['negotiation'][stage] for p in peers if (p['negotiation'] or {}).get(stage) is not None]
        if values:
            report_times(f'{what}, until {stage[:-3]} ({len(values)})', values)
    for stage in 'endpoint_us', 'answer_us':
        values = [p['wakes'][stage] / 1e3 for p in peers if p['wakes'][stage]]
        if values:
            report_times(f'{what}, until {"endpoint" if stage == "endpoint_us" else "handshake"} ({len(values)})', values)


class Member(Daemon):
    """Of a network, in a namespace."""

    def __init__(self, home, namespace=None, **more):
        self.home, self.namespace, self.more = home, namespace, more
        self.prefix = ('ip', 'netns', 'exec', namespace) if namespace else ()
        super().__init__(home=home, keep=True, wrap=self.prefix, **more)

    def again(self):
        return Member(self.home, self.namespace, **self.more)

    def wg(self, what):
        return run(*self.prefix, 'wg', 'show', 'wt0', what)

    def document(self):
        return json.loads(self.lapwing('status', '--json', '--timeout', '60'))

    def wait_signal(self):
        wait(lambda: ((self.document()['control'] or {}).get('signal') or {}).get('state') == 'connected', 'signal')


def enroll(hub, url, name, home, **more):
    """A daemon that has joined the network under that name."""
    for directory in 'state', 'run':
        os.makedirs(f'{home}/{directory}')
        shutil.chown(f'{home}/{directory}', 'lapwing', 'lapwing')
    with open(home + '/lapwing.json', 'w') as f:
        f.write('{}')
    with open(os.open(home + '/setup.key', os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 'w') as f:
        f.write(hub.add_key() + '\n')
    daemon = Member(home, **more)
    daemon.settle(60)
    daemon.lapwing('enroll', '--management-url', url, '--setup-key-file', home + '/setup.key', '--hostname', name)
    daemon.wait_signal()
    return daemon


def forget_all(hub, daemons):
    """Nobody may meet anybody for a while, in which daemons restart: sessions and endpoints are forgotten. New daemons."""
    policies = hub.get()['policies']
    hub.set(policies=[])
    for d in daemons:
        wait(lambda: not d.wg('peers'), 'nobody is known')
        d.stop()
    again = [d.again() for d in daemons]
    for d in again:
        d.settle(60)
        d.wait_signal()
    hub.set(policies=policies)
    return again


class Meeting:
    """A daemon in a network with so many remotes, all of which sleep."""

    def __init__(self, count, preload=None):
        self.count = count
        common.join('many')
        common.empty_device()
        self.remotes = Remotes(count)
        self.remotes.set(lazy=True)
        self.daemon = enroll(self.remotes, 'http://198.51.100.2:33073', 'bench', HOME, preload=preload)
        known = self.remotes.remotes()
        self.keys, self.addresses = [r['key'] for r in known], [r['address'] for r in known]
        self.all_parked()
        own = self.remotes.peer(peer='bench')
        found = lazynet.make_devices(self.addresses, own['key'], own['address'])
        expect(sorted(found.values()) == sorted(self.keys), 'remotes and devices have other keys')
        self.lead_checks()
        self.sender = common.open_socket(socket.SOCK_DGRAM)
        self.receiver = common.open_socket(socket.SOCK_DGRAM, 'many', 9)
        run('ping', '-q', '-c', '1', '198.51.100.2')

    def lead_checks(self, shut=False):
        """Binding messages at WireGuard's ports go to the process, and back; `shut`: nothing comes in there."""
        ways = {'dport': (20000, 40000), 'sport': (40000, 20000)}
        text = 'table ip checks\ndelete table ip checks\ntable ip checks {\n'
        for port, (old, new) in ways.items():
            hook = 'prerouting priority raw' if port == 'dport' else 'postrouting priority 300'
            pairs = ', '.join(f'{old + i} : {new + i}' for i in range(1, self.count + 1))
            text += f'chain {port} {{\ntype filter hook {hook}\n'
            if shut and port == 'dport':
                text += f'udp dport {old + 1}-{old + self.count} drop\n'
            text += f'udp {port} {old + 1}-{old + self.count} @th,96,32 0x2112a442 udp {port} set udp {port} map {{ {pairs} }}\n}}\n'
        within('many', 'nft', '-f', '-', input=text + '}\n')

    def all_parked(self):
        wait(lambda: self.daemon.lazy()['parked'] == self.count, 'all parked')

    def forget(self):
        """All sleep, and nothing is known of them from before."""
        self.remotes.sleep()
        self.daemon, = forget_all(self.remotes, [self.daemon])
        self.all_parked()
        time.sleep(1)

    def exclude(self, *interfaces):
        with open(HOME + '/lapwing.json', 'w') as f:
            json.dump({'ice': {'interfaces_exclude': interfaces}}, f)
        self.forget()

    def ask(self, number):
        self.sender.sendto(b'%d' % number, (self.addresses[number - 1], 9))

    def take(self, seconds):
        if select.select([self.receiver], [], [], seconds)[0]:
            return int(self.receiver.recv(16))
        return None

    def wake(self, numbers, at_once=False):
        """By number of those that were reached, how long it took in seconds."""
        asked, arrived = {}, {}
        while self.take(0):
            pass

        def take(seconds):
            number = self.take(seconds)
            if number:
                arrived[number] = time.monotonic() - asked[number]
            return number

        if at_once:  # nobody else has the processor meanwhile
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for number in numbers:
            asked[number] = time.monotonic()
            self.ask(number)
            if not at_once:
                take(30)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        while len(arrived) < len(numbers) and take(60):
            pass
        return arrived

    def stop(self):
        self.daemon.stop()
        self.remotes.finish()
        common.part('many')
        shutil.rmtree(HOME)


# -- one after the other ---------------------------------------------------------------------------

def wake_rounds(m, what, rounds, gate=None):
    times, peers = [], []
    for _ in range(rounds):
        arrived = m.wake(range(1, m.count + 1))
        times += [seconds * 1e3 for seconds in arrived.values()]
        peers += [p for p in m.daemon.peers() if p['wakes']['count']]
        m.forget()
    what = f'{rounds * m.count} wakes {what}'
    report(f'{what}: lost', rounds * m.count - len(times), (0, 0))
    report_times(f'{what}: first packet there', times, gate=gate)
    report_stages(what, peers)


def bench_meet(rounds=10, delays=(0, 20, 100)):
    """Of the hundred remotes one after the other; each message of the signal server takes so long."""
    m = Meeting(100)
    for delay in delays:
        m.remotes.delay(ms=delay)
        wake_rounds(m, f'of lapwings, messages take {delay} ms', rounds)
    m.remotes.delay(ms=0)
    m.remotes.kind(lapwing=False)
    m.exclude('under0')
    wake_rounds(m, 'of peers of another make', 1, (0, 1000))
    # ICE nominates what works when what does not has been given up.
    m.exclude()
    wake_rounds(m, 'of peers of another make, from one of our addresses nobody is reached', 1, (0, 2000))
    m.stop()


# -- two lapwings on one LAN -----------------------------------------------------------------------

class Lan:
    def __init__(self):
        run('ip', '-batch', '-', input='link add lan type bridge\naddress add 198.51.100.9/24 dev lan\nlink set lan up')
        self.hub = Program('hub.py', '--listen', '0.0.0.0:33073', '--signal-listen', '0.0.0.0:10000',
                           '--signal', '198.51.100.9:10000')
        self.hub.set(lazy=True)
        self.daemons, self.addresses, self.sockets = {}, {}, {}
        for number, name in enumerate('ab', 1):
            run('ip', 'netns', 'add', name)
            run('ip', 'link', 'add', 'to' + name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
            run('ip', '-batch', '-', input=f'link set to{name} master lan\nlink set to{name} up')
            run('ip', '-n', name, '-batch', '-',
                input=f'link set lo up\nlink set eth0 up\naddress add 198.51.100.{number}/24 dev eth0')
            home = f'{HOME}/{name}'
            self.daemons[name] = enroll(self.hub, 'http://198.51.100.9:33073', name, home, namespace=name)
            self.addresses[name] = self.hub.peer(peer=name)['address']
            self.sockets[name] = common.open_socket(socket.SOCK_DGRAM, name, 7000)

    def forget(self):
        self.daemons = dict(zip('ab', forget_all(self.hub, self.daemons.values())))
        wait(lambda: all(d.lazy()['parked'] == 1 for d in self.daemons.values()), 'parked')
        time.sleep(1)

    def ask(self):
        """Seconds to the answer of what a sends b."""
        begin = time.monotonic()
        self.sockets['a'].sendto(b'?', (self.addresses['b'], 7000))
        while select.select([*self.sockets.values()], [], [], 10)[0]:
            for name, s in self.sockets.items():
                if not select.select([s], [], [], 0)[0]:
                    continue
                data, sender = s.recvfrom(10)
                if name == 'a':
                    return time.monotonic() - begin
                s.sendto(data, sender)
        return None

    def stop(self):
        for name in 'ab':
            self.daemons[name].stop()
            self.sockets[name].close()
            run('ip', 'netns', 'delete', name)
        self.hub.finish()
        run('ip', 'link', 'delete', 'lan')
        shutil.rmtree(HOME)


def bench_lan(runs=50, delays=(0, 20, 100)):
    """A ping that wakes. A signal round trip is what the messages are delayed, and what passes without delays from our
    offer to the answer: both agents and the server work on one slow processor."""
    lan, work = Lan(), 0
    for delay in delays:
        lan.hub.unfault()
        if delay:
            lan.hub.fault(method='Send', kind='delay', ms=delay, count=-1)
        times, stages = [], []
        for _ in range(runs):
            lan.forget()
            times.append(lan.ask())
            stages += lan.daemons['a'].peers()
        found = [seconds * 1e3 for seconds in times if seconds is not None]
        what = f'{runs} wakes on one LAN, messages take {delay} ms'
        report(f'{what}: lost', len(times) - len(found), (0, 0))
        report_stages(what, stages)
        if not delay:
            work = statistics.median(p['negotiation']['answer_ms'] - p['negotiation']['offer_ms'] for p in stages)
            report('signal round trip without delays', work, unit=' virtual ms')
        report_times(f'{what}: ping answered', found, gate=(0, 3 * (2 * delay + work) + 60))
    lan.stop()


# -- all at once -----------------------------------------------------------------------------------

def most_within(times, seconds):
    """How many of them at most lie so close to each other."""
    times = sorted(times)
    return max(sum(t <= u < t + seconds for u in times) for t in times)


def burst(m, at_once):
    """Processor time of the daemon, and how long each took."""
    m.forget()
    m.daemon.quiet()
    before = m.daemon.cpu()
    arrived = m.wake(range(1, m.count + 1), at_once)
    time.sleep(20)
    report(f'{m.count} wakes {"at once" if at_once else "singly"}: lost', m.count - len(arrived), (0, 0))
    return m.daemon.cpu() - before, arrived


def watch_burst(m):
    """What status says meanwhile."""
    m.forget()
    seen = []
    for number in range(1, m.count + 1):
        m.ask(number)
    while not seen or seen[-1]['waiting'] or seen[-1]['busy']:
        seen.append(m.daemon.document()['control']['negotiations'])
        time.sleep(0.05)
        expect(len(seen) < 1000, 'it does not end')
    report('as status says at most: wait for their turn', max(s['waiting'] for s in seen), (1, m.count))
    report('as status says at most: longest wait', max(s['longest_wait_ms'] for s in seen), unit=' virtual ms')
    report('as status says at most: are negotiated with', max(s['busy'] for s in seen), (1, 64))


def bench_burst(count=200):
    m = Meeting(count)
    m.wake(range(1, count + 1))  # what is needed once
    singly, _ = burst(m, False)
    m.remotes.offers()
    at_once, arrived = burst(m, True)
    # When each was asked; on their way through a server that has other things to do as well they come closer to each other.
    asked = [-p['negotiation']['last_offer_ms'] / 1e3 for p in m.daemon.peers() if p['negotiation']]
    offers = m.remotes.offers()
    what = f'{count} wakes at once'
    report_times(f'{what}: first packet there', [seconds * 1e3 for seconds in arrived.values()])
    report(f'{what}: processor time of one', at_once / count * 1e6, unit=' us')
    report(f'{what}: processor time / singly', at_once / singly, (0, 1.2))
    expect(len(asked) == count, f'{len(asked)} of {count} were asked')
    report(f'{what}: asked within a second', most_within(asked, 1), (1, 50))
    report(f'{what}: as the remotes hear it', most_within([t for t, _ in offers], 1), unit='')
    report(f'{what}: offers for each', len(offers) / count, unit='')
    watch_burst(m)
    m.stop()


# -- connected -------------------------------------------------------------------------------------

def heap(d):
    """Bytes of it that somebody has."""
    path = WORK + '/heap'
    open(path, 'w').close()
    os.chmod(path, 0o666)
    d.process.send_signal(signal.SIGUSR2)
    wait(lambda: os.path.getsize(path), 'the heap')
    return int(open(path).read())


def heap_between(m):
    """When ICE is not at work for somebody: each agent has 150 kB."""
    found = []
    for _ in range(30):
        time.sleep(4)
        found.append(heap(m.daemon))
    return min(found)


def connect(m, lapwing):
    """With all of them; bytes that each costs. As many as are negotiated with at a time come first: GLib keeps some of what their
    agents had, which is there once."""
    first = min(100, m.count // 2)
    what = 'lapwing' if lapwing else 'peer of another make'
    m.remotes.kind(lapwing=lapwing)
    lost = first - len(m.wake(range(1, first + 1), True))
    time.sleep(90)
    before, others = heap_between(m), m.count - first
    for begin in range(first + 1, m.count + 1, 100):  # all at once one processor cannot speak for so many that want answers
        some = range(begin, min(begin + 100, m.count + 1))
        lost += len(some) - len(m.wake(some, True))
        time.sleep(5)
    report(f'{m.count} wakes, {what}: lost', lost, (0, 0))
    time.sleep(90)
    report(f'bytes of a connected {what} more than of a parked one', (heap_between(m) - before) / others, (0, 1024))


def figure_agents(m, count=64):
    """So many negotiate with somebody who does not answer. What is needed once is there already, and the new map on the disk."""
    m.remotes.kind(mute=True)
    m.lead_checks(shut=True)
    m.ask(m.count)
    m.daemon.document()
    m.daemon.quiet()
    before = m.daemon.memory()['Pss'], heap(m.daemon)
    for number in range(1, count + 1):
        m.ask(number)
    time.sleep(7)
    busy = m.daemon.document()['control']['negotiations']['busy']
    report('negotiations at a time', busy, (count, count))
    report('PSS of a peer under negotiation', (m.daemon.memory()['Pss'] - before[0]) / busy / 1024, (0, 40), ' KiB')
    report('heap of a peer under negotiation', (heap(m.daemon) - before[1]) / busy / 1024, unit=' KiB')
    m.remotes.kind()
    m.lead_checks()
    time.sleep(120)
    m.forget()


def figure_failing(m):
    """One that is never reached, for an hour, and another. Before them what is kept of events has filled."""
    m.remotes.kind(mute=True)
    m.lead_checks(shut=True)
    m.daemon.lapwing('pin', m.keys[0])
    time.sleep(3600)
    before = heap_between(m)
    m.remotes.offers()
    for hour in 'an', 'another':
        time.sleep(3600)
        report(f'offers to one that is not reached, in {hour} hour', len(m.remotes.offers()))
        report('bytes more after it', heap_between(m) - before, (-1 << 20, 1024))
    m.daemon.lapwing('unpin', m.keys[0])


def figure_checks(m, seconds=60):
    """Their checks are answered."""
    common.expect(m.remotes.sessions()['paths'] == m.count, f'not all have a path: {m.remotes.sessions()}')
    before = m.daemon.cpu()
    time.sleep(seconds)
    share = (m.daemon.cpu() - before) / seconds
    report(f'processor time for checks of {m.count} connected peers of another make', share * 100, (0, 5), ' %')
    report('instructions of a check, kernel and the remotes\' side of the wire included', share * 5e8 / (m.count / 2))
    report('of them, lost their path', m.remotes.sessions()['lost'], (0, 0))


def bench_connected(count=1000):
    m = Meeting(count, WORK + '/heap.so')
    figure_agents(m)
    connect(m, True)
    m.forget()
    connect(m, False)
    figure_checks(m)
    m.forget()
    figure_failing(m)
    m.stop()

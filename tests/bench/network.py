#!/usr/bin/python3
"""network.py - figures of the daemon with a management server (tests/hub) over TLS, on this machine, in namespaces of its
own; for bench.py in the guest those that need WireGuard: bench_idle(), bench_ping()."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
HUB = os.path.join(HERE, 'hub')  # in the guest
sys.path.append(HUB if os.path.exists(HUB) else os.path.join(HERE, '..', 'hub'))
import grpc  # noqa: E402

from client import Client  # noqa: E402
from common import Daemon, expect, report, run  # noqa: E402
from messages import pb  # noqa: E402
from running import Program  # noqa: E402

ENROLMENTS = 10
SMALL, MIB = 100, 1 << 20
RULES, RULE_ROUNDS = 10000, 7
SETTLE_S = 35  # a map of this size is on the disk half a minute after the one before
HUGE = 15 * MIB  # a message may have 16 MiB


class Server(Program):
    """The hub with a certificate for loopback."""

    def __init__(self, home, *arguments):
        self.certificate = home + '/hub.crt'
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
            '-subj', '/CN=hub', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', home + '/hub.key',
            '-out', self.certificate)
        super().__init__('hub.py', '--tls', '127.0.0.1:0', '--cert', self.certificate, '--key', home + '/hub.key',
                         *arguments)
        self.url = f'https://127.0.0.1:{self.ready["tls_port"]}'
        self.setup_key = self.add_key()
        with open(home + '/setup.key', 'w', opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(self.setup_key + '\n')


class Member(Daemon):
    """A daemon that has just started and is of no network."""

    def __init__(self, home, server):
        for name in 'state', 'run':
            shutil.rmtree(f'{home}/{name}', ignore_errors=True)
            os.mkdir(f'{home}/{name}')
            shutil.chown(f'{home}/{name}', 'lapwing', 'lapwing')
        with open(home + '/lapwing.json', 'w') as f:
            f.write(f'{{"management": {{"ca_file": "{server.certificate}"}}}}')
        open(home + '/log', 'w').close()
        self.home, self.server = home, server
        super().__init__(keep=True, home=home)
        self.log = open(home + '/log')
        self.settle(60)

    def wait(self, condition, limit=60):
        end = time.monotonic() + limit
        while not condition():
            expect(time.monotonic() < end, 'not in time: ' + open(self.home + '/log').read()[-2000:])
            time.sleep(0.0005)

    def wait_map(self, peers, limit=60, tool=None):
        """Until it says that it has put a map in force; not when the tool that it is for has failed."""
        def there():
            expect(not (tool and tool.poll()), 'the tool failed')
            return f': {peers} peers, serial' in self.log.readline()
        self.wait(there, limit)

    def enroll(self, peers):
        """Seconds from the start of the command line tool to the first map in force."""
        begin = time.monotonic()
        tool = subprocess.Popen(['lapwing', '--run', self.run, 'enroll', '--management-url', self.server.url,
                                 '--setup-key-file', self.home + '/setup.key'],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait_map(peers, tool=tool)
        passed = time.monotonic() - begin
        told, mistakes = tool.communicate(timeout=60)
        expect(tool.returncode == 0, f'enroll: {told} {mistakes}')
        return passed

    def management(self):
        return json.loads(self.lapwing('status', '--json'))['control']['management']

    def high_water(self):
        for line in open(f'/proc/{self.pid}/status'):
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) * 1024
        raise SystemExit('no VmHWM')


def join_by_grpcio(server):
    """The same calls by Python's grpcio, from the first byte to the map, in seconds: what the server takes, and the least
    that a client can."""
    with open(server.certificate, 'rb') as f:
        credentials = grpc.ssl_channel_credentials(f.read())
    begin = time.monotonic()
    client = Client(server.url.removeprefix('https://'), credentials=credentials)
    try:
        client.login()
        raise SystemExit('let in without a setup key')
    except grpc.RpcError as error:
        expect(error.code() == grpc.StatusCode.PERMISSION_DENIED, str(error))
    client.login(server.setup_key)
    stream = client.sync()
    client.next_map(stream)
    passed = time.monotonic() - begin
    stream.cancel()
    client.close()
    server.remove(peer=client.public)
    return passed


def figure_enrolment(home):
    server = Server(home)
    mine, theirs = [], []
    for _ in range(ENROLMENTS):
        theirs.append(join_by_grpcio(server))
        d = Member(home, server)
        mine.append(d.enroll(peers=0))
        d.stop()
        for peer in server.peers():
            server.remove(peer=peer['key'])
    server.finish()
    report('enrolment over TLS to the first map, median', statistics.median(mine) * 1e3, unit=' ms')
    report('the same calls by grpcio, median', statistics.median(theirs) * 1e3, unit=' ms')
    report('the best of both', f'{min(mine) * 1e3:.4g} and {min(theirs) * 1e3:.4g}', unit=' ms')
    report('enrolment, more than grpcio', (statistics.median(mine) - statistics.median(theirs)) * 1e3, (-1e3, 50), ' ms')


def peers_of_size(server, size):
    """How many peers make a map of that size."""
    sizes = {}
    for n in (SMALL, 10 * SMALL):
        server.fake(peers=n)
        sizes[n] = len(server.map_raw(peer=server.peers()[0]['key'])) // 2
    return SMALL + (size - sizes[SMALL]) * 9 * SMALL // (sizes[10 * SMALL] - sizes[SMALL])


def take_huge(server, d, what, *fakes):
    """Messages nearly as big as they may be come into force, one right after the other."""
    with open(f'/proc/{d.pid}/clear_refs', 'w') as f:
        f.write('5')  # VmHWM begins anew
    for fake in fakes:
        server.fake(**fake)
        d.wait_map(fake['peers'], 120)
    time.sleep(SETTLE_S)
    size = os.path.getsize(d.home + '/state/map') / MIB
    what = f'{what} of {fake["peers"]} peers, {size:.3g} MiB: '
    expect(14 <= size <= 16, what + 'not the size meant')
    report(what + 'peak RSS', d.high_water() / MIB, (0, 80), ' MiB')
    report(what + 'RSS while it is in force', d.memory()['Rss'] / MIB, unit=' MiB')


def figure_memory(home):
    """Connected with a small map; then one nearly as big as one may be, with one peer more, with peers more and more, and of
    the same size with nobody of them in it; the small one again."""
    server = Server(home)
    server.set(network='100.64.0.0/10')
    server.fake(peers=SMALL)
    d = Member(home, server)
    d.enroll(SMALL)
    time.sleep(10)
    before = d.memory()
    report(f'connected with {SMALL} peers: RSS', before['Rss'] / MIB, (0, 20), ' MiB')
    report(f'connected with {SMALL} peers: private dirty', before['Private_Dirty'] / MIB, (0, 4.5), ' MiB')
    many = peers_of_size(server, HUGE)
    server.fake(peers=SMALL)
    time.sleep(SETTLE_S)
    before = d.memory()
    take_huge(server, d, 'a map', {'peers': many})
    take_huge(server, d, 'the same and one more, a map', {'peers': many + 1})
    take_huge(server, d, 'in its place a map with other peers,', {'peers': many, 'first': 2 * many})
    take_huge(server, d, 'three in a row, maps', *({'peers': many + i} for i in range(3)))
    server.fake(peers=SMALL)
    d.wait_map(SMALL, 120)
    time.sleep(SETTLE_S)
    report(f'{SMALL} peers again: RSS more than before', (d.memory()['Rss'] - before['Rss']) / MIB, (-1e3, 1), ' MiB')
    d.stop()
    server.finish()


def pings_seen(server):
    """Segments with something in them that have come to the daemon: on a silent connection each is a PING."""
    text = run('ss', '-tinH', 'dst', '127.0.0.1', 'dport', '=', str(server.ready['tls_port']))
    found = re.findall(r'\bdata_segs_in:(\d+)', text)
    expect(len(found) == 1, 'not one connection: ' + text)
    return int(found[0])


def figure_idle(server, d, minutes, kind, gate=None):
    """The signal server is the hub's too, and asks as often as that of management."""
    time.sleep(300)
    pings, wakeups, cpu = pings_seen(server), d.wakeups(), d.cpu()
    time.sleep(minutes * 60)
    pings, wakeups, cpu = pings_seen(server) - pings, d.wakeups() - wakeups, d.cpu() - cpu
    what = f'idle with servers and {SMALL} peers, {kind}, in a minute: '
    report(what + 'PINGs of each server', pings / minutes, (6, 15))
    report(what + 'wake-ups', wakeups / minutes)
    report(what + 'wake-ups but for PINGs', (wakeups - 2 * pings) / minutes, gate)
    report(what + 'processor time', cpu / minutes * 1e3, unit=' ms')


def bench_idle(minutes=20):
    """Connected and nothing to do; servers ask every 5 seconds whether anybody is there, and that wakes us. Peers that are
    always up are asked for a path again and again, as nobody answers for them: that is no idle host."""
    home = '/tmp/network'
    os.makedirs(home)
    server = Server(home, '--reference')
    server.fake(peers=SMALL)
    d = Member(home, server)
    d.enroll(SMALL)
    figure_idle(server, d, minutes, 'always up and nobody there')
    server.set(lazy=True)
    time.sleep(1200)  # till they are parked
    figure_idle(server, d, minutes, 'lazy', (0, 12))
    figure_away(server, d)


def figure_away(server, d):
    """An hour without the server, after the first minutes of it."""
    server.finish(kill=True)
    time.sleep(300)
    cpu, memory = d.cpu(), d.memory()['Rss']
    time.sleep(3600)
    report('server away for an hour: processor time', d.cpu() - cpu, (0, 1), ' s')
    report('server away for an hour: RSS more than before', (d.memory()['Rss'] - memory) / 1024, (-1e6, 256), ' kB')
    d.stop()


def bench_ping(peers=10000):
    """How long a PING waits while a big map is put in force; the hub itself, with the reference's settings, waits for 2 s."""
    home = '/tmp/networkping'
    os.makedirs(home)
    server = Server(home, '--reference')
    server.set(network='100.64.0.0/10')
    proxy = Program('fault_proxy.py', '--to', server.target, '--cert', home + '/hub.crt', '--key', home + '/hub.key')
    server.url = f'https://127.0.0.1:{proxy.ready["port"]}'
    d = Member(home, server)
    d.enroll(0)
    time.sleep(10)
    attempts = d.management()['attempts']
    server.fake(peers=peers)
    end = time.monotonic() + 600
    while len(run('wg', 'show', 'wt0', 'peers').split()) < peers:
        expect(time.monotonic() < end, 'the map is not in force in time')
        for _ in range(20):
            proxy.ask()
            time.sleep(0.05)
    time.sleep(10)
    waits = sorted(proxy.asked())
    what = f'PINGs while a map of {peers} peers is put in force: '
    report(what + 'asked', len(waits))
    report(what + 'answered after, median', statistics.median(waits), unit=' ms')
    report(what + 'answered after, the last', waits[-1], (0, 2000), ' ms')
    report(what + 'connections or streams that were lost', d.management()['attempts'] - attempts, (0, 0))
    d.stop()
    proxy.finish()
    server.finish()


def rules_of(form, n):
    """So many of which no two can be one, and no two neighbours."""
    for i in range(n):
        rule = pb.FirewallRule(Protocol='ALL' if form == 'addresses' else 'TCP')
        rule.sourcePrefixes.append(bytes([100, 64 + (i >> 15), i >> 7 & 255, (i & 127) * 2, 32]))
        if form == 'ports':
            rule.Port = str(1024 + i)
        elif form == 'ranges':
            rule.PortInfo.range.start, rule.PortInfo.range.end = 80, 8000 + i
        yield rule


def rules_in_force(d):
    return json.loads(d.lapwing('status', '--json'))['firewall']['rules']


def figure_rules(home):
    """From the sending of a map to all its rules in force in this kernel, in the place of none and in the place of as many
    others."""
    server = Server(home)
    d = Member(home, server)
    d.enroll(0)
    peer = server.peers()[0]['key']
    message = pb.SyncResponse.FromString(bytes.fromhex(server.map_raw(peer=peer)))
    for form in 'addresses', 'ports', 'ranges':
        whole, took = list(rules_of(form, 2 * RULES)), []
        for i in range(RULE_ROUNDS):
            rules = whole[RULES:] if i % 2 else whole[1:RULES]  # it is seen by their number
            del message.NetworkMap.FirewallRules[:]
            message.NetworkMap.FirewallRules.extend(rules)
            message.NetworkMap.firewallRulesIsEmpty = False
            message.NetworkMap.Serial += 1
            plain, cpu, begin = message.SerializeToString().hex(), d.cpu(), time.monotonic()
            server.push_raw(peer=peer, hex=plain)
            d.wait(lambda n=len(rules): rules_in_force(d) == n)
            took.append((time.monotonic() - begin, d.cpu() - cpu))
        what = f'{RULES} rules by {form}, from sending to in force: '
        report(what + 'median', statistics.median(t for t, _ in took) * 1e3, unit=' ms')
        report(what + 'slowest', max(t for t, _ in took) * 1e3, (0, 1000), ' ms')
        report(what + "processor time, with the kernel's", statistics.median(c for _, c in took) * 1e3, unit=' ms')
    d.stop()
    server.finish()


FIGURES = {'enrolment': figure_enrolment, 'rules': figure_rules, 'memory': figure_memory}


def main(names):
    run('mount', '-t', 'sysfs', 'sysfs', '/sys')
    run('ip', 'link', 'set', 'lo', 'up')
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        for name in names or FIGURES:
            FIGURES[name](home)


if __name__ == '__main__':
    if sys.argv[1:2] == ['inside']:
        main(sys.argv[2:])
    else:
        # Whatever happens, nothing of it stays.
        os.execvp('unshare', ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
                              sys.executable, __file__, 'inside', *sys.argv[1:]])

"""What steering of ICE's checks costs WireGuard's own packets, which only pass by it."""
import signal
import socket
import statistics
import subprocess

import common
import lazynet
from common import INNER, PRIVATE, address, report, run

DATA = b'\4' + bytes(63)


class Steering:
    """The table, as long as it is wanted, and nothing that happens meanwhile."""

    def __enter__(self):
        self.process = subprocess.Popen(('live_ice', 'wt0', 'local=198.51.100.1', 'seconds=3600'), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        common.expect(self.process.stdout.readline().startswith(b'0 credentials '), 'it did not begin')
        common.expect('chain arrived' in run('nft', 'list', 'ruleset'), 'no table')
        self.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()
        common.expect('chain arrived' not in run('nft', 'list', 'ruleset'), 'the table is still there')


class Bare:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


def in_turn(n):
    for _ in range(n):
        yield False, Bare()
        yield True, Steering()


def both_ways(far, near):
    return (common.passing(far, near, ('198.51.100.1', 51820), DATA),
            common.passing(near, far, ('198.51.100.2', far.getsockname()[1]), DATA))


def figure_passing():
    """Of a packet that looks like one of WireGuard's, for a plain socket on its port."""
    common.join('far')
    far, near = common.open_socket(socket.SOCK_DGRAM, 'far'), common.open_socket(socket.SOCK_DGRAM, port=51820)
    both_ways(far, near)
    bare = both_ways(far, near)
    with Steering():
        steered = both_ways(far, near)
    for way, a, b in zip(('in', 'out'), bare, steered):
        report(f'instructions of a packet {way} without steering', a)
        report(f'more with it, {way}', b - a, (0, 2000))
    near.close()
    common.part('far')


def make_tunnel():
    """A tunnel to the far host without the daemon."""
    far = lazynet.make_far()[1]
    common.empty_device()
    run('ip', '-batch', '-', input=f'''link add wt0 mtu 1420 type wireguard
address add {INNER}/32 dev wt0
link set wt0 up
route add {address(1)} dev wt0''')
    run('wg', 'set', 'wt0', 'listen-port', '51820', 'private-key', '/dev/stdin', 'peer', far['public_key'], 'allowed-ips',
        address(1), 'endpoint', far['endpoints'][0], input=PRIVATE)
    run('ping', '-c', '1', '-W', '10', address(1))


def report_more(what, found, gate):
    for steered in False, True:
        report(f'{what}, {"with" if steered else "without"} steering', ' '.join(f'{v:.0f}' for v in found[steered]))
    report(f'{what}, more with it', statistics.median(found[True]) - statistics.median(found[False]), gate)


def figure_tunnel():
    """Of an inner packet, which costs the packet of WireGuard's around it."""
    make_tunnel()
    near, far = common.open_socket(socket.SOCK_DGRAM, port=9), common.open_socket(socket.SOCK_DGRAM, 'far', 9)
    found = {way: {False: [], True: []} for way in ('out', 'in')}
    lazynet.per_packet(near, far, (address(1), 9))
    for steered, table in in_turn(4):
        with table:
            found['out'][steered].append(lazynet.per_packet(near, far, (address(1), 9)))
            found['in'][steered].append(lazynet.per_packet(far, near, (INNER, 9)))
    for way, values in found.items():
        report_more(f'instructions of an inner packet {way}', values, (-1800, 1800))
    common.empty_device()
    common.part('far')


def bench_steering():
    figure_passing()
    figure_tunnel()


def bench_stream():
    """TCP through the tunnel, with and without the table in turn, on two processors and by a real clock."""
    make_tunnel()
    found = {way: {False: [], True: []} for way in ('sending', 'receiving')}
    for steered, table in in_turn(8):
        with table:
            speeds = {'sending': lazynet.throughput('8M'), 'receiving': lazynet.throughput('8M', '-R')}
        for way, speed in speeds.items():
            found[way][steered].append(speed)
            report(f'stream {way}, {"with" if steered else "without"} steering', speed, unit=' Mbit/s')
    for way, values in found.items():
        lazynet.report_streams(f'stream {way}', values[False], values[True], 'steering')
    common.empty_device()
    common.part('far')

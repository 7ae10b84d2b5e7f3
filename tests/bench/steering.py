"""What steering of ICE's checks costs WireGuard's own packets, which only pass by it."""
import socket
import subprocess

import common
from common import report

DATA = b'\4' + bytes(63)


def both_ways(far, near):
    return (common.passing(far, near, ('198.51.100.1', 51820), DATA),
            common.passing(near, far, ('198.51.100.2', far.getsockname()[1]), DATA))


def bench_steering():
    common.join('far')
    far, near = common.open_socket(socket.SOCK_DGRAM, 'far'), common.open_socket(socket.SOCK_DGRAM, port=51820)
    both_ways(far, near)
    bare = both_ways(far, near)
    steering = subprocess.Popen(('live_ice', 'wt0', 'local=198.51.100.1', 'seconds=3600'), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    common.expect(steering.stdout.readline().startswith(b'0 credentials '), 'it did not begin')
    common.expect(b'chain arrived' in subprocess.check_output(('nft', 'list', 'ruleset')), 'no table')
    steered = both_ways(far, near)
    for way, a, b in zip(('in', 'out'), bare, steered):
        report(f'instructions of a packet {way} without steering', a)
        report(f'more with it, {way}', b - a, (0, 2000))
    steering.terminate()
    steering.wait()
    common.part('far')

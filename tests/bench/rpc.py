#!/usr/bin/python3
"""rpc.py LIVE_RPC - figures of our gRPC client on loopback, beside those of Python's grpcio; without a VM.
SOAK_S (20): how long streams echo messages of random sizes."""
import os
import statistics
import subprocess
import sys
import tempfile
import time

import grpc

from common import expect, report

CALLS = 3000
ROUNDS = 3
SERVER = os.path.join(os.path.dirname(__file__), '..', 'rpc', 'server.py')


def theirs(url, authority):
    """CPU per call and the median latency of grpcio's own client, both in microseconds."""
    secure, address = url.startswith('https'), url.partition('://')[2]
    with open(authority, 'rb') as f:
        credentials = grpc.ssl_channel_credentials(f.read())
    channel = grpc.secure_channel(address, credentials) if secure else grpc.insecure_channel(address)
    call = channel.unary_unary('/test.Echo/Unary')
    message, times = bytes(32), []
    for _ in range(200):
        call(message, timeout=10)
    begin = time.process_time()
    for _ in range(CALLS):
        at = time.monotonic()
        call(message, timeout=10)
        times.append(time.monotonic() - at)
    print('cpu_us', (time.process_time() - begin) / CALLS * 1e6)
    print('p50_us', statistics.median(times) * 1e6)


def numbers(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    expect(result.returncode == 0, f'{command} failed: {result.stderr}')
    return {name: float(value) for name, value in map(str.split, result.stdout.splitlines())}


def compare(live, url, authority, kind):
    """The best of some rounds, in turn: the machine is not ours alone."""
    pairs = [(numbers(live, 'unary', url, authority, str(CALLS)),
              numbers(sys.executable, __file__, 'theirs', url, authority)) for _ in range(ROUNDS)]
    best = lambda side, name: min(pair[side][name] for pair in pairs)
    report(f'{kind}, CPU per unary call', best(0, 'cpu_us'), unit=' us')
    report(f'{kind}, CPU per unary call of grpcio', best(1, 'cpu_us'), unit=' us')
    report(f'{kind}, unary call, median', best(0, 'p50_us'), unit=' us')
    report(f'{kind}, unary call of grpcio, median', best(1, 'p50_us'), unit=' us')
    report(f'{kind}, CPU per unary call, of grpcio\'s', best(0, 'cpu_us') / best(1, 'cpu_us'), (0, 0.5))


def soak(live, url, authority, kind):
    seconds = os.environ.get('SOAK_S', '20')
    n = numbers(live, 'soak', url, authority, seconds)
    report(f'{kind}, soak of {seconds} s, messages', n['sent'])
    report(f'{kind}, soak, unary calls beside', n['unary'])
    report(f'{kind}, soak', n['megabytes'], unit=' MiB each way')
    report(f'{kind}, soak, slowest echo', n['worst_ms'], unit=' ms')
    report(f'{kind}, soak, lost messages', n['lost'], (0, 0))
    report(f'{kind}, soak, wrong messages', n['bad'], (0, 0))


def idle(live, url, authority, kind):
    n = numbers(live, 'idle', url, authority, '2')
    report(f'{kind}, idle connection with 2 streams, RSS', n['idle_Rss'], unit=' kB')
    report(f'{kind}, idle connection with 2 streams, private dirty', n['idle_Private_Dirty'], unit=' kB')
    report(f'{kind}, of that the connection', n['idle_Private_Dirty'] - n['before_Private_Dirty'], (0, 700), ' kB')
    report(f'{kind}, idle, CPU', n['idle_cpu_us_per_s'], (0, 500), ' us a second')


def main(live):
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen([sys.executable, SERVER, directory, 'echo'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = dict(line.split() for line in iter(server.stdout.readline, 'ready\n'))
        authority = f'{directory}/ca.pem'
        for kind, url in (('TLS', f'https://localhost:{ports["echo-tls"]}'),
                          ('cleartext', f'http://localhost:{ports["echo"]}')):
            for figure in compare, soak, idle:
                figure(live, url, authority, kind)
        server.stdin.close()
        server.wait()


if sys.argv[1] == 'theirs':
    theirs(*sys.argv[2:])
else:
    main(sys.argv[1])

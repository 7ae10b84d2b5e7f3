"""Figures of lazy peers as far as nobody answers them: what a parked peer costs, and what it takes to wake one."""
import os
import socket
import statistics
import time

import common
from common import WORK, program, report

SLEEPERS = 99999  # with us, as many hosts as policy.max_peers allows at first


def kernel_memory():
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('3')
    fields = dict(line.split(':') for line in open('/proc/meminfo'))
    return sum(int(fields[name].split()[0]) * 1024 for name in ('Slab', 'Percpu', 'VmallocUsed'))


def sockets_of(d):
    """Those that it holds; once a minute it has two more for a moment, with which it asks itself."""
    def count():
        links = (os.readlink(f'/proc/{d.pid}/fd/{fd}') for fd in os.listdir(f'/proc/{d.pid}/fd'))
        return sum(link.startswith('socket:') for link in links)
    counts = [count()]
    for _ in range(2):
        time.sleep(5)
        counts.append(count())
    return min(counts)


def bench_memory():
    """Parked peers, in big meshes by the shared sentinel. What they cost the kernel beyond WireGuard's own
    peers is the difference to the same mesh without lazy peers: a constant."""
    rss, parking, sockets = {}, {}, {}
    for n in (100, 10000, SLEEPERS):
        d, _, _ = program(n, WORK + '/nokey.so', enabled=False)
        time.sleep(120)
        kernel, without = kernel_memory(), sockets_of(d)
        d.stop()
        d, _, _ = program(n, WORK + '/nokey.so')
        time.sleep(120)
        memory, form = d.memory(), 'own' if n == 100 else 'shared'
        rss[n], parking[n], sockets[n] = memory['Rss'], kernel_memory() - kernel, sockets_of(d) - without
        common.expect(d.expect_parked(n)[form] == n, 'not in the form meant')
        what = f'{n} peers parked, {form} form: '
        report(what + 'RSS', memory['Rss'] / 2**20, (0, 16) if n == 100 else None, ' MiB')
        # Dirty is in the guest also what is read of files: its first file system has no other place for them.
        report(what + 'private dirty, but for files', memory['Anonymous'] / 2**20, (0, 3) if n == 100 else None, ' MiB')
        report(what + 'kernel memory more than without lazy peers', parking[n] / 1024, unit=' KiB')
        report(what + 'sockets more than without lazy peers', sockets[n], (n + 1, n + 1) if n == 100 else (2, 2))
        d.stop()
    for n in (10000, SLEEPERS):
        report(f'bytes per further parked peer at {n}', (rss[n] - rss[100]) / (n - 100), (0, 300))
    # Pages of the kernel's own making come and go: up to 100 KiB, a byte each here.
    further = (parking[SLEEPERS] - parking[10000]) / (SLEEPERS - 10000)
    report('kernel bytes of parking, per further peer', further, (-2, 2))


def bench_idle():
    """Nothing is asked of anybody while all are parked, as far as the shim sees."""
    minutes, wakeups = 20, {}
    for n, enabled in ((100, True), (1000, True), (10000, True), (100, False)):
        common.watch_requests()
        d, _, _ = program(n, WORK + '/count.so', enabled=enabled)
        time.sleep(300)
        common.watch_requests()
        before, cpu = d.wakeups(), d.cpu()
        time.sleep(minutes * 60)
        wakeups[n, enabled] = (d.wakeups() - before) / minutes
        what = f'{n} peers ' + ('parked' if enabled else 'without lazy peers')
        report(f'wake-ups per minute, idle with {what}', wakeups[n, enabled], (0, 2))
        report(f'processor time per idle minute with {what}', (d.cpu() - cpu) / minutes * 1e3, unit=' ms')
        if enabled:
            report(f'readings of counters with {what}', common.counter_readings(), (0, 0))
            d.expect_parked(n)
        d.stop()
    report('wake-ups per minute because of parked peers', wakeups[100, True] - wakeups[100, False], (-0.1, 0.1))


def report_latency(name, peers):
    """As the daemon has measured it, from the kernel's receive time stamp of the captured packet to the
    kernel's acknowledgement of the endpoint. At most 400,000 instructions in the middle."""
    times = sorted(p['wakes']['endpoint_us'] for p in peers if p['wakes']['count'])
    report(f'{name}: endpoint set after, median of {len(times)}', statistics.median(times), (0, 800), ' us')
    report(f'{name}: longest', times[-1], unit=' us')


def bench_wake():
    """One peer at a time."""
    wakes = 200
    for n in (200, 10000):
        d, _, _ = program(n)
        d.expect_parked(n)
        d.quiet()
        s = common.open_socket(socket.SOCK_DGRAM)
        for i in range(1, wakes + 1):
            s.sendto(b'x', (common.address(i), 9))
            time.sleep(0.2)
        woken = [p for p in d.peers() if p['wakes']['count']]
        common.expect(len(woken) == wakes, f'{len(woken)} were woken')
        report_latency(f'waking one of {n}', woken)
        d.stop()


def wait_for_reading(d):
    """Processor time that the next reading of the counters takes; nothing else is asked meanwhile."""
    while True:
        common.watch_requests()
        cpu = d.cpu()
        time.sleep(1)
        if common.counter_readings():
            time.sleep(0.5)
            if all('2573' in line for line in common.requests()):
                return d.cpu() - cpu


def bench_counters():
    """Everybody is active when lazy peers are switched on in a mesh that is up."""
    n = 10000
    common.watch_requests()
    d, _, _ = program(n, WORK + '/count.so', enabled=False)
    time.sleep(60)
    common.write_mesh(n, idle_minutes=4)
    time.sleep(5)
    common.expect(d.lazy()['active'] == n, 'they are not active')
    for _ in range(2):
        report(f'reading the counters of {n} active peers', wait_for_reading(d) * 1e3, (0, 100), ' ms')
    time.sleep(400)
    d.expect_parked(n)
    common.watch_requests()
    time.sleep(600)
    report('readings of counters in ten minutes, all parked again', common.counter_readings(), (0, 0))
    d.stop()

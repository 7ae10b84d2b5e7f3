"""lapwing tune on a made-up host with 64 queues and 128 interrupts."""
import os
import time

import common
from common import report, run

ROOT = common.WORK + '/host'
TRACE = common.WORK + '/trace'


def tune(*words):
    return ('lapwing', 'tune', *words, '--root', ROOT)


def milliseconds(command):
    """Time that passes; nothing else runs in this guest."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]
    start = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    common.expect(not os.wait4(pid, 0)[1], f'{command} failed')
    return (time.monotonic() - start) * 1000


def calls(command):
    run('strace', '-f', '-o', TRACE, '-e', 'trace=execve,fork,vfork,clone,clone3,open,openat,creat,rename,renameat,renameat2',
        *command)
    with open(TRACE) as f:
        return f.read().splitlines()


def bench_tune():
    """What it costs to find out, and to do nothing."""
    run('live_fakehost', ROOT, 'cpus=64', 'nic=mlx5', 'queues=64', 'irqs=127', 'wireguard=kernel', 'peers=200', 'up=150')
    report('a plan for 64 queues and 128 interrupts', milliseconds(tune('plan')), (0, 20), ' ms')
    run(*tune('apply', '--allow-disruptive'))
    report('an apply that has nothing to change', milliseconds(tune('apply', '--allow-disruptive')), (0, 20), ' ms')
    for name in ('plan', 'apply'):
        seen = calls(tune(name))
        started = sum('fork(' in c or 'clone' in c or 'execve(' in c for c in seen) - 1
        written = sum('O_WRONLY' in c or 'O_RDWR' in c or 'creat(' in c or 'rename' in c for c in seen)
        report(f'processes that {name} starts', started, (0, 0))
        report(f'files that {name} opens for writing', written, (0, 0))

"""lapwing tune on a made-up host with 64 queues and 128 interrupts."""
import common
from common import report, run

ROOT = common.WORK + '/host'
TRACE = common.WORK + '/trace'


def tune(*words):
    return ('lapwing', 'tune', *words, '--root', ROOT)


def calls(command):
    run('strace', '-f', '-o', TRACE, '-e', 'trace=execve,fork,vfork,clone,clone3,open,openat,creat,rename,renameat,renameat2',
        *command)
    with open(TRACE) as f:
        return f.read().splitlines()


def bench_tune():
    """What it costs to find out, and to do nothing; how long that takes tunetime.py says."""
    run('live_fakehost', ROOT, 'cpus=64', 'nic=mlx5', 'queues=64', 'irqs=127', 'wireguard=kernel', 'peers=200', 'up=150')
    run(*tune('apply', '--allow-disruptive'))
    for name in ('plan', 'apply'):
        seen = calls(tune(name))
        started = sum('fork(' in c or 'clone' in c or 'execve(' in c for c in seen) - 1
        written = sum('O_WRONLY' in c or 'O_RDWR' in c or 'creat(' in c or 'rename' in c for c in seen)
        report(f'processes that {name} starts', started, (0, 0))
        report(f'files that {name} opens for writing', written, (0, 0))

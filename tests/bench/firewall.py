"""What the firewall of the tunnel costs: a packet by number and form of rules, and setting it."""
import socket

import common
from common import report, run

FORMS = {'addresses': 'accept {address}', 'ports': 'accept {address} tcp 22', 'ranges': 'accept {address} tcp 80-{last}',
         'networks': 'accept {network}/25 tcp 22'}


def apply(rules):
    """Returns the processor time in milliseconds; also of the kernel's work on it."""
    with open('/tmp/rules', 'w') as f:
        f.write('\n'.join(rules) + '\n')
    return 1e3 * common.cpu_of('sh', '-c', 'exec live_acl eth0 apply </tmp/rules >/dev/null')


def make(form, n):
    """For others; then one that accepts what is sent, and is found last."""
    return [FORMS[form].format(address=common.address(i), last=8000 + i % 1000,
                               network=f'10.{i >> 9}.{i >> 1 & 255}.{(i & 1) * 128}') for i in range(1, n + 1)
            ] + ['accept 198.51.100.0/24 udp 9']


def incoming(sender, receiver):
    """As nothing is answered, each asks the rules."""
    return common.passing(sender, receiver, ('198.51.100.1', 9), b'x' * 64)


def bench_firewall():
    """A packet may cost a few lookups more with rules than without, whatever their number: trees are deeper by some
    steps. Setting them is in virtual time here; network:rules takes it natively."""
    common.join('far')
    far, near = common.open_socket(socket.SOCK_DGRAM, 'far'), common.open_socket(socket.SOCK_DGRAM, port=9)
    incoming(far, near)
    bare = incoming(far, near)
    report('instructions of a packet without a firewall', bare)
    apply(['accept 198.51.100.2'])
    few = incoming(far, near)
    report('more with one rule', few - bare, (0, 3000))
    for form in FORMS:
        cost = {}
        for n in (10, 10000, 65536):
            took = apply(make(form, n))
            cost[n] = incoming(far, near) - bare
            report(f'more with {n} {form}', cost[n], (0, 7000))
            if n > 10:
                report(f'setting {n} {form}', took, unit=' virtual ms')
    apply(['accept 198.51.100.2 udp 9'])
    near.sendto(b'x', ('198.51.100.2', far.getsockname()[1]))
    report('more with one rule, answered before', incoming(far, near) - bare, (0, 3000))
    run('live_acl', 'eth0', 'remove', input='')
    common.part('far')

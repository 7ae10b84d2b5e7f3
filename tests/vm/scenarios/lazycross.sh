# shellcheck shell=bash source=tests/vm/lib.sh
# Both sides wake each other at the same time: their handshakes cross, and neither waits for the next one.
# timeout: 400
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b
up a b

# cross RTT RUNS: prints the replies that took longer than 4 round trips and half a second, and how many came in time. The
# processor is emulated: what a real one does in 100 ms takes longer here; the next handshake would come after five seconds.
cat >/tmp/cross.py <<'PY'
import ctypes, os, random, select, socket, subprocess, sys, time

rtt, runs = int(sys.argv[1]) / 1000, int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
keys = {h: open(f'/tmp/{h}/key.pub').read().strip() for h in 'ab'}
other, address = {'a': 'b', 'b': 'a'}, {'a': ('100.64.0.1', 7000), 'b': ('100.64.0.2', 7000)}

def on(host, *command):
    return subprocess.run(['ip', 'netns', 'exec', host, *command], capture_output=True, text=True).stdout

def lapwing(host, *arguments):
    on(host, 'lapwing', '--run', f'/tmp/{host}/run', *arguments)

def open_socket(host):
    assert libc.setns(os.open('/run/netns/' + host, os.O_RDONLY), 0) == 0
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', 7000))
    s.setblocking(False)
    return s

def forget_session():
    for host in 'ab':
        lapwing(host, 'idle', other[host])
    for host in 'ab':
        on(host, 'wg', 'set', 'wt0', 'peer', keys[other[host]], 'remove')
        lapwing(host, 'up', '--wait')
    while not all('127.' in on(host, 'wg', 'show', 'wt0', 'endpoints') for host in 'ab'):
        time.sleep(0.05)
    time.sleep(0.6)

def cross(run):
    """Each asks the other, the second within one round trip after the first; answers are waited for."""
    order = random.sample('ab', 2)
    begin, asked, answered = time.monotonic(), {}, {}
    due = {order[0]: begin, order[1]: begin + random.uniform(0, rtt)}
    while len(answered) < 2 and time.monotonic() < begin + 12:
        for host in [h for h in due if time.monotonic() >= due[h]]:
            sockets[host].sendto(b'?%d' % run, address[other[host]])
            asked[host] = time.monotonic()
            del due[host]
        for s in select.select(list(sockets.values()), [], [], 0.001 if due else 0.5)[0]:
            data, sender = s.recvfrom(100)
            if data == b'?%d' % run:
                s.sendto(b'!%d' % run, sender)
            elif data == b'!%d' % run:
                host = next(h for h in 'ab' if sockets[h] is s)
                answered.setdefault(host, time.monotonic() - asked[host])
    return [answered.get(host, 99) for host in 'ab']

random.seed(rtt)
sockets = {host: open_socket(host) for host in 'ab'}
times = []
for run in range(runs):
    forget_session()
    times += cross(run)
print('#', ' '.join(f'{t * 1000:.0f}' for t in sorted(times)), 'ms', file=sys.stderr)
print(sum(t <= 4 * rtt + 0.5 for t in times), sum(t >= 5 for t in times))
PY

for rtt in 0 20 100; do
	for h in a b; do on $h tc qdisc replace dev eth0 root netem delay $((rtt / 2))ms limit 10000; done
	read -r soon late < <(python3 /tmp/cross.py $rtt 8)
	is "$late" 0 "at a round trip of $rtt ms no answer waits for another handshake"
	ok "$soon of 16 come at once" [ "$soon" -ge 12 ]
done

finish

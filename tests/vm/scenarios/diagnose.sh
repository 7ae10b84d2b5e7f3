# shellcheck shell=bash source=tests/vm/lib.sh
# `tune diagnose` under load through a real tunnel, with the work of receiving forced onto one CPU; then spread by
# `tune apply`. And: no load, a socket that drops, WireGuard as a program, and watching.
# cpus: 4
# guest: own
# timeout: 900
# sandbox: no, it has no daemon
. /job/lib.sh

# ---- a is diagnosed, b sends
host a b
lan net a=10.9.0.1/24 b=10.9.0.2/24
for h in a b; do
	(umask 077 && wg genkey >/tmp/$h/key)
	ip -n $h link add wt0 type wireguard
done
on a wg set wt0 private-key /tmp/a/key listen-port 51820 peer "$(wg pubkey </tmp/b/key)" endpoint 10.9.0.2:51820 allowed-ips 100.64.0.2/32
on b wg set wt0 private-key /tmp/b/key listen-port 51820 peer "$(wg pubkey </tmp/a/key)" endpoint 10.9.0.1:51820 allowed-ips 100.64.0.1/32
ip -n a address add 100.64.0.1/24 dev wt0
ip -n b address add 100.64.0.2/24 dev wt0
for h in a b; do ip -n $h link set wt0 up; done
within 60 "the tunnel carries packets" on b ping -n -q -c 1 -W 1 100.64.0.1

# diagnose FILE [ARGUMENT...]
diagnose() { on a lapwing tune diagnose --json "${@:2}" >"$1"; }
# tell FILE: what it says, and per CPU what is busy in percent.
tell() { field "$1" '"# " + d["verdict"] + "\n# " + str([(c["softirq_percent"], c["system_percent"], c["idle_percent"], c["packets"]) for c in d["cpus"]])'; }
# field FILE EXPRESSION: of the document d.
field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }

# ---- No load
ok "without load it runs" diagnose /tmp/idle --duration 2
is "$(field /tmp/idle 'd["state"]')" idle "and asks for traffic"
ok "for as long as it was told" [ "$(field /tmp/idle '2000 <= d["duration_ms"] < 10000')" = True ]
is "$(field /tmp/idle '[c["cpu"] for c in d["cpus"]]')" "[0, 1, 2, 3]" "all CPUs are looked at"
is "$(field /tmp/idle '[x["name"] for x in d["devices"]], d["wireguard"]["userspace"]')" "(['eth0', 'wt0'], False)" \
	"the underlay is found by the peer's endpoint"
is "$(field /tmp/idle 'len(d["wireguard"]["peers"]) == 1 and 0 <= d["wireguard"]["peers"][0]["last_handshake_seconds"] < 60')" True \
	"with the peer and the age of its handshake"

# ---- All that a receives is worked on by CPU3; rules are added until that is more than it can do, and little enough for four
# CPUs. WireGuard itself sends on CPU1 and CPU2, one for each peer.
rules() { # COUNT NAME: into the chain
	local i
	for ((i = 0; i < $1; i++)); do echo "add rule inet slow rules ip saddr 203.$2.$((i / 250)).$((i % 250)) drop"; done | on a nft -f -
}
idle() { awk -v cpu="cpu$1" '$1 == cpu { print $5 + $6 }' /proc/stat; }
# full CPU: diagnoses in JSON and in words, and succeeds when the kernel itself says that the CPU was hardly idle meanwhile.
full() {
	local before words
	before=$(idle "$1")
	ip netns exec a lapwing tune diagnose --duration 4 >/tmp/text &
	words=$!
	diagnose /tmp/one --duration 4 && wait $words && [ $(($(idle "$1") - before)) -lt 20 ]
}
on a nft 'table inet slow { chain rules { }; chain input { type filter hook input priority 0; iifname wt0 jump rules; }; }'
ip netns exec a iperf3 -s </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
wait_for 30 on a sh -c 'ss -Hltn sport = 5201 | grep -q .'
on a sh -c 'echo 8 >/sys/class/net/wt0/queues/rx-0/rps_cpus'
ip netns exec b iperf3 -c 100.64.0.1 -u -P 64 -b 20K -l 100 --pacing-timer 20000 -t 1000 </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
load=$!
received() { on a cat /sys/class/net/wt0/statistics/rx_packets; }
flowing() { local n; n=$(received); pause 2; [ $(($(received) - n)) -gt 1000 ]; }
within 120 "packets flow" flowing
# Where the guest gets little time of the real processors, all four look busy: it is tried again.
n=0
for _ in {1..40}; do
	full 3 || { rules 750 $((++n)); continue; }
	[ "$(field /tmp/one 'd["state"]')" != softirq_core ] || break
done
tell /tmp/one
echo "# $n times 750 rules"
is "$(field /tmp/one 'd["state"], d["findings"][0]["cpu"]')" "('softirq_core', 3)" "it names the CPU that does all the work"
is "$(field /tmp/one 'd["findings"][0]["knobs"]')" "['rps']" "and the knob that spreads it"
ok "and why it does" grep -q 'wt0 steers all of its packets to it; apply rps"' /tmp/one
is "$(field /tmp/one 'd["wireguard"]["peers"][0]["rx_bytes"] > 10000')" True "WireGuard's bytes are counted"
sed 's/^/#   /' /tmp/text
ok "people are told first" grep -q '^CPU3 is [0-9]* % in softirq while [123] cores\? [a-z ]* [0-9]* % idle: .*; apply rps (guide 3.2)$' <(head -n 1 /tmp/text)

ok "what is recommended is applied" on a lapwing tune apply --only rps
is "$(on a cat /sys/class/net/wt0/queues/rx-0/rps_cpus)" f "packets are spread"
loaded() { diagnose /tmp/all --duration 5 && [ "$(field /tmp/all 'd["state"] != "idle"')" = True ]; }
pause 2
within 120 "after that it runs under load" loaded
tell /tmp/all
is "$(field /tmp/all '[f["kind"] for f in d["findings"] if f["cpu"] == 3]')" "[]" "and no longer names that CPU"
fails "nor recommends what is set" grep -q 'apply rps' /tmp/all

# ---- Again and again
reports() { [ "$(grep -c "$1" /tmp/watched)" -ge 2 ]; }
ip netns exec a lapwing tune diagnose --watch --json >/tmp/watched &
watcher=$!
within 60 "watching tells a document a line" reports '^{"schema":"lapwing.tune.diagnose/1",.*}$'
kill -INT $watcher
wait $watcher && status=0 || status=$?
is "$status" 0 "and ends when interrupted"
ip netns exec a lapwing tune diagnose --watch >/tmp/watched &
watcher=$!
within 60 "in a pipe one report follows the other" reports '^within'
kill -INT $watcher
wait $watcher
is "$(python3 -c 'import re; t = open("/tmp/watched").read(); print(len(re.findall(r"\n\n[^\n]*\(guide [0-9.]*\)\n", t)) >= 1, "\033" in t)')" "True False" \
	"after an empty line, without control characters"
cat >/tmp/terminal.py <<'PY'
import os, pty, time

pid, fd = pty.fork()
if pid == 0:
    os.execvp('ip', ['ip', 'netns', 'exec', 'a', 'lapwing', 'tune', 'diagnose', '--watch'])
text, end = b'', time.monotonic() + 60
while text.count(b'\033[H\033[J') < 2 and time.monotonic() < end:
    text += os.read(fd, 4096)
os.write(fd, b'\x03')
try:
    while os.read(fd, 4096):
        pass
except OSError:
    pass
print(text.count(b'\033[H\033[J') >= 2, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
is "$(python3 /tmp/terminal.py)" "True 0" "on a terminal in place"
kill $load
wait $load || true

# ---- A socket that does not keep up is named; it is not the tunnel's.
cat >/tmp/deaf.py <<'PY'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('100.64.0.1', 7777))
time.sleep(600)
PY
cat >/tmp/talk.py <<'PY'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 600
while time.monotonic() < end:
    for i in range(20):
        s.sendto(bytes(1000), ('100.64.0.1', 7777))
    time.sleep(0.05)
PY
on a nft delete table inet slow
ip netns exec a python3 /tmp/deaf.py & deaf=$!
wait_for 30 on a sh -c 'ss -Hlun sport = 7777 | grep -q .'
ip netns exec b python3 /tmp/talk.py & talk=$!
overflows() { on a ss -Hlunm sport = 7777 | grep -q ',d[1-9]'; }
within 60 "its buffer is full" overflows
ok "with a deaf socket it runs" diagnose /tmp/udp --duration 3
is "$(field /tmp/udp '[(s["port"], s["program"], s["drops"] > 100) for s in d["udp"]["sockets"]]')" "[(7777, 'python3', True)]" \
	"which is the only one that is named"
is "$(field /tmp/udp '["port 7777" in f["sentence"] and "not the tunnel" in f["sentence"] for f in d["findings"] if f["kind"] == "udp_receive"]')" \
	"[True]" "and told from the tunnel"
kill $deaf $talk
wait $deaf $talk || true

# ---- A peer that is gone, and WireGuard as a program
on b wg set wt0 peer "$(wg pubkey </tmp/a/key)" remove
on a wg set wt0 peer "$(wg pubkey </tmp/b/key)" remove
on a wg set wt0 peer "$(wg genkey | wg pubkey)" endpoint 10.9.0.2:51820 allowed-ips 100.64.0.2/32 persistent-keepalive 1
ok "with a peer that is silent it runs" diagnose /tmp/silent --duration 6
is "$(field /tmp/silent 'd["state"]')" silent_peers "and says so"
host c
modprobe tun
ip -n c tuntap add wt0 mode tun
ok "with WireGuard as a program it runs" on c sh -c 'lapwing tune diagnose --json --iface wt0 --duration 1 >/tmp/program'
is "$(field /tmp/program 'd["state"], d["wireguard"]["userspace"]')" "('userspace', True)" "and says that first"

finish

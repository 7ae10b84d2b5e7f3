# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh source=tests/vm/nat.sh
# What befalls two members behind NATs in the middle of a transfer: it goes on each time, without anybody's help.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# timeout: 900
# waits: often
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh
. /job/nat.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a b
outside=(hub=203.0.113.9/24)
access a port 1
access b port 2
lan net "${outside[@]}"
rules a port 1
rules b port 2
stun_server hub 203.0.113.9
start_hub hub
hubctl hub services signal=203.0.113.9:33073 'stuns=["stun:203.0.113.9:3478"]' >/dev/null
hubctl hub set lazy=true >/dev/null
joins http://203.0.113.9:33073 "$(hubctl hub add-key)" a b
within 30 "the first packets find the way" reaches a 100.64.0.2 8

# One connection for all of it, and pings to see the gaps by.
on b iperf3 -s >/dev/null 2>&1 {tap}>&- {never}<&- &
pause 2
on a iperf3 -c 100.64.0.2 -b 1M -t 800 --forceflush -i 1 >/tmp/transfer 2>&1 {tap}>&- {never}<&- &
transfer=$!
on a ping -n -D -i 0.2 100.64.0.2 >/tmp/pings 2>&1 {tap}>&- {never}<&- &
heard() { grep -c 'time=' /tmp/pings; }
more() { [ "$(heard)" -gt $(($1 + 5)) ]; }
flows() { [ "$(grep 'Mbits/sec\|Kbits/sec' /tmp/transfer | tail -n 2 | grep -vc ' 0.00 bits')" -gt 0 ]; }
within 10 "the transfer runs" more 5

# survives SECONDS DESCRIPTION: answers go on in time; says how long there were none since the last ones before.
survives() {
	local before
	before=$(heard)
	within "$1" "$2" more "$before"
	awk -v t="$happened" '/time=/ { gsub("[][]", "", $1); if (last && $1 > t && $1 - last > gap) gap = $1 - last; last = $1 }
		END { printf "# the longest gap: %.1f s\n", gap }' /tmp/pings
}
happens() { happened=${EPOCHREALTIME/,/.}; "$@"; }

forget() { for r in ra rb; do on "$r" conntrack -D -p udp >/dev/null 2>&1 || true; done; }
happens forget
survives 40 "the NATs forget"

happens kill_hub hub
pause 2
survives 5 "the servers are away"
start_hub hub
within 60 "they are back" is_member a "['control']['signal']['state']" connected
within 60 "for both" is_member b "['control']['signal']['state']" connected

happens stop_daemon b KILL || true
survives 5 "the other side's daemon is killed"
start_daemon b
survives 20 "and starts again"
within 60 "it is back" is_member b "['control']['signal']['state']" connected

happens ip -n b link del wt0
survives 30 "its interface is deleted"

away() {
	ip -n a link set eth0 down
	pause 3
	ip -n a link set eth0 up
	ip -n a route replace default via 10.1.0.1
}
happens away
survives 40 "the network is gone and back"

elsewhere() {
	ip -n ra address flush dev eth1 scope global
	ip -n ra address add 203.0.113.77/24 dev eth1
	forget
}
happens elsewhere
survives 120 "the public address is another"
within 10 "of which the other side knows" eval '[[ $(endpoint_of b a) == 203.0.113.77:* ]]'

inside() {
	ip -n a address flush dev eth0 scope global
	ip -n a address add 10.1.0.33/24 dev eth0
	ip -n a route replace default via 10.1.0.1
	forget
}
happens inside
survives 120 "our own address is another"
within 30 "the transfer was never broken off" flows
ok "nor has it ended" kill -0 $transfer
finish

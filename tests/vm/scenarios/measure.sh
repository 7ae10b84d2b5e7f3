# shellcheck shell=bash source=tests/vm/lib.sh
# `tune measure`: the five scenarios through a real tunnel, and one knob after the other: what helps is kept, what does
# harm is taken back. What iperf3 may send depends on the knobs: more with one of them, less with another.
# guest: own
# timeout: 600
# files: tests/vm/tunnel.sh
# sandbox: no, it has no daemon
. /job/lib.sh
# shellcheck source=tests/vm/tunnel.sh
. /job/tunnel.sh

field() { python3 -c 'import json, sys; print(eval(sys.argv[1], {"d": json.load(sys.stdin)}))' "$1"; }
knob() { sysctl -n "net.core.netdev_$1"; }

# ---- This guest and b, with a tunnel between them
ip link add eth9 type veth peer name eth0
wire eth9 eth0
ip link set lo up
tunnel 1420

measure() { lapwing tune measure --peer 100.64.0.2 --seconds 1 --underlay eth9 --iface wt0 "$@"; }

measure >/dev/null 2>/tmp/refused && status=0 || status=$?
is "$status" 11 "without iperf3 on the other side the peer counts as unreachable"
ok "and what to do is said" grep -q 'iperf3 -s' /tmp/refused
serve_iperf

# ---- The five scenarios
ok "all scenarios run" eval 'measure --json >/tmp/five'
is "$(field '[r["scenario"] for r in d["runs"]]' </tmp/five)" \
	"['tcp_forward', 'tcp_reverse', 'udp_1200', 'udp_64', 'single_flow']" "in the guide's order"
is "$(field 'all(r["bits_per_second"] > 100000 and len(r["cores"]) == 2 for r in d["runs"])' </tmp/five)" True \
	"each carried something, and saw both processors"
is "$(field 'd["runs"][2]["packets_per_second"] > 100 and d["runs"][0]["packets_per_second"] == 0' </tmp/five)" True \
	"UDP counts packets"
is "$(field 'd["changed"]' </tmp/five)" False "nothing is changed"
measure >/tmp/table
ok "people get a table" grep -q '^CONFIGURATION.*SOFTNET DROPS' /tmp/table
is "$(grep -c '^[tus].*CPU' /tmp/table)" 5 "with a line each"
ok "and no progress in a pipe" eval '! grep -q $'"'\\r'"' /tmp/table'

# ---- Each knob: backlog helps, budget does harm, rmem does nothing
mkdir /tmp/bin
cat >/tmp/bin/iperf3 <<'END'
#!/bin/bash
[ ! -e /tmp/hang ] || [ "$(sysctl -n net.core.netdev_max_backlog)" != 10000 ] || exec sleep 300
rate=200
[ "$(sysctl -n net.core.netdev_max_backlog)" = 10000 ] && rate=800
[ "$(sysctl -n net.core.netdev_budget)" = 600 ] && rate=$((rate / 8))
exec /usr/bin/iperf3 "$@" -b "${rate}K" -l 1K # small blocks: large ones come in jerks
END
chmod +x /tmp/bin/iperf3
PATH=/tmp/bin:$PATH
sysctl -q -w net.core.netdev_max_backlog=1000 net.core.netdev_budget=300 net.core.rmem_max=212992
good=0
for ((round = 0; round < ${rounds:=2}; round++)); do
	measure --each-knob --only backlog,budget,rmem --seconds 2 --json >/tmp/each || break
	verdicts=$(field '{k["knob"]: k["verdict"] for k in d["knobs"]}' </tmp/each)
	echo "# noise $(field 'd["noise_percent"]' </tmp/each) %: $verdicts"
	case $verdicts in
	"{'backlog': 'kept', 'budget': 'slower', 'rmem': "*) ;;
	*) break ;;
	esac
	[ "$(knob max_backlog) $(knob budget)" = "10000 300" ] || break
	good=$((good + 1))
	lapwing tune revert >/dev/null || break
	[ "$(knob max_backlog) $(knob budget) $(sysctl -n net.core.rmem_max)" = "1000 300 212992" ] || break
done
is "$good" "$rounds" "what helps is kept and what does harm is taken back, $rounds times out of $rounds"

lapwing tune revert >/dev/null

# ---- Ended while a knob is under test, which somebody has set since it was applied; a lost terminal sends HUP. iperf3
# hangs meanwhile, as it does when the knob has cut the peer off.
lapwing tune apply --only backlog >/dev/null
sysctl -q -w net.core.netdev_max_backlog=2000
touch /tmp/hang
tried() { pgrep -x sleep; }
ended() { ! kill -0 "$pid"; }
for signal in INT TERM HUP; do
	# Not through the function, whose process would be bash's.
	lapwing tune measure --peer 100.64.0.2 --seconds 2 --underlay eth9 --iface wt0 --each-knob --only backlog >/tmp/each 2>&1 &
	pid=$!
	wait_for 60 tried
	kill -$signal "$pid"
	within 20 "a measurement that gets SIG$signal ends, and iperf3 with it" ended
	wait "$pid" && status=0 || status=$?
	is "$status" 1 "it fails"
	is "$(knob max_backlog)" 2000 "and leaves the knob as it was"
done
lapwing tune revert --force >/dev/null
is "$(knob max_backlog)" 1000 "its original is still known"
setpriv --reuid 65534 --clear-groups lapwing tune measure --peer 100.64.0.2 --each-knob >/dev/null 2>&1 && status=0 || status=$?
is "$status" 5 "without privilege no knob is tried"
unshare -m sh -c 'mount -o remount,bind,ro /sys && exec lapwing tune measure --peer 100.64.0.2 --each-knob' >/dev/null 2>&1 && status=0 || status=$?
is "$status" 9 "nor where /sys is read-only"
finish

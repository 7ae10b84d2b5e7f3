# shellcheck shell=bash source=tests/vm/lib.sh
# `tune` on a real kernel and a NIC with four queues: every knob that it has is applied, looked at with tools that are not
# ours, and taken back; a second run writes nothing; what persists comes back after a restart.
# kernels: 6.1
# guest: own
# cpus: 4
# queues: 4
# timeout: 900
# files: scripts/lapwing-tune.service tests/vm/tunnel.sh
. /job/lib.sh
# shellcheck source=tests/vm/tunnel.sh
. /job/tunnel.sh

field() { python3 -c 'import json, sys; print(eval(sys.argv[1], {"d": json.load(sys.stdin)}))' "$1"; }
exit_of() {
	local status=0
	"$@" >/tmp/.out 2>/tmp/.err || status=$?
	echo $status
}
tune() { lapwing tune "$@"; }

# ---- This guest and b, a tunnel between them over the wire
modprobe -a virtio_net wireguard tcp_bbr sch_fq nf_conntrack
wire eth0 eth1
ip route add default via 10.9.0.2
tunnel 1280

# ---- What spreads packets over queues, and queues over CPUs
irqs() { sed -n "s/^ *\([0-9]*\):.* $(basename "$(readlink /sys/class/net/eth0/device)")-$1\.[0-9]*$/\1/p" /proc/interrupts; }
# spread: fields that are hashed of both, how many entries of the table each queue has, and where queues interrupt.
spread() {
	local udp irq
	for udp in udp4 udp6; do ethtool -n eth0 rx-flow-hash $udp; done | grep -cE '^(IP|L4) ' || true
	ethtool -x eth0 | awk '/^ *[0-9]+:/ { for (i = 2; i <= NF; i++) n[$i]++ } END { print n[0] + 0, n[1] + 0, n[2] + 0, n[3] + 0 }'
	for irq in $(irqs input); do cat "/proc/irq/$irq/smp_affinity_list"; done
}
cat >/tmp/flood.py <<'PY'
import socket, time
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
end = time.monotonic() + 120
while time.monotonic() < end:
    for s in sockets:
        s.sendto(bytes(32), ('10.9.0.1', 9))
PY
# interrupted FILE EXPRESSION: of what diagnose says there of the receive queues' interrupts, with their names, queues and CPUs.
interrupted() {
	field "[$2 for i in d['irqs'] if '-input.' in i['name']]" <"$1"
}
for udp in udp4 udp6; do ethtool -N eth0 rx-flow-hash $udp sd; done
ethtool -X eth0 weight 1 1 1 0
for irq in $(irqs input) $(irqs output); do echo 2 >"/proc/irq/$irq/smp_affinity"; done
is "$(spread | xargs)" "4 42 43 43 0 1 1 1 1" "one queue gets nothing, ports are not hashed, all interrupt CPU1"
ip netns exec b python3 /tmp/flood.py {tap}>&- {never}<&- &
flood=$!
pause 1
ok "diagnose under a flood" eval 'tune diagnose --json --duration 4 >/tmp/piled'
is "$(interrupted /tmp/piled '(i["name"].split("-")[1], i["queue"])')" \
	"[('input.0', 0), ('input.1', 1), ('input.2', 2), ('input.3', 3)]" "lists the interrupts of all queues"
is "$(interrupted /tmp/piled '{c["cpu"] for c in i["cpus"] if c["count"] > 2} <= {1}')" "[True, True, True, True]" "which land on CPU1, but for one that was on its way"
is "$(interrupted /tmp/piled 'i["count"]' | tr -d '[],' | awk '{ print ($1 + $2 + $3 > 100) " " $4 }')" "1 0" "but for the queue that gets nothing"
ok "hash, table and interrupts are put right" lapwing tune apply --only flow-hash,rss,irq
is "$(spread | xargs)" "8 32 32 32 32 0 1 2 3" "ethtool: ports are hashed, the table is even, each queue has a CPU"
pause 1
ok "diagnose under the same flood" eval 'tune diagnose --json --duration 4 >/tmp/apart'
is "$(interrupted /tmp/apart '[c["cpu"] for c in i["cpus"]]')" "[[0], [1], [2], [3]]" "sees each queue interrupt a CPU of its own"
kill $flood
wait $flood || true
ok "and it is taken back" lapwing tune revert
is "$(spread | xargs)" "4 42 43 43 0 1 1 1 1" "to what it was"
ethtool -X eth0 default # a table that somebody has set keeps its queues

# ---- A host as it should not be
ethtool -L eth0 combined 1
ethtool -G eth0 rx 256 tx 256
sysctl -q -w net.core.netdev_max_backlog=1000 net.core.netdev_budget=300 net.ipv4.ip_forward=1

# What tools of others say of everything that may be changed.
queues() { ethtool -l eth0 | sed -n '/Current/,$p' | awk '/Combined/ { print $2 }'; }
rings() { ethtool -g eth0 | sed -n '/Current/,$p' | awk '/^[RT]X:/ { printf "%s ", $2 }'; }
names='net.core.netdev_max_backlog net.core.netdev_budget net.core.netdev_budget_usecs net.core.rps_sock_flow_entries
	net.core.rmem_max net.core.wmem_max net.ipv4.tcp_rmem net.ipv4.tcp_wmem net.core.default_qdisc
	net.ipv4.tcp_congestion_control net.netfilter.nf_conntrack_max'
everything() {
	local file irq
	echo "channels $(queues) rings $(rings)"
	# shellcheck disable=SC2086 # words
	sysctl $names
	for irq in $(irqs input) $(irqs output); do echo "$irq $(<"/proc/irq/$irq/smp_affinity")"; done
	for file in /sys/class/net/{eth0,wt0}/{mtu,threaded,queues/*/{rps_cpus,rps_flow_cnt,xps_cpus}}; do
		[ ! -e "$file" ] || echo "$file $(cat "$file" 2>&1 || true)"
	done
	ethtool -n eth0 rx-flow-hash udp4
	ethtool -n eth0 rx-flow-hash udp6
	ethtool -x eth0
	ethtool -k eth0 | grep udp-gro
	tc qdisc show dev eth0 | sed 's/ [0-9a-f]*: / /' | sort
}
everything >/tmp/before

# ---- Nobody changes anything by looking
ok "show works" eval 'tune show --json >/tmp/show'
is "$(field 'd["host"]["underlay"], d["host"]["wireguard"]["name"], d["host"]["devices"][0]["driver"]' </tmp/show)" \
	"('eth0', 'wt0', 'virtio_net')" "it finds the underlay and WireGuard"
is "$(exit_of tune plan --exit-diff)" 6 "something is to be changed"
is "$(exit_of setpriv --reuid 65534 --clear-groups lapwing tune show)" 0 "anybody may look"
is "$(exit_of setpriv --reuid 65534 --clear-groups lapwing tune apply)" 5 "only root may apply"
is "$(exit_of unshare -m sh -c 'mount -o remount,bind,ro /sys && exec lapwing tune apply')" 9 "a read-only /sys is no host to tune"
ok "and why is said" grep -q '^lapwing: /sys is mounted read-only' /tmp/.err
is "$(exit_of unshare -m sh -c 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec lapwing tune apply')" 9 \
	"nor is a read-only /proc/sys"
ok "which is named" grep -q '^lapwing: /proc/sys is mounted read-only' /tmp/.err
is "$(exit_of unshare -m sh -c 'mount --bind /proc/irq /proc/irq && mount -o remount,bind,ro /proc/irq && exec lapwing tune apply')" 9 \
	"nor a read-only /proc/irq"
is "$(exit_of unshare -m sh -c 'mount -o remount,bind,ro /proc && exec lapwing tune apply')" 9 "nor a read-only /proc"
is "$(exit_of tune apply --only rpz)" 2 "a knob that there is not is refused"
ok "with the nearest" grep -q 'nearest is rps' /tmp/.err
is "$(exit_of tune apply --underlay eht0)" 2 "so is a device"
ok "and the nearest of those" grep -q 'nearest is eth0' /tmp/.err
everything >/tmp/now
is "$(diff /tmp/before /tmp/now)" "" "nothing was changed"

# ---- Disruptive changes have to be allowed
is "$(exit_of tune apply --only channels,rings)" 12 "channels and rings are refused as they are"
is "$(queues) $(rings)" "1 256 256 " "and stay"

# ---- Apply
is "$(exit_of tune apply --allow-disruptive --json)" 0 "everything is applied"
cp /tmp/.out /tmp/applied
is "$(field 'd["changed"], [i for i in d["items"] if i["result"] == "failed"]' </tmp/applied)" "(True, [])" "nothing fails"
is "$(queues)" 4 "ethtool: four queues"
is "$(rings)" "1024 256 " "ethtool: the longest rings"
n=0 bad=
for irq in $(irqs input); do
	[ "$(cat "/proc/irq/$irq/smp_affinity_list")" = $n ] || bad+=" $irq"
	n=$((n + 1))
done
is "$n$bad" 4 "each queue's interrupt is on a CPU of its own"
# shellcheck disable=SC2086 # words
is "$(sysctl -n net.core.netdev_max_backlog net.core.netdev_budget net.core.netdev_budget_usecs net.core.rmem_max net.core.wmem_max | xargs)" \
	"10000 600 8000 8388608 8388608" "sysctl: queues and buffers, which are a share of the memory"
is "$(sysctl -n net.ipv4.tcp_rmem | xargs), $(sysctl -n net.ipv4.tcp_wmem | xargs)" \
	"4096 131072 8388608, 4096 16384 8388608" "sysctl: TCP's buffers"
is "$(sysctl -n net.core.default_qdisc net.ipv4.tcp_congestion_control net.core.rps_sock_flow_entries | xargs)" \
	"fq bbr 32768" "sysctl: fq, BBR and flows"
is "$(cat /sys/class/net/wt0/queues/rx-0/rps_cpus)" f "with one peer, packets are steered behind WireGuard"
is "$(cat /sys/class/net/wt0/queues/rx-0/rps_flow_cnt)" 4096 "and go to the CPU of who reads them"
is "$(cat /sys/class/net/eth0/queues/tx-{0,1,2,3}/xps_cpus | xargs)" "1 2 4 8" "each CPU has a queue to send by"
is "$(cat /sys/class/net/wt0/mtu)" 1420 "the tunnel's packets are as long as the wire takes"
for udp in udp4 udp6; do
	ok "ethtool: $udp is spread by ports" eval "ethtool -n eth0 rx-flow-hash $udp | grep -q 'L4 bytes 0 & 1'"
done
is "$(ethtool -x eth0 | awk '/^ *[0-9]+:/ { for (i = 2; i <= NF; i++) n[$i]++ } END { print n[0] == n[1] && n[1] == n[2] && n[2] == n[3] }')" 1 \
	"ethtool: the table is even"
ok "tc: fq at every queue" eval '[ "$(tc qdisc show dev eth0 | grep -c "qdisc fq ")" = 4 ]'
ok "ethtool: UDP is forwarded in batches" eval 'ethtool -k eth0 | grep -q "rx-udp-gro-forwarding: on"'
is "$(exit_of tune verify)" 0 "all of it is verified"
is "$(exit_of tune plan --exit-diff)" 0 "and nothing is left to do"

# ---- Apply again
state() { find /var/lib/lapwing-tune /etc/sysctl.d /etc/systemd/system -printf '%p %T@ %i\n' | sort; }
state >/tmp/state1
strace -f -o /tmp/trace lapwing tune apply --allow-disruptive --json >/tmp/again
state >/tmp/state2
is "$(field 'd["changed"]' </tmp/again)" False "a second run changes nothing"
is "$(grep -E 'O_(WRONLY|RDWR|CREAT)|rename|unlink' /tmp/trace | grep -v '/dev/null' || true)" "" "opens nothing for writing"
is "$(grep -cE '(v?fork|clone3?|execve)\(' /tmp/trace)" 1 "starts no process"
is "$(diff /tmp/state1 /tmp/state2)" "" "and leaves its own files alone"

# ---- Somebody else
sysctl -q -w net.core.rmem_max=300000
echo 'net.core.rmem_max = 300000' >/etc/sysctl.d/50-other.conf
is "$(exit_of tune verify --json)" 8 "a value that somebody changed is drift"
is "$(field '[(i["object"], i["expected"], i["actual"]) for i in d["items"] if i["result"] == "drifted"]' </tmp/.out)" \
	"[('net.core.rmem_max', '8388608', '300000')]" "told with what was expected"
ok "and who else sets it" grep -q '50-other.conf' /tmp/.out
is "$(exit_of tune revert)" 7 "revert leaves it"
is "$(sysctl -n net.core.rmem_max)" 300000 "as it is"
is "$(exit_of tune revert --force)" 0 "unless it is forced"
rm /etc/sysctl.d/50-other.conf
everything >/tmp/now
is "$(diff /tmp/before /tmp/now)" "" "every value is back"
fails "no originals are kept" test -e /var/lib/lapwing-tune/originals.json
is "$(exit_of tune revert)" 0 "there is nothing left to take back"

# ---- Killed or interrupted in the middle: at one write after the other, of which the first is that of the originals
left=
for n in 1 2 4 9; do
	signal=$([ $((n % 2)) = 0 ] && echo INT || echo KILL)
	strace -f -o /dev/null -e trace=write -e "inject=write:signal=$signal:when=$n" lapwing tune apply --allow-disruptive >/dev/null 2>&1 || true
	[ "$(exit_of tune revert)" = 0 ] || left+=" $n: $(grep -v '^changed' /tmp/.out | xargs)"
	everything >/tmp/now
	cmp -s /tmp/before /tmp/now || left+=" $n: $(diff /tmp/before /tmp/now | xargs)"
done
is "$left" "" "what was written until then is taken back"

# ---- A NIC that has another name since is found; another one with its name gets nothing
lapwing tune apply --allow-disruptive >/dev/null
ip link set eth0 down
ip link set eth0 name lan0
ip link add eth0 type veth peer name other
is "$(exit_of tune revert)" 0 "a renamed NIC's values are taken back"
is "$(ethtool -l lan0 | sed -n '/Current/,$p' | awk '/Combined/ { print $2 }') $(cat /sys/class/net/lan0/queues/rx-0/rps_cpus)" "1 0" "ethtool: there"
lapwing tune apply --underlay lan0 --allow-disruptive >/dev/null
ip link set lan0 down
ip link set lan0 name gone0
ip link set eth0 name lan0
tc qdisc show dev lan0 >/tmp/lan0
is "$(exit_of tune revert --json)" 0 "and so are those of one whose name another has"
is "$(tc qdisc show dev lan0; cat /sys/class/net/lan0/queues/rx-0/rps_cpus)" "$(cat /tmp/lan0; echo 0)" "who is left alone"
ip link del lan0
ip link set gone0 name eth0
ip link set eth0 up
ip route replace default via 10.9.0.2
everything >/tmp/now
is "$(diff /tmp/before /tmp/now)" "" "every value is back"

# ---- Over a restart: what is in the kernel goes, what is in files stays
mkdir -p /usr/lib/systemd/system
cp /job/lapwing-tune.service /usr/lib/systemd/system/
is "$(exit_of tune apply --on-start)" 0 "nothing is to be done at a start"
is "$(wc -c </tmp/.out)" 0 "and nothing is said"
is "$(exit_of tune apply --persist --allow-disruptive --skip conntrack)" 0 "applied for good"
everything >/tmp/tuned
is "$(exit_of tune apply --persist --allow-disruptive --skip conntrack --json)" 0 "and again"
is "$(field 'd["changed"]' </tmp/.out)" False "which changes nothing"
cp -a /var/lib/lapwing-tune /tmp/kept
cp /etc/sysctl.d/90-lapwing.conf /tmp/kept/
lapwing tune revert >/dev/null
cp -a /tmp/kept/*.json /var/lib/lapwing-tune/
cp /tmp/kept/90-lapwing.conf /etc/sysctl.d/
restarted=$(sed 'y/0123456789abcdef/123456789abcdef0/' /proc/sys/kernel/random/boot_id)
echo "$restarted" >/tmp/boot_id
mount --bind /tmp/boot_id /proc/sys/kernel/random/boot_id
sysctl -q --system >/dev/null
is "$(sysctl -n net.core.netdev_max_backlog net.ipv4.tcp_congestion_control | xargs)" "10000 bbr" "sysctl --system brings back what it can"
command=$(sed -n 's/^ExecStart=//p' /job/lapwing-tune.service)
is "$(exit_of eval "${command/#*\/lapwing/lapwing}")" 0 "the unit's command does the rest"
everything >/tmp/now
is "$(diff /tmp/tuned /tmp/now)" "" "every value is as it was applied"
is "$(exit_of tune verify)" 0 "which is verified"
is "$(exit_of tune revert)" 0 "and taken back"
everything >/tmp/now
is "$(diff /tmp/before /tmp/now)" "" "to what it was before the restart"
is "$(ls /etc/sysctl.d/90-lapwing.conf /var/lib/lapwing-tune/*.json 2>/dev/null || true)" "" "no file is left"
umount /proc/sys/kernel/random/boot_id

# ---- Damaged originals
mkdir -p /var/lib/lapwing-tune
lapwing tune apply --only rps,backlog >/dev/null
head -c 100 /var/lib/lapwing-tune/originals.json >/tmp/half
cp /tmp/half /var/lib/lapwing-tune/originals.json
everything >/tmp/before
for what in apply verify revert; do
	is "$(exit_of tune $what)" 12 "$what refuses damaged originals"
	ok "and names them" grep -q originals.json /tmp/.err
done
ok "show tells of them" eval "lapwing tune show | grep -q '^warning: .*originals.json'"
everything >/tmp/now
is "$(diff /tmp/before /tmp/now)" "" "nothing is touched"

# ---- The interface of a daemon
host c d
lan wire c=10.8.0.1/24 d=10.8.0.2/24
mesh_members='"interface": {"name": "wt0", "listen_port": 51820, "mtu": 1300}'
mesh c d
up c d
rm -r /var/lib/lapwing-tune
is "$(exit_of lw c tune plan --only mtu --exit-diff)" 0 "the MTU of a daemon's interface is not for tune"
is "$(exit_of lw c tune apply --only mtu,backlog --json)" 0 "which leaves it"
is "$(on c cat /sys/class/net/wt0/mtu)" 1300 "as it is"
is "$(field 'd["note"]' </tmp/.out)" "mtu: lapwingd sets it: lapwing tune mtu --apply" "and says so"
lw c tune revert >/dev/null
finish

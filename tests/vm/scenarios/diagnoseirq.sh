# shellcheck shell=bash source=tests/vm/lib.sh
# `tune diagnose` on a NIC of four queues whose interrupts all come to one CPU, under iperf3 through tunnels from eight
# ports, which the NIC spreads over its queues: it names that CPU, and what spreads the work; after `tune apply`, under the
# same load, no longer. The load is TCP with small windows, as no queue may ever be full: QEMU's NIC with several of them
# waits for ever then.
# guest: own
# cpus: 4
# queues: 4
# timeout: 900
# sandbox: no, it has no daemon
. /job/lib.sh

field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }
# tell FILE: what it says, and per CPU what is busy in percent.
tell() { field "$1" '"# " + d["verdict"] + "\n# " + str([(c["softirq_percent"], c["system_percent"], c["idle_percent"], c["packets"]) for c in d["cpus"]])'; }

# ---- This guest, which is diagnosed, and b, which sends
modprobe -a virtio_net wireguard
host b
ip link set eth1 netns b
ip link set lo up
ip address add 10.9.0.1/24 dev eth0
ip link set eth0 up
ip -n b address add 10.9.0.2/24 dev eth1
ip -n b link set eth1 up
# With this key of the hash, two of the ports 52004 to 52011 come to each queue.
ethtool -X eth0 hkey 6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa
(umask 077 && wg genkey >/tmp/key)
ip link add wt0 type wireguard
wg set wt0 private-key /tmp/key listen-port 51820
ip link set wt0 up
for k in {1..8}; do
	(umask 077 && wg genkey >/tmp/b/key)
	ip -n b link add wg$k type wireguard
	on b wg set wg$k private-key /tmp/b/key listen-port $((52003 + k)) \
		peer "$(wg pubkey </tmp/key)" endpoint 10.9.0.1:51820 allowed-ips 100.64.$k.1/32
	wg set wt0 peer "$(wg pubkey </tmp/b/key)" endpoint 10.9.0.2:$((52003 + k)) allowed-ips 100.64.$k.2/32
	ip address add 100.64.$k.1/24 dev wt0
	ip -n b address add 100.64.$k.2/24 dev wg$k
	ip -n b link set wg$k up
done
within 60 "the tunnels carry packets" on b sh -c 'for k in 1 2 3 4 5 6 7 8; do ping -n -q -c 1 -W 2 100.64.$k.1 || exit; done'

# ---- All interrupts of the NIC come to CPU3, and rules make each packet cost so much that this is more than it can do. Packets
# are few, and their senders wake up seldom, as all that sends and reads them has to be done by the other CPUs.
nic=$(basename "$(readlink /sys/class/net/eth0/device)")
irqs() { sed -n "s/^ *\([0-9]*\):.* $nic-$1\.[0-9]*$/\1/p" /proc/interrupts; }
for irq in $(irqs "[a-z]*put"); do echo 8 >"/proc/irq/$irq/smp_affinity"; done
for k in {1..8}; do
	iperf3 -s -p $((5200 + k)) </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
	wait_for 30 sh -c "ss -Hltn sport = $((5200 + k)) | grep -q ."
done
for k in {1..8}; do
	ip netns exec b iperf3 -c 100.64.$k.1 -p $((5200 + k)) --fq-rate 256K -M 200 -w 8K -l 1K -t 1000 </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
done
received() { cat /sys/class/net/eth0/statistics/rx_packets; }
flowing() { local n; n=$(received); pause 2; n=$(($(received) - n)); echo "# $n packets in 2 s"; [ $n -gt 1000 ]; }
within 120 "packets flow" flowing
rules() { # COUNT NAME: into the chain
	local i
	for ((i = 0; i < $1; i++)); do echo "add rule inet slow rules ip saddr 203.$2.$((i / 250)).$((i % 250)) drop"; done | nft -f -
}
idle() { awk '$1 == "cpu3" { print $5 + $6 }' /proc/stat; }
full() {
	local before
	before=$(idle)
	lapwing tune diagnose --json --duration 4 >/tmp/one && [ $(($(idle) - before)) -lt 20 ]
}
nft 'table inet slow { chain rules { }; chain first { type filter hook prerouting priority -300; iifname eth0 udp dport 51820 jump rules; }; }'
# Where the guest gets little time of the real processors, all four look busy: it is tried again.
n=0
for _ in {1..40}; do
	full || { rules 1000 $((++n)); continue; }
	[ "$(field /tmp/one 'd["state"]')" != softirq_core ] || break
done
tell /tmp/one
echo "# $n times 1000 rules"
is "$(field /tmp/one 'd["state"], d["findings"][0]["cpu"]')" "('softirq_core', 3)" "it names the CPU that does all the work"
is "$(field /tmp/one 'd["findings"][0]["knobs"]')" "['irq']" "and the knob that spreads it"

ok "what is recommended is applied" lapwing tune apply --only irq
is "$(for irq in $(irqs "[a-z]*put"); do cat "/proc/irq/$irq/smp_affinity"; done | sort | uniq -c | awk '{ printf "%s:%s ", $2, $1 }')" "1:2 2:2 4:2 8:2 " \
	"each CPU has the interrupts of a queue"
loaded() { lapwing tune diagnose --json --duration 5 >/tmp/all && [ "$(field /tmp/all 'd["state"] != "idle"')" = True ]; }
pause 2
within 120 "after that it runs under load" loaded
tell /tmp/all
is "$(field /tmp/all '[f["kind"] for f in d["findings"] if f["cpu"] == 3]')" "[]" "and no longer names that CPU"
fails "nor recommends what is set" grep -q 'apply irq' /tmp/all
is "$(field /tmp/all '[c["cpu"] for i in d["irqs"] if "-input." in i["name"] for c in i["cpus"]]')" "[0, 1, 2, 3]" "each queue interrupts a CPU of its own"
finish

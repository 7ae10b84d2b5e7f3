# shellcheck shell=bash source=tests/vm/lib.sh
# Kernels that lack parts of nftables: peers sleep and wake all the same, by coarser means that status tells.
# timeout: 600
# memory: 512
# waits: mostly
. /job/lib.sh

lazy() { lw "$1" peers "$2" --json | grep -o '"lazy":"[a-z]*"' | cut -d '"' -f 4; }
is_lazy() { [ "$(lazy "$1" "$2")" = "$3" ]; }
means() { lw a status --json | python3 -c "import json, sys; d = json.load(sys.stdin)['lazy']; print(d['idle_detection'], d['remote_wake'])"; }
forbid() { # MODULE...
	local module
	for module; do
		echo "install $module /bin/false" >>/etc/modprobe.d/forbidden.conf
		modprobe -r "$module" 2>/dev/null || true
	done
}
two_hosts() {
	host a b
	lan net a=10.0.0.1/24 b=10.0.0.2/24
	mesh a b
	start_daemon a
	start_daemon b
	# Each part that is missing makes the kernel look for a module, which takes a second or more here.
	for h in a b; do wait_for 90 eval "ip -n $h -o link show wt0 up | grep -q wt0 && on $h wg show wt0 endpoints | grep -q ."; done
}

mesh_members='"lazy": {"idle_minutes": 1}, "interface": {"name": "wt0", "listen_port": 51820}'
mkdir -p /etc/modprobe.d
# The check comes each minute, a minute of idleness ends before the third. WireGuard asks again after 5 s.
noticed=90 idle=200

# No logging of packets.
forbid nft_log nfnetlink_log
two_hosts
is "$(means)" "counters check" "without nfnetlink_log status says so"
ok "the log says what follows from it" logged a "waking by the other side is noticed each minute"
ok "the first packet arrives" reaches a 100.64.0.2
within 10 "it is active" is_lazy a b active
within $noticed "the other side has noticed" is_lazy b a active
within $idle "idle, parked" is_lazy a b parked
net_reset

# No nftables at all. The namespaces that used it go with some delay.
gone() {
	lsmod | awk '/^(nft_|nf_tables)/ { print $1 }' | xargs -r modprobe -r -a 2>/dev/null || true
	! lsmod | grep -q '^nf_tables'
}
forbid nf_tables
within 20 "nftables is unloaded" gone
two_hosts
is "$(means)" "transfer check" "without nftables status says so"
ok "the first packet arrives without nftables" reaches a 100.64.0.2
within 10 "it is active" is_lazy a b active
ip netns exec a ping -n -q -i 5 -c 24 -W 10 100.64.0.2 >/tmp/witness &
witness=$!
within $noticed "the other side has noticed" is_lazy b a active
wait $witness || true
is "$(grep -o '[0-9]* received' /tmp/witness)" "24 received" "who is in use stays up"
is "$(lazy a b)" active "for longer than the idle time"
within $idle "idle by what is transferred" is_lazy a b parked
within $idle "on the other side too" is_lazy b a parked
ok "and wakes again" reaches b 100.64.0.1

finish

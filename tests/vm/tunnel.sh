# shellcheck shell=bash disable=SC2154 # of lib.sh
# Sourced by scenarios behind lib.sh: the guest and host b, a wire between them, and a tunnel of one peer without the daemon.

# wire HERE THERE: the two NICs, of which the second goes to b; 10.9.0.1 and .2.
wire() {
	host b
	ip link set "$2" netns b
	ip address add 10.9.0.1/24 dev "$1"
	ip link set "$1" up
	ip -n b address add 10.9.0.2/24 dev "$2"
	ip -n b link set "$2" up
}

# tunnel MTU: wt0 on both sides, 100.64.0.1 and .2.
tunnel() {
	local h
	mkdir -p /tmp/a
	for h in a b; do (umask 077 && wg genkey >"/tmp/$h/key"); done
	ip link add wt0 type wireguard
	ip -n b link add wt0 type wireguard
	wg set wt0 private-key /tmp/a/key listen-port 51820 peer "$(wg pubkey </tmp/b/key)" endpoint 10.9.0.2:51820 allowed-ips 100.64.0.2/32
	on b wg set wt0 private-key /tmp/b/key listen-port 51820 peer "$(wg pubkey </tmp/a/key)" allowed-ips 100.64.0.1/32
	ip address add 100.64.0.1/24 dev wt0
	ip -n b address add 100.64.0.2/24 dev wt0
	ip link set wt0 up mtu "$1"
	ip -n b link set wt0 up mtu 1420
	within 30 "the tunnel carries packets" ping -n -q -c 1 -W 1 100.64.0.2
}

# serve_iperf: in b.
serve_iperf() {
	on b iperf3 -s </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
	wait_for 10 on b sh -c 'ss -Hltn sport = 5201 | grep -q .'
}

# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/nat.sh
# ICE on WireGuard's port, with the daemon's rights but without it: two hosts negotiate a path, and WireGuard has it. Hosts
# and routers drop what nobody asked for.
# kernels: 6.12
# timeout: 600
# files: build/tests/live_ice build/tests/test_steer build/tests/test_nfqueue build/tests/test_ice build/tests/test_binding tests/vm/ice_remote.py tests/vm/nat.sh
# sandbox: no, it has no daemon
# shellcheck disable=SC2016,SC2086,SC2317 # expanded and called by eval; words
. /job/lib.sh
. /job/nat.sh

key() { cat "/tmp/$1/key.pub"; }

# tunnels HOST HOST: WireGuard on both that knows no endpoint.
tunnels() {
	local n=0 h
	keys "$1" "$2"
	for h in "$1" "$2"; do
		n=$((n + 1))
		ip -n "$h" link add wt0 type wireguard
		on "$h" wg set wt0 listen-port 51820 private-key "/tmp/$h/private.key"
		ip -n "$h" address add 100.64.0.$n/24 dev wt0
		ip -n "$h" link set wt0 up
	done
	on "$1" wg set wt0 peer "$(key "$2")" allowed-ips 100.64.0.2/32
	on "$2" wg set wt0 peer "$(key "$1")" allowed-ips 100.64.0.1/32
}

# negotiate A-WORDS B-WORDS: hosts a and b, which talk by pipes; both go on until they are stopped.
negotiate() {
	rm -f /tmp/ab /tmp/ba
	mkfifo /tmp/ab /tmp/ba
	ip netns exec a "${confined[@]}" live_ice wt0 controlling peer="$(key b)" seconds=60 $1 </tmp/ba >/tmp/ab 2>/tmp/a/log {tap}>&- {never}<&- &
	pids[a]=$!
	ip netns exec b "${confined[@]}" live_ice wt0 peer="$(key a)" seconds=60 $2 >/tmp/ba </tmp/ab 2>/tmp/b/log {tap}>&- {never}<&- &
	pids[b]=$!
}
selected() { grep -q "^selected ${2-}" "/tmp/$1/log"; }
end_negotiation() {
	local h
	for h; do
		kill "${pids[$h]}" 2>/dev/null || true
		wait "${pids[$h]}" || true
	done
}
endpoint() { on "$1" wg show wt0 endpoints | cut -f 2; }
handshake() { [ "$(on "$1" wg show wt0 latest-handshakes | cut -f 2)" != 0 ]; }

# watch NAMESPACE NIC: keeps the UDP packets that pass there.
watch() {
	ip netns exec "$1" tcpdump -Z root -n -U -i "$2" -w "/tmp/$1.pcap" udp 2>/dev/null {tap}>&- {never}<&- &
	pids[watch]=$!
	wait_for 10 test -s "/tmp/$1.pcap"
}
unwatch() {
	kill "${pids[watch]}"
	wait "${pids[watch]}" || true
}
# seen NAMESPACE FILTER: how many of them.
seen() { tcpdump -n -r "/tmp/$1.pcap" "$2" 2>/dev/null | wc -l; }
binding4='udp[12:4] = 0x2112a442' binding6='ip6[52:4] = 0x2112a442'

# ---- The kernel at hand takes the table; sessions on one host.
host alone
for program in test_steer test_nfqueue test_binding test_ice; do
	on alone $program --tap >/tmp/tap 2>&1 || true
	is "$(grep -c '^ok ' /tmp/tap) $(grep -c -e '^not ok' -e SKIP -e Bail /tmp/tap || true)" \
		"$(sed -n 's/^1\.\.//p' /tmp/tap) 0" "all of $program"
done

# ---- One LAN
host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
tunnels a b
firewall a
firewall b
watch net br0
negotiate "aggressive local=10.0.0.1" "local=10.0.0.2"
within 10 "on one LAN the controlling side has a path" selected a
on a nft list table inet lapwing-wt0-ice >/tmp/listing
within 5 "so has the other" selected b
is "$(endpoint a) $(endpoint b)" "10.0.0.2:51820 10.0.0.1:51820" "it is between the WireGuard ports"
within 5 "WireGuard shakes hands" handshake a
ok "and carries packets" reaches a 100.64.0.2
ok "nft reads the table" grep -q 'udp dport 51820' /tmp/listing
unwatch
end_negotiation a b
ok "checks were seen" test "$(seen net "$binding4")" -gt 3
is "$(seen net 'not (src port 51820 and dst port 51820)')" 0 "all from and to WireGuard's port"
fails "afterwards the table is gone" on a nft list table inet lapwing-wt0-ice

# ---- Many sessions at once between the same two addresses and ports
paths() { grep -c '^session .* has a path$' "/tmp/$1/log"; }
negotiate "aggressive local=10.0.0.1 sessions=20" "local=10.0.0.2 sessions=20"
within 20 "twenty sessions at once have paths" eval '[ "$(paths a) $(paths b)" = "20 20" ]'
end_negotiation a b
net_reset

# ---- Both behind NATs that keep ports, with a STUN server outside
host a b ra rb c
lan la ra=10.1.0.1/24 a=10.1.0.2/24
lan lb rb=10.2.0.1/24 b=10.2.0.2/24
lan net ra=203.0.113.1/24 rb=203.0.113.2/24 c=203.0.113.9/24
behind_nat a ra 10.1.0
behind_nat b rb 10.2.0
tunnels a b
firewall a
firewall b
ip netns exec c turnserver -n --log-file=stdout --no-cli --no-auth --stun-only --no-tcp --no-tls --no-dtls \
	--listening-ip=203.0.113.9 --pidfile=/tmp/c/pid >/tmp/c/log 2>&1 {tap}>&- {never}<&- &
pids[c]=$!
wait_for 20 eval '[ -n "$(on c ss -Hlun sport = 3478)" ]'
watch net br0
stun=stun=203.0.113.9:3478
negotiate "aggressive local=10.1.0.2 stun=203.0.113.8:3478 $stun" "local=10.2.0.2 $stun"
within 20 "behind two NATs the controlling side has a path" selected a
within 5 "so has the other" selected b
is "$(endpoint a) $(endpoint b)" "203.0.113.2:51820 203.0.113.1:51820" "it is that of WireGuard's packets"
within 5 "WireGuard shakes hands" handshake a
ok "and carries packets" reaches a 100.64.0.2
ok "a STUN server that is not there is no hindrance" grep -q '^mapped 203.0.113.1:51820 by 203.0.113.9:3478' /tmp/a/log
unwatch
end_negotiation a b
kill "${pids[c]}"
ok "checks were seen" test "$(seen net "$binding4 and not port 3478")" -gt 3
is "$(seen net 'host 203.0.113.1 and host 203.0.113.2 and not (src port 51820 and dst port 51820)')" 0 "all from and to WireGuard's port"
is "$(seen net 'port 3478 and not port 51820')" 0 "also those to the server"

net_reset

# ---- IPv6 only
host a b
lan net a=2001:db8::1/64 b=2001:db8::2/64
tunnels a b
firewall a
firewall b
watch net br0
negotiate "aggressive local=2001:db8::1" "local=2001:db8::2"
within 10 "with IPv6 only the controlling side has a path" selected a
within 5 "so has the other" selected b
is "$(endpoint a) $(endpoint b)" "[2001:db8::2]:51820 [2001:db8::1]:51820" "it is between the WireGuard ports"
within 5 "WireGuard shakes hands" handshake a
ok "and carries packets" reaches a 100.64.0.2
unwatch
end_negotiation a b
ok "checks were seen" test "$(seen net "$binding6")" -gt 3
is "$(seen net 'not (src port 51820 and dst port 51820)')" 0 "all from and to WireGuard's port"
net_reset

# ---- Everything of a goes into the tunnel, by policy routing with a strict filter of reverse paths
host a b r
lan la r=10.1.0.1/24 a=10.1.0.2/24
lan lb r=10.2.0.1/24 b=10.2.0.2/24
on r sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
ip -n a route add default via 10.1.0.1
ip -n b route add default via 10.2.0.1
tunnels a b
firewall a
firewall b
on a wg set wt0 fwmark 0x51 peer "$(key b)" allowed-ips 0.0.0.0/0
ip -n a route add default dev wt0 table 51820
ip -n a rule add not fwmark 0x51 table 51820
ip -n a rule add table main suppress_prefixlength 0
on a sh -c 'cd /proc/sys/net/ipv4/conf && echo 1 | tee all/rp_filter eth0/rp_filter all/src_valid_mark' >/dev/null
watch a wt0
negotiate "aggressive local=10.1.0.2 mark=0x51" "local=10.2.0.2"
within 10 "with policy routing the controlling side has a path" selected a
within 5 "so has the other" selected b
within 5 "WireGuard shakes hands" handshake a
ok "and carries packets" reaches a 100.64.0.2
unwatch
end_negotiation a b
is "$(seen a port 51820)" 0 "no check went into the tunnel"
net_reset

# ---- Another implementation, whose requests begin with USERNAME; in both roles
# remote ROLE A-WORDS B-WORD...: b is aioice, without WireGuard.
remote() {
	rm -f /tmp/ab /tmp/ba
	mkfifo /tmp/ab /tmp/ba
	ip netns exec b python3 /job/ice_remote.py "$1" 10.0.0.2 "${@:3}" >/tmp/ba </tmp/ab 2>/tmp/b/log {tap}>&- {never}<&- &
	pids[b]=$!
	ip netns exec a "${confined[@]}" live_ice wt0 seconds=60 local=10.0.0.1 $2 </tmp/ba >/tmp/ab 2>/tmp/a/log {tap}>&- {never}<&- &
	pids[a]=$!
}
# answers: how often a has answered a check without libnice.
answers() { sed -n 's/^answered .*, //p' /tmp/a/log | tail -n 1; }
host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
tunnels a b
firewall a
for role in controlled controlling; do
	words=controlling
	[ $role = controlled ] || words=
	watch net br0
	remote $role "$words" 1
	within 30 "a path with aioice, which is $role" selected a
	within 10 "which has it too" selected b
	is "$(sed -n 's/^selected //p' /tmp/b/log)" "10.0.0.1 51820" "at the WireGuard port"
	within 10 "and is content" grep -qx alive /tmp/b/log
	unwatch
	end_negotiation a b
	is "$(seen net 'not port 51820')" 0 "nothing went past it"
done

# ---- One like the reference: something behind FINGERPRINT, and checks for ever
remote controlling "cut release" 12 tail
within 30 "a path with one like the reference" selected a
within 10 "which has it too" selected b
within 10 "later libnice is gone" grep -q '^released' /tmp/a/log
within 30 "twelve seconds on the other side is content" grep -qx alive /tmp/b/log
ok "because its checks are answered" test "$(answers)" -ge 3
end_negotiation a b
ok "what was behind was cut" test "$(sed -n 's/^cut //p' /tmp/a/log)" -ge 2
remote controlling "" 1 tail
within 30 "without the cut there is no path" grep -q '^failed: Connection timed out' /tmp/a/log
end_negotiation a b

net_reset
finish

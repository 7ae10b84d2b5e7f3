# shellcheck shell=bash source=tests/vm/lib.sh
# What `tune mtu` finds on a narrow path: answered, with 'fragmentation needed' filtered, with all ICMP filtered; and
# what becomes of it with a daemon and without.
# timeout: 300
. /job/lib.sh

# ---- a - r1 -(narrow)- r2 - b, with IPv4 and IPv6
host a b r1 r2
lan left a=10.1.0.1/24,fd00:1::1/64 r1=10.1.0.254/24,fd00:1::fe/64
lan narrow r1=10.2.0.1/24,fd00:2::1/64 r2=10.2.0.2/24,fd00:2::2/64
lan right r2=10.3.0.254/24,fd00:3::fe/64 b=10.3.0.1/24,fd00:3::1/64
for h in r1 r2; do on $h sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'; done
ip -n a route add default via 10.1.0.254
ip -n a route add default via fd00:1::fe
ip -n b route add default via 10.3.0.254
ip -n b route add default via fd00:3::fe
ip -n r1 route add 10.3.0.0/24 via 10.2.0.2
ip -n r1 route add fd00:3::/64 via fd00:2::2
ip -n r2 route add 10.1.0.0/24 via 10.2.0.1
ip -n r2 route add fd00:1::/64 via fd00:2::1

narrow() { # MTU
	ip -n r1 link set eth1 mtu "$1"
	ip -n r2 link set eth0 mtu "$1"
}

forget() {
	local h
	for h in a b; do
		ip -n $h route flush cache
		ip -n $h -6 route flush cache
	done
}

filter() { # RULE...: on the first router, what it forwards and what it sends itself
	on r1 nft delete table inet filter 2>/dev/null || true
	[ $# -eq 0 ] || on r1 nft "add table inet filter;
		add chain inet filter forward { type filter hook forward priority 0; };
		add chain inet filter output { type filter hook output priority 0; };
		$(printf 'add rule inet filter %s;' "$@")"
}

needed=('output icmp type destination-unreachable drop' 'output icmpv6 type packet-too-big drop')
icmp=('forward meta l4proto { icmp, icmpv6 } drop' "${needed[@]}")
field() { python3 -c 'import json, sys; print(eval("d" + sys.argv[1], {"d": json.load(sys.stdin)}))' "$1"; }
measured() { lw a tune mtu --json | field '["peers"][0]["wireguard_mtu"]'; }
mtu() { on a cat /sys/class/net/wt0/mtu; }
has_mtu() { [ "$(mtu)" = "$1" ]; }

# ---- IPv4, with daemons
mesh_members='"interface": {"name": "wt0", "listen_port": 51820}'
mesh_endpoint[b]=10.3.0.1
mesh a b
up a b
narrow 1400
is "$(lw a status --json | field '["interface"]["mtu"]')" 1420 "before, only the device is known"
is "$(measured)" 1340 "a hop of 1400 leaves 1340"
is "$(lw a tune mtu --json | field '["peers"][0]["method"]')" echo "as an echo says"
is "$(mtu)" 1420 "which is only told"
is "$(lw a tune mtu --json --peer 100.64.0.2 | field '["peers"][0]["path_mtu"]')" 1400 "one peer is found by its address"
ok "an unknown peer is an error of usage" [ "$(lw a tune mtu --peer nobody >/dev/null 2>&1; echo $?)" = 2 ]
filter "${needed[@]}"
forget
is "$(measured)" 1340 "the same without 'fragmentation needed'"
filter "${icmp[@]}"
lw a tune mtu --json --apply >/tmp/unknown && status=0 || status=$?
is "$status" 9 "without any echo it is unknown"
is "$(field '["recommended_mtu"]' </tmp/unknown)" None "and not guessed"
is "$(mtu)" 1420 "nothing is changed"

# Somebody who answers STUN where WireGuard would be: the only packets that get through are his.
stop_daemon b
ip -n b link del wt0
on b python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.3.0.1", 51820))
while True:
    data, peer = s.recvfrom(65536)
    if len(data) >= 20 and data[4:8] == b"\x21\x12\xa4\x42":
        s.sendto(b"\x01\x01\x00\x00" + data[4:20], peer)' </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
within 5 "a STUN server is there" on a python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.sendto(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), ("10.3.0.1", 51820))
s.recv(100)'
is "$(measured)" 1340 "padded STUN finds the same"
is "$(lw a tune mtu --json | field '["peers"][0]["method"]')" stun "and says so"
on b pkill python3
filter
start_daemon b

# ---- Applied through the daemon
ok "it is applied" lw a tune mtu --apply
within 5 "by the daemon" has_mtu 1340
is "$(lw a tune mtu --apply --json | field '["changed"]')" False "a second time changes nothing"
is "$(lw a status --json | field '["interface"]["measured_mtu"]')" 1340 "status says that it was measured"
within 10 "a large packet fits" on a ping -n -q -c 1 -W 2 -M "do" -s 1312 100.64.0.2
ip -n a link set wt0 mtu 1420
within 5 "it is repaired to that value" has_mtu 1340
stop_daemon a
start_daemon a
within 5 "the daemon is ready again" ready a
is "$(mtu)" 1340 "and it outlasts a restart"
narrow 1280
forget
is "$(measured)" 1220 "a hop of 1280 leaves 1220"
lw a tune mtu --apply >/dev/null 2>/tmp/refused && status=0 || status=$?
is "$status" 12 "which IPv6 inside does not allow"
ok "and that is said" grep -q 'IPv6 addresses need 1280' /tmp/refused
is "$(mtu)" 1340 "nothing is changed then"
filter "${needed[@]}"
forget
is "$(measured)" 1220 "the same without 'fragmentation needed'"
filter "${icmp[@]}"
fails "unknown without any echo" lw a tune mtu
filter
ok "revert forgets the measurement" lw a tune revert
within 5 "and the devices count again" has_mtu 1420
stop_daemon a
stop_daemon b

# ---- IPv6, and no daemon: an interface made with wg(8)
for h in a b; do
	ip -n $h link del wt0
	ip -n $h link add wt0 type wireguard
	on $h wg set wt0 private-key /tmp/$h/private.key listen-port 51820
	ip -n $h link set wt0 up mtu 1420
done
on a wg set wt0 peer "$(<"/tmp/b/key.pub")" endpoint '[fd00:3::1]:51820' allowed-ips 100.64.0.2/32
narrow 1400
is "$(measured)" 1320 "IPv6: a hop of 1400 leaves 1320"
filter "${needed[@]}"
forget
is "$(measured)" 1320 "the same without 'packet too big'"
filter "${icmp[@]}"
fails "unknown without any echo" lw a tune mtu
filter
narrow 1280
forget
is "$(measured)" 1200 "a hop of 1280 leaves 1200"
ok "it is applied without a daemon" lw a tune mtu --apply
is "$(mtu)" 1200 "to the interface"
is "$(lw a tune mtu --apply --json | field '["changed"]')" False "once"
ok "a plan does not raise it again" lw a tune plan --only mtu --exit-diff
ok "nor one without root" on a setpriv --reuid 65534 --clear-groups lapwing tune plan --only mtu --exit-diff
ok "and taken back" lw a tune revert
is "$(mtu)" 1420 "as it was"
lw a tune mtu --iface eth0 >/dev/null 2>&1 && status=0 || status=$?
is "$status" 2 "another interface is refused"
lw a tune mtu --iface wt1 >/dev/null 2>/tmp/refused && status=0 || status=$?
is "$status $(grep -o 'the nearest is .*' /tmp/refused)" "2 the nearest is wt0" "one that is not there too, with the nearest"
on a sh -c 'mount -o remount,bind,ro /sys && exec lapwing tune mtu --apply' >/dev/null 2>/tmp/refused && status=0 || status=$?
is "$status $(grep -c 'mounted read-only' /tmp/refused)" "9 1" "where /sys is read-only it is not applied"
is "$(ls /var/lib/lapwing-tune)" "" "and no original is kept"
echo damaged >/var/lib/lapwing-tune/originals.json
lw a tune mtu --apply >/dev/null 2>/tmp/refused && status=0 || status=$?
is "$status $(mtu)" "12 1420" "nor with damaged originals"
rm /var/lib/lapwing-tune/originals.json
on a setpriv --reuid 65534 --clear-groups lapwing tune mtu >/dev/null 2>&1 && status=0 || status=$?
is "$status" 5 "without privilege it says so"
finish

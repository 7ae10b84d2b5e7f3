# shellcheck shell=bash source=tests/vm/lib.sh
# Waking in all sorts of networks: routed prefixes, groups of routers, IPv6, conntrack, rp_filter, several endpoints, hosts
# without any, endpoints that roam.
# timeout: 300
. /job/lib.sh

lazy() { lw "$1" peers "$2" --json | grep -o '"lazy":"[a-z]*"' | cut -d '"' -f 4; }
is_lazy() { [ "$(lazy "$1" "$2")" = "$3" ]; }
key() { cat "/tmp/$1/key.pub"; }
endpoint() { on "$1" wg show wt0 endpoints | grep -F "$(key "$2")" | cut -f 2; }
reason() { lw "$1" peers "$2" --json | python3 -c "import json, sys; print(json.load(sys.stdin)['peers'][0]['reason'])"; }

# a and b, and two routers with the server s behind both.
host a b r1 r2 s
lan net a=10.0.0.1/24,2001:db8::1/64 b=10.0.0.2/24,2001:db8::2/64 r1=10.0.0.11/24 r2=10.0.0.12/24
lan back r1=10.9.0.1/24 r2=10.9.0.2/24 s=10.9.0.9/24
for h in r1 r2; do
	on $h sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	on $h nft "table ip nat { chain post { type nat hook postrouting priority 100; oifname eth1 masquerade; }; }"
	mesh_extra[$h]='"routes": ["10.9.0.0/24"]'
done
mesh_endpoint[b]=2001:db8::2
mesh a b r1 r2
up a b r1 r2

ok "the first packet to a routed network arrives" reaches a 10.9.0.9 4.5
is "$(lazy a r1)" active "its router is awake"
within 3 "and so is the other of the group" is_lazy a r2 active
is "$(lazy a b)" parked "nobody else is"
ok "the first packet over an IPv6 underlay arrives" reaches a 100.64.0.2 4.5
is "$(endpoint a b)" "[2001:db8::2]:51820" "by IPv6"

# The group's first dies; the second takes over.
ip -n net link set r1 down
ip netns exec a ping -n -q -i 0.2 -w 100 10.9.0.9 >/tmp/witness 2>&1 &
witness=$!
holder() { on a wg show wt0 allowed-ips | grep -F 10.9.0.0/24 | cut -f 1; }
within 70 "the second router takes over" eval '[ "$(holder)" = "$(key r2)" ]'
within 5 "and carries traffic" reaches a 10.9.0.9
ip -n net link set r1 up
within 90 "the first has it back when it answers again" eval '[ "$(holder)" = "$(key r1)" ]'
within 5 "and carries it" reaches a 10.9.0.9
kill -INT $witness
wait $witness || true

# Connection tracking, and reverse path filters.
on a nft "table inet track { chain in { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept; udp dport 51820 accept; iifname wt0 accept; }; }"
for filter in 0 1 2; do
	for h in a b; do on $h sh -c "for i in all default eth0 lo wt0; do echo $filter >/proc/sys/net/ipv4/conf/\$i/rp_filter; done"; done
	lw a idle b
	lw b idle a
	ok "woken with connections tracked and rp_filter=$filter" reaches a 100.64.0.2 4.5
	lw a idle r1
	lw r1 idle a
	ok "over IPv4 as well" reaches a 100.64.0.3 4.5
done
is "$(on a conntrack -L 2>/dev/null | grep -c 'dst=127\.' || true)" 0 "packets to sentinels are not tracked"
net_reset

# Two endpoints, the first of them dead; and a host that the map says nothing about.
host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
mesh_endpoint[b]=
mesh_endpoint[c]=
mesh_extra[b]='"endpoints": ["10.0.0.99:51820", "10.0.0.2:51820"]'
mesh_extra[c]='"keepalive": 0'
mesh a b c
up a b c
ok "the first packet arrives although the first endpoint is dead" reaches a 100.64.0.2 4.5
is "$(endpoint a b)" 10.0.0.2:51820 "at the second endpoint"
fails "who has no endpoint cannot be woken" lw a wake c
is "$(reason a c)" "no endpoint known: it has to begin" "and status says why"
ok "it wakes us" reaches c 100.64.0.1 4.5
within 2 "that is noticed" is_lazy a c active
# It moves, and is heard from its new place.
ip -n c address del 10.0.0.3/24 dev eth0
ip -n c address add 10.0.0.33/24 dev eth0
ok "it roams" reaches c 100.64.0.1 4.5
ok "it is put to sleep" eval 'lw a idle c && lw c idle a'
ok "and woken where it was last heard" reaches a 100.64.0.3 4.5
is "$(endpoint a c)" 10.0.0.33:51820 "at its new address"
lw a idle c
lw c idle a
pause 6
stop_daemon a KILL || true
up a
ok "that is remembered over a crash" reaches a 100.64.0.3 4.5
is "$(endpoint a c)" 10.0.0.33:51820 "at the same place"
# It moves while it is awake; the interface goes down with the host.
within 5 "it is awake" is_lazy a c active
ip -n c address del 10.0.0.33/24 dev eth0
ip -n c address add 10.0.0.34/24 dev eth0
ok "it roams again" reaches c 100.64.0.1 4.5
remembers() { lw a peers c >/dev/null && od -An -v -tx1 /tmp/a/state/memory | tr -d ' \n' | grep -q 0a000022; } # 10.0.0.34
within 10 "where an active peer is now is written down" remembers
stop_daemon a KILL || true
ip -n a link del wt0
up a
ok "and remembered over a crash of the host" reaches a 100.64.0.3 4.5
is "$(endpoint a c)" 10.0.0.34:51820 "at its newest place"

# Nobody answers there any more, and the session is gone.
lw a idle c
ip -n net link set c down
ip -n a link set wt0 down
within 5 "the interface is repaired" eval 'ip -n a -o link show wt0 up | grep -q wt0'
reaches a 100.64.0.3 1 || true
is "$(lazy a c)" waking "no answer yet"
ok "wake --wait says so" eval 'lw a wake c --wait; [ $? = 11 ]'
is "$(lw a peers c --json | grep -o '"state":"[a-z]*"')" '"state":"unreachable"' "then it is unreachable"
ip -n net link set c up
within 10 "and comes up when it answers again" is_lazy a c active

# The port of the sentinels is taken when we come back; too few files are allowed.
stop_daemon a KILL || true
port=$(endpoint a b | grep '^127' | cut -d : -f 2 || true)
lw b idle a
echo "# sentinel was at ${port:-none}"
up a
lw a idle b
port=$(endpoint a b | cut -d : -f 2)
stop_daemon a KILL || true
on a python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.1.1', $port))
time.sleep(60)" &
pause 1
up a
ok "another port is taken" eval '[ "$(endpoint a b)" != "127.0.1.1:$port" ] && endpoint a b | grep -q ^127'
ok "and works" reaches a 100.64.0.2 4.5
stop_daemon a
nofile=20
up a
unset nofile
ok "with few files allowed the mesh is ready" ready a
lw a idle b
ok "peers wake there as well" reaches a 100.64.0.2 4.5
ok "status says which sentinels there are, and why" says a '"problem":"no more sentinel sockets: Too many open files"' status

finish

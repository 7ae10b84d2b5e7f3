# shellcheck shell=bash source=tests/vm/lib.sh
# The same network behind two routers: the first healthy one in the order of the file carries it.
# timeout: 150
. /job/lib.sh

# a and b reach the routers r1 and r2 over the lan; both routers have the server s behind them.
host a b r1 r2 s
lan net a=10.0.0.1/24 b=10.0.0.2/24 r1=10.0.0.11/24 r2=10.0.0.12/24
lan back r1=10.9.0.1/24 r2=10.9.0.2/24 s=10.9.0.9/24
for h in r1 r2; do
	on $h sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	# The server answers by whoever asked.
	on $h nft "table ip nat { chain post { type nat hook postrouting priority 100; oifname eth1 masquerade; }; }"
	mesh_extra[$h]='"routes": ["10.9.0.0/24"]'
done
mesh a b r1 r2
key() { cat "/tmp/$1/key.pub"; }
holder() { on a wg show wt0 allowed-ips | grep -F 10.9.0.0/24 | cut -f 1; }
holds() { [ "$(holder)" = "$(key "$1")" ]; }
up r1 r2 a b

is "$(holder)" "$(key r1)" "the first holds the network"
ok "and status says so" says a '"holds":["10.9.0.0/24"]' peers r1
ok "the server is reached" reaches a 10.9.0.9 4.5
is "$(ip -n r1 route show 10.9.0.0/24 | wc -l)" 1 "a router does not route its own network into the tunnel"
# Nobody asks r2 yet: that is not a failure.

ip -n net link set r1 down
ip netns exec a ping -n -q -i 0.2 -w 110 10.9.0.9 >/tmp/witness 2>&1 &
witness=$!
within 60 "the second takes over when the first's network is down" holds r2
within 5 "the server is reached through it" reaches a 10.9.0.9
ok "status says so" says a '"holds":["10.9.0.0/24"]' peers r2
ok "the first is called unreachable" says a '"state":"unreachable"' peers r1
is "$(ip -n a route show 10.9.0.0/24 | wc -l)" 1 "the route stays"
ok "b is served, too" eval '[ "$(on b wg show wt0 allowed-ips | grep -c -F 10.9.0.0/24)" = 1 ]'

ip -n net link set r1 up
within 60 "the first has it back when it is back" holds r1
within 5 "the server is reached through it" reaches a 10.9.0.9
kill -INT $witness
wait $witness || true
echo "#   $(grep transmitted /tmp/witness), one each 200 ms"

# A mesh file without the first: the second holds it at once.
mesh_extra[r1]='"routes": []'
mesh_file a b r1 r2
within 3 "an edit moves it at once" holds r2
within 5 "and the server is reached" reaches a 10.9.0.9

finish

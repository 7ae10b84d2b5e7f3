# shellcheck shell=bash source=tests/vm/lib.sh
# Ways to a peer: several endpoints, names, none at all; a default route through a peer.
# timeout: 120
. /job/lib.sh

# What peers always up have; sleeping ones are told of elsewhere.
mesh_members='"lazy": {"enabled": false}, "interface": {"name": "wt0", "listen_port": 51820}'

key() { cat "/tmp/$1/key.pub"; }
endpoint() { on "$1" wg show wt0 endpoints | grep "^$(key "$2")" | cut -f 2; }

# ---- Endpoints: b's first is dead, c has none, d's is a name that appears later.
# e's first is one of IPv6, which nobody here has.
host a b c d e
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24 d=10.0.0.4/24 e=10.0.0.5/24
mesh_endpoint[b]='' mesh_endpoint[c]='' mesh_endpoint[d]='' mesh_endpoint[e]=''
mesh_extra[b]='"endpoints": ["10.0.0.77:51820", "10.0.0.2:51820"]'
mesh_extra[d]='"endpoints": ["d.test:51820"]'
mesh_extra[e]='"endpoints": ["[2001:db8::5]:51820", "10.0.0.5:51820"]'
mesh a b c d e
mkdir -p /tmp/etc /etc/netns
mount -t tmpfs netns /etc/netns
mkdir /etc/netns/a
echo "127.0.0.1 localhost" >/etc/netns/a/hosts
: >/etc/netns/a/resolv.conf
# b does not know where a is: it is a who has to find it.
sed -i 's/10.0.0.1:51820/10.0.0.78:51820/' /tmp/b/mesh.json
up a b d e

is "$(endpoint a b)" 10.0.0.77:51820 "the first endpoint comes first"
is "$(endpoint a c)" "(none)" "a peer without endpoint has none"
fails "and is not reached before it begins" reaches a 100.64.0.3 1
ok "its state says why" says a '"reason":"no endpoint known: it has to begin"' peers c
is "$(endpoint a d)" "(none)" "nor has one whose name is not known"
ok "its state says why" says a '"reason":"no address yet: ' peers d
is "$(endpoint a e)" 10.0.0.5:51820 "an endpoint that cannot be sent to is passed over"
within 5 "and its peer is reached" reaches a 100.64.0.5
within 25 "a peer is found at its second endpoint" reaches a 100.64.0.2
is "$(endpoint a b)" 10.0.0.2:51820 "which is the one in use"
start_daemon c
within 5 "a peer without endpoint begins by itself and is reached" reaches a 100.64.0.3
is "$(endpoint a c)" 10.0.0.3:51820 "where it came from"
echo "10.0.0.4 d.test" >>/etc/netns/a/hosts
# ip(8) has bound the file over the daemon's: the same inode has to change.
within 30 "a name is asked for again" reaches a 100.64.0.4
is "$(endpoint a d)" 10.0.0.4:51820 "and answered"
ok "the others are untouched" reaches a 100.64.0.2
net_reset

# ---- A default route: a - router - gateway - world. Only through the tunnel there is a way to the world.
host a b router gateway world
lan home a=10.0.0.1/24 b=10.0.0.2/24 router=10.0.0.254/24
lan between router=192.0.2.254/24 gateway=192.0.2.1/24
lan far gateway=198.51.100.254/24 world=198.51.100.1/24
for h in router gateway; do on $h sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'; done
for h in a b; do ip -n $h route add default via 10.0.0.254; done
ip -n gateway route add 10.0.0.0/24 via 192.0.2.254
ip -n world route add default via 198.51.100.254
on router nft -f - <<-END
	table ip watch { chain forward { type filter hook forward priority 0;
		ip daddr 198.51.100.0/24 counter drop
		meta l4proto icmp counter drop
	}; }
END
# Strict filtering asks for the way back; it minds the mark of WireGuard's packets only when told to.
on a sh -c 'for i in all default eth0; do echo 1 >/proc/sys/net/ipv4/conf/$i/rp_filter; done'
mesh_extra[gateway]='"routes": ["0.0.0.0/0"]'
mesh a b gateway
host_config a '"policy": {"default_route": true}'
up gateway b
start_daemon a
within 5 "what strict filtering needs is told" says a src_valid_mark=1 status
on a sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/src_valid_mark'
lw a up
within 5 "and not any more when it has it" ready a
is "$(on b wg show wt0 allowed-ips | grep -c '0.0.0.0/0')" 0 "no such allowed IP"
is "$(ip -n b rule | wc -l)" 3 "nor a rule"
ok "with it, it is" [ "$(on a wg show wt0 allowed-ips | grep -c '0.0.0.0/0')" = 1 ]
is "$(ip -n a rule | cut -d : -f 2 | sed 's/\t//' | xargs -d '\n' -I{} echo "{}" | sed -n 2,3p)" \
	"from all lookup main suppress_prefixlength 0 proto 108
not from all fwmark 0xca6c lookup 51820 proto 108" "by rules that leave its own packets out"
is "$(ip -n a route show default | wc -l)" 1 "the host's own default route stays"
within 5 "the gateway is reached" reaches a 100.64.0.3
ok "and the world through it" reaches a 198.51.100.1
ok "the host's own network is reached directly" reaches a 10.0.0.2
ok "and its router" reaches a 10.0.0.254
ok "the other peer too" reaches a 100.64.0.2
ok "as before" reaches a 198.51.100.1
on a timeout 3 tcpdump -n -i wt0 'udp port 51820' >/tmp/loop 2>/tmp/loop.err &
sniff=$!
pause 1
on a ping -n -q -i 0.1 -c 10 198.51.100.1 >/dev/null || true
wait $sniff || true
ok "nothing of WireGuard's own goes through the tunnel" grep -q '^0 packets captured' /tmp/loop.err
is "$(on router nft list ruleset | grep -c 'packets 0 ')" 2 "nothing of it went outside the tunnel"
lw a down >/dev/null
wait_for 5 not ip -n a link show wt0
is "$(ip -n a rule | wc -l)" 3 "down takes the rules back"
fails "and the world away" reaches a 198.51.100.1 1
lw a up --wait >/dev/null
within 5 "up brings it back" reaches a 198.51.100.1
ip -n a rule del priority "$(ip -n a rule | awk -F : '/51820/ { print $1 }')"
# A ping that was sent too early waits its whole second for the answer.
within 3 "a deleted rule comes back" reaches a 198.51.100.1
ip -n a route flush table 51820
within 3 "so does the route in a table of its own" reaches a 198.51.100.1

finish

# shellcheck shell=bash source=tests/vm/lib.sh
# One mesh of three hosts: both families inside and outside, a network behind a host, pre-shared keys, keepalive, MTU.
# timeout: 300
. /job/lib.sh

host a b c d
lan net a=10.0.0.1/24,2001:db8::1/64 b=10.0.0.2/24,2001:db8::2/64 c=10.0.0.3/24,2001:db8::3/64
lan back c=10.9.0.1/24,fd09::1/64 d=10.9.0.2/24,fd09::2/64
for h in a b c; do ip -n $h link set eth0 mtu 1400; done
on c sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
ip -n d route add default via 10.9.0.1
ip -n d -6 route add default via fd09::1

# c is reached over IPv6. Each host has its own folder of keys, one for each pair.
mesh_endpoint[c]=2001:db8::3
for h in a b c; do mesh_extra[$h]="\"psk_file\": \"/tmp/SELF/psk/$h\""; done
mesh_extra[b]+=', "keepalive": 2'
mesh_extra[c]+=', "routes": ["10.9.0.0/24", "fd09::/64"]'
mesh a b c
for h in a b c; do
	sed -i "s,/tmp/SELF,/tmp/$h,g" /tmp/$h/mesh.json
	install -d -o lapwing /tmp/$h/psk
done
psk() { # HOST OTHER KEY
	(umask 077 && echo "$3" >"/tmp/$1/psk/.$2" && chown lapwing "/tmp/$1/psk/.$2" && mv "/tmp/$1/psk/.$2" "/tmp/$1/psk/$2")
}
ab=$(wg genpsk) ac=$(wg genpsk) bc=$(wg genpsk)
psk b a "$ab"
psk a c "$ac" && psk c a "$ac"
psk b c "$bc" && psk c b "$bc"

keys_of() { on "$1" wg show wt0 peers | sort; }
key() { cat "/tmp/$1/key.pub"; }

up a b c

# What the kernel has.
is "$(keys_of c)" "$(cat /tmp/a/key.pub /tmp/b/key.pub | sort)" "a host has the others as peers"
is "$(on c wg show wt0 allowed-ips | grep "^$(key a)" | cut -f 2)" "100.64.0.1/32 fd00:6c::1/128" "with their addresses"
is "$(on b wg show wt0 allowed-ips | grep "^$(key c)" | cut -f 2 | xargs -n 1 | sort | xargs)" \
	"10.9.0.0/24 100.64.0.3/32 fd00:6c::3/128 fd09::/64" "and networks"
is "$(on b wg show wt0 persistent-keepalive | cut -f 2 | sort -u)" 2 "a host with keepalive keeps alive"
is "$(on c wg show wt0 persistent-keepalive | cut -f 2 | sort -u)" off "the others do not"
is "$(on c wg show wt0 private-key)" "$(</tmp/c/private.key)" "the private key is the host's"
is "$(on c wg show wt0 listen-port)" 51820 "the port is the mesh's"
is "$(ip -n c -o link show wt0 | grep -o 'alias.*')" "alias lapwing:state" "the interface carries the instance's name"
is "$(ip -n b -o address show dev wt0 | awk '{ print $4 }' | xargs)" "100.64.0.2/32 fd00:6c::2/128" "and the addresses"

# Traffic. A handshake that was asked for before the other had begun is asked for again after 5 s.
for to in 100.64.0.3 fd00:6c::3; do
	ok "a reaches c at $to" reaches a $to
	ok "b reaches c at $to" reaches b $to
done
for to in 100.64.0.1 fd00:6c::1 100.64.0.2 fd00:6c::2; do ok "c reaches $to" reaches c $to 8; done
# tcpdump takes its time to begin; it ends with the first packet that it sees.
reaches_while_sniffed() { reaches a 100.64.0.3 && ! kill -0 $sniff; }
on c timeout 20 tcpdump -n -i eth0 -c 1 'ip6 and udp port 51820 and src host 2001:db8::1' >/dev/null 2>&1 &
sniff=$!
wait_for 15 reaches_while_sniffed || true
ok "an IPv6 endpoint is spoken to over IPv6" wait $sniff
ok "iperf3 through the tunnel (IPv4)" eval 'on c iperf3 -s -1 -D && on b timeout 20 iperf3 -i 0 -c 100.64.0.3 -n 2M'
ok "iperf3 through the tunnel (IPv6)" eval 'on c iperf3 -s -1 -D && on a timeout 20 iperf3 -i 0 -c fd00:6c::3 -n 2M'
ok "a network behind a host is reached" reaches a 10.9.0.2
ok "over IPv6 too" reaches b fd09::2
ok "and reaches the mesh" reaches d 100.64.0.1
ok "TCP from behind, through the clamp" eval 'on a iperf3 -s -1 -D && on d timeout 20 iperf3 -i 0 -c 100.64.0.1 -n 1M'
before=$(on b wg show wt0 transfer | awk '{ n += $3 } END { print n }')
pause 5
ok "keepalives are sent" [ "$(on b wg show wt0 transfer | awk '{ n += $3 } END { print n }')" -gt "$before" ]

# MTU: the way's less 80 with an IPv6 endpoint, else 60.
mtu() { [[ $(ip -n "$1" link show wt0) == *" mtu $2 "* ]]; }
ok "the MTU of a narrow way with IPv6" mtu a 1320
ok "the MTU of a narrow way with IPv4 only" mtu c 1340
ok "exactly that size passes" on a ping -n -q -c 1 -W 3 -M "do" -s $((1320 - 28)) 100.64.0.3

# The pre-shared key of b, which a has not.
is "$(keys_of a)" "$(key c)" "a peer whose pre-shared key is missing is not in the kernel"
fails "and not reached" reaches a 100.64.0.2 1
ok "its state says why" says a "\"state\":\"blocked\",\"reason\":\"pre-shared key /tmp/a/psk/b: No such file" peers b
psk a b "$ab"
within 65 "the peer appears when its key does" eval '[ "$(keys_of a | wc -l)" = 2 ]'
is "$(on a wg show wt0 preshared-keys | grep "^$(key b)" | cut -f 2)" "$ab" "with its key"
ok "and is reached" reaches a 100.64.0.2
on a wg set wt0 peer "$(key b)" preshared-key /dev/null
ip -n a link set wt0 down # ends the session
within 10 "a mended session has the right key again" reaches a 100.64.0.2

for h in a b c; do
	sed -i 's,\[2001:db8::3\]:51820,10.0.0.3:51820,' /tmp/$h/mesh.json
done
within 3 "it follows the mesh file" mtu a 1340
ok "exactly that size passes" on a ping -n -q -c 1 -W 3 -M "do" -s $((1340 - 28)) 100.64.0.3
for h in a b c; do ok "$h is ready" ready $h; done

finish

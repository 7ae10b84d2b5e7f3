# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh source=tests/vm/nat.sh
# Members of a network behind NATs and firewalls: the first packet leads to a direct path from WireGuard's port to WireGuard's
# port; where there is none, that is said, costs little, and changes when the way is free.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# timeout: 600
# waits: often
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh
. /job/nat.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id

members_behind_nats
name=.netbird.selfhosted
within 10 "checks are led over WireGuard's port" on a nft list table inet lapwing-wt0-ice

# ---- Both NATs keep ports
ip netns exec net tcpdump -Z root -n -U -i br0 -w /tmp/net.pcap udp 2>/dev/null {tap}>&- {never}<&- &
pids[watch]=$!
wait_for 10 test -s /tmp/net.pcap
within 30 "the first packets find the way" reaches a 100.64.0.2 8
lw a peers b$name --json | python3 -c 'import json, sys; print("#", json.load(sys.stdin)["peers"][0]["negotiation"])'
is "$(endpoint_of a b)" 203.0.113.2:51820 "a's kernel has b's NAT"
within 10 "and b's has a's" is_at b a 203.0.113.1:51820
is "$(tcpdump -n -r /tmp/net.pcap 'udp and not port 3478 and not (src port 51820 and dst port 51820)' 2>/dev/null | wc -l)" 0 \
	"every packet was from and to WireGuard's port"
kill "${pids[watch]}"
wait_for 10 eval '! kill -0 "${pids[watch]}"'
within 10 "no agent of ICE is left" eval '[ "$(on a ss -Hlun sport ge :61000 | wc -l)" -le 2 ]'

# ---- The NATs forget
for r in ra rb; do on "$r" conntrack -D -p udp >/dev/null 2>&1 || true; done
ok "after its NAT has forgotten a is heard again" eval 'reaches a 100.64.0.2 30 || reaches a 100.64.0.2 30'

# ---- Sleep, and the other way round
ok "a parks b" lw a idle b$name
within 5 "b parks a" is_peer b a$name "['lazy']" parked
for r in ra rb; do on "$r" conntrack -D -p udp >/dev/null 2>&1 || true; done
# Data under a session is not sent again by WireGuard: it goes once more to the path that is found.
ms=$(on b ping -n -c 1 -W 12 100.64.0.1 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p')
ok "b wakes a by a single packet, although their session lives and no NAT knows it (${ms:-never} ms)" test -n "$ms"

# ---- UDP is blocked: no way
lw a idle b$name >/dev/null
within 5 "both sleep" is_peer b a$name "['lazy']" parked
on rb nft add rule ip nat forward meta l4proto udp drop
on rb nft insert rule ip nat forward meta l4proto udp drop
on rb conntrack -D -p udp >/dev/null 2>&1 || true
on b conntrack -D -p udp >/dev/null 2>&1 || true
fails "blocked UDP lets nothing through" reaches a 100.64.0.2 10
# The kernel asks for a minute and a half after the last packet.
within 150 "it ends parked" is_peer a b$name "['lazy']" parked
ok "with a reason" eval 'lw a peers b$name | grep "^state" | grep -q ": "'
on rb nft flush chain ip nat forward
on rb nft add rule ip nat forward ct state established,related accept
on rb nft add rule ip nat forward iifname eth0 accept
within 60 "when the way is free it is found" reaches a 100.64.0.2 8
finish

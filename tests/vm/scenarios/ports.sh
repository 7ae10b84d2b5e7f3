# shellcheck shell=bash source=tests/vm/lib.sh
# UDP ports that others have, sockets and state in use, endpoints whose names do not resolve, or resolve to something else.
# timeout: 240
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

# What peers always up have; sleeping ones are told of elsewhere.
mesh_members='"lazy": {"enabled": false}, "interface": {"name": "wt0", "listen_port": 51820}'

# ends HOST [ARGUMENT...]: like exits, with the log in /tmp/HOST/said.
ends() {
	: >"/tmp/$1/said"
	log=/tmp/$1/said exits "$@"
}
complaints() { grep -cE ' (warn|error): ' "/tmp/$1/said"; }
# take_port HOST: a program that holds UDP 51820 and says when it does.
take_port() {
	ip netns exec "$1" setpriv --reuid daemon python3 -c '
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 51820))
open("/tmp/'"$1"'.bound", "w")
signal.pause()' </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
	taker=$!
	wait_for 10 test -e "/tmp/$1.bound"
	rm "/tmp/$1.bound"
}
chmod 1777 /tmp
has_handshake() { [ "$(on "$1" wg show wt0 latest-handshakes | cut -f 2 | sort -n | tail -n 1)" -gt 0 ]; }

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b

# ---- The port at a start
take_port a
is "$(ends a)" 14 "a port that a program has: status 14"
is "$(complaints a)" 1 "with one complaint"
ok "which names port and user" grep -E ' (warn|error): UDP port 51820 .*user id '"$(id -u daemon)"'\b' /tmp/a/said
kill $taker && wait $taker || true
ip -n a link del wt0 2>/dev/null || true

ip -n a link add other type wireguard
on a wg set other listen-port 51820
ip -n a link set other up
is "$(ends a)" 14 "a port that another WireGuard interface has: status 14"
ok "which is named" grep -E ' (warn|error): UDP port 51820 .*WireGuard interface other\b' /tmp/a/said
is "$(on a wg show other listen-port)" 51820 "and stays as it is"
ip -n a link del other

# ---- The port while it runs
ok "with the port free it starts" start_daemon a
ok "and its peer" start_daemon b
on a ping -c 1 -W 10 100.64.0.2 >/dev/null 2>&1 || true
ok "and they meet" wait_for 20 has_handshake a
kill -STOP "${pids[a]}"
ip -n a link del wt0
take_port a
kill -CONT "${pids[a]}"
in_use() { lw a status | grep -q 'UDP port 51820 .*user id'; }
ok "a port that was taken while the interface was gone: status says by whom" wait_for 10 in_use
ok "the log, too" grep -q ' warn: UDP port 51820 .*user id' /tmp/a/log
ok "the daemon lives" running a
fails "and is not ready" lw a status --check=ready
ok "but alive" lw a status --check=live
kill $taker && wait $taker || true
up() { [ "$(on a cat /sys/class/net/wt0/operstate 2>/dev/null)" = unknown ]; }
ok "when it is free again, the interface comes up" wait_for 70 up
ok "and the peers meet again" wait_for 40 has_handshake a
forgotten() { ! lw a status | grep -q 'UDP port'; }
ok "and status forgets it" wait_for 10 forgotten

# ---- Socket and state directory
is "$(ends a --run /tmp/a/run2)" 14 "a second daemon on the same state ends with status 14"
ok "and says which process has it" grep -q "in use by another lapwingd, process ${pids[a]}" /tmp/a/said
install -d -o lapwing -m 700 /tmp/a/state2
is "$(ends a --state /tmp/a/state2)" 14 "one on the same socket, too"
ok "and names it" grep -q ' error: .*/tmp/a/run/control.sock' /tmp/a/said
ok "the first one still serves" lw a status
is "$(complaints a)" 1 "one complaint"
stop_daemon a KILL || true
ok "a socket that a dead daemon left is no obstacle" start_daemon a
stop_daemon a
stop_daemon b

# ---- Names
net_reset
host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24,10.0.0.12/24 c=10.0.0.3/24
keys a b c
mesh_endpoint[b]=b.test
mesh a b c
mkdir -p /etc/netns/a
echo "nameserver 10.0.0.3" >/etc/netns/a/resolv.conf
echo "options timeout:1 attempts:1" >>/etc/netns/a/resolv.conf
# dns [ADDRESS]: what the name has; nothing without.
dns_pid=
dns() {
	[ -z "$dns_pid" ] || { kill $dns_pid && wait $dns_pid || true; }
	ip netns exec c dnsmasq --keep-in-foreground --no-resolv --no-hosts --bind-interfaces --listen-address=10.0.0.3 --user=root \
		--log-queries --log-facility=/tmp/dns.log --local=/test/ --local-ttl=1 ${1:+--address=/b.test/"$1"} \
		</dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
	dns_pid=$!
	wait_for 10 eval 'on c ss -Hlun sport = :53 | grep -q .'
}
dns
sed -i 's/"endpoints": \["10.0.0.1[^]]*\]/"endpoints": []/' /tmp/b/mesh.json # b does not call
ok "a starts with a name that does not resolve" start_daemon a
start_daemon b
start_daemon c
peer_of() { on a wg show wt0 "$1" | sed -n "s,^$(<"/tmp/$2/key.pub")\t,,p"; }
ok "the other peer has its endpoint" wait_for 10 eval '[ "$(peer_of endpoints c)" = 10.0.0.3:51820 ]'
on a ping -c 1 -W 10 100.64.0.3 >/dev/null 2>&1 || true
ok "and works" on a ping -c 1 -W 10 100.64.0.3
is "$(peer_of endpoints b)" "(none)" "the one with the name has none"
ok "status says why" wait_for 10 eval 'lw a peers b | grep -q "no address yet"'
ok "the log, too, with name and host" grep -q ' warn: cannot look up b.test of b: ' /tmp/a/log
pause 12
queries=$(grep -c 'query\[A\] b.test' /tmp/dns.log)
ok "it was asked again, ever less often ($queries times)" test "$queries" -ge 2 -a "$queries" -le 12
is "$(grep -c 'cannot look up b.test' /tmp/a/log)" 1 "and the log has it once"
dns 10.0.0.2
ok "when the name resolves, the peer gets its endpoint" wait_for 40 eval '[ "$(peer_of endpoints b)" = 10.0.0.2:51820 ]'
ok "and is reached" wait_for 20 on a ping -c 1 -W 2 100.64.0.2

# The address of the name changes and the old one is dead; nobody calls us.
dns 10.0.0.12
ip -n b address flush dev eth0
ip -n b address add 10.0.0.12/24 dev eth0
stop_daemon b KILL || true
ip -n b link del wt0
start_daemon b
ip netns exec a ping -i 1 100.64.0.2 </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
ok "the new address is used when the old one is dead" wait_for 110 eval '[ "$(peer_of endpoints b)" = 10.0.0.12:51820 ]'
ok "and the peer is reached" wait_for 30 on a ping -c 1 -W 2 100.64.0.2
ok "the other peer never noticed" on a ping -c 1 -W 5 100.64.0.3

finish

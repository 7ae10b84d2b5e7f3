# shellcheck shell=bash source=tests/vm/lib.sh
# Another manager that undoes every repair, and interfaces of others that have our name.
# timeout: 150
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b
up a b

# What happens to b now and then, meanwhile, is no fight.
for _ in 1 2 3 4 5; do
	ip -n b link set wt0 mtu 1300
	ip -n b address del 100.64.0.2/32 dev wt0
	pause 11
done &
gradual=$!

# ---- Somebody who undoes: three repairs, then we leave it, until we are told to go on.

# fight DESCRIPTION TEXT COMMAND...: the command is what the other manager does, again and again.
fight() {
	local description=$1 text=$2 other n cpu
	shift 2
	: >/tmp/a/log
	# shellcheck disable=SC2016 # expanded by the inner shell
	ip netns exec a bash -c 'while :; do "$@"; read -rt 0.3 -u 9 || true; done >/dev/null 2>&1' fight "$@" 9<>/tmp/never &
	other=$!
	within 8 "$description: we yield" says a '"state":"conflict"' status
	ok "$description: the log says it in a line" logged a "conflict: $text was undone 3 times in a row"
	is "$(grep -c "repairing: $text" /tmp/a/log)" 3 "$description: after three repairs"
	pause 0.5
	n=$(grep -c repairing /tmp/a/log) # of what goes with it, too
	cpu=$(awk '{ print $14 + $15 }' "/proc/${pids[a]}/stat")
	pause 3
	is "$(grep -c repairing /tmp/a/log)" "$n" "$description: there is no fight after that"
	ok "$description: and hardly any work" [ $(($(awk '{ print $14 + $15 }' "/proc/${pids[a]}/stat") - cpu)) -lt 30 ]
	kill $other
	wait $other 2>/dev/null || true
	ok "$description: status gives the reason" says a "\"reason\":\"conflict: $text" status
	lw a up --wait >/dev/null || true
	within 2 "$description: ready again when we are told so" ready a
	within 5 "$description: and b is reached" reaches a 100.64.0.2
}
mkfifo /tmp/never
fight "set down" "the interface is down" ip link set wt0 down
fight "deleted" "the interface is gone" ip link del wt0
fight "MTU" "the interface's MTU" ip link set wt0 mtu 1300
fight "address" "an address is gone" ip address del 100.64.0.1/32 dev wt0
fight "route" "a route is gone" ip route del 100.64.0.2/32 dev wt0
fight "table" "the nftables table was changed" nft delete table inet lapwing-wt0

# ---- Interfaces of others, on a host of their own.
host c
lan more c=10.1.0.1/24
cp /tmp/a/mesh.json /tmp/c/mesh.json
cp -p /tmp/a/private.key /tmp/c/private.key
host_config c

# refuses STATUS TEXT DESCRIPTION LINES: how the daemon of c ends by itself, and what it says.
refuses() {
	: >/tmp/c/log
	is "$(exits c)" "$1" "$3"
	ok "and says: $2" logged c "$2"
	is "$(wc -l </tmp/c/log)" "$4" "in one line"
}

ip -n c link add wt0 type dummy
before=$(ip -n c -d link show wt0)
refuses 12 "interface wt0 exists and is no WireGuard interface (dummy)" "an interface of another kind ends a start" 4
is "$(ip -n c -d link show wt0)" "$before" "and is not touched"
host_config c '"interface": {"adopt": true}'
refuses 12 "interface wt0 exists and is no WireGuard interface (dummy)" "also with adopt" 4
is "$(ip -n c -d link show wt0)" "$before" "and is not touched"
host_config c
ip -n c link del wt0

foreign=$(wg genkey | wg pubkey)
ip -n c link add wt0 type wireguard
on c wg set wt0 private-key <(wg genkey) listen-port 4444 peer "$foreign" allowed-ips 10.55.0.0/24 endpoint 10.1.0.9:1
ip -n c link set wt0 up
before=$(on c wg show wt0 dump; ip -n c -d link show wt0)
refuses 12 "interface wt0 exists and has another key" "a WireGuard interface with another key ends a start" 4
is "$(on c wg show wt0 dump; ip -n c -d link show wt0)" "$before" "and is not touched"

host_config c '"interface": {"adopt": true}'
index=$(ip -n c -o link show wt0 | cut -d : -f 1)
up c
is "$(ip -n c -o link show wt0 | cut -d : -f 1)" "$index" "with adopt it is taken over"
is "$(on c wg show wt0 public-key) $(on c wg show wt0 listen-port)" "$(</tmp/a/key.pub) 51820" "has our key and port"
is "$(on c wg show wt0 peers | sort)" "$(sort <(echo "$foreign") /tmp/b/key.pub)" "our peers and the foreign one"
is "$(on c wg show wt0 allowed-ips | grep "^$foreign" | cut -f 2)" 10.55.0.0/24 "which is as it was"
ok "status says so" says c "\"foreign_peers\":[\"$foreign\"]" status
host_config c

# While the daemon runs, somebody puts another interface in the place of ours.
kill -STOP "${pids[c]}"
ip -n c -batch - <<-END
	link del wt0
	link add wt0 type dummy
END
kill -CONT "${pids[c]}"
within 3 "an interface of another kind in place of ours is a conflict" says c '"state":"conflict"' status
ok "that the log tells" logged c "interface wt0 exists and is no WireGuard interface (dummy)"
ok "it is left alone" grep -q dummy <(ip -n c -d link show wt0)
ip -n c link del wt0
within 2 "when it goes, ours comes" grep -q wireguard <(ip -n c -d link show wt0)
within 2 "and all is well" ready c
lw c down >/dev/null

# The port is somebody else's.
lw c up >/dev/null
stop_daemon c
ip -n c link del wt0
ip -n c link add wt9 type wireguard
on c wg set wt9 listen-port 51820
ip -n c link set wt9 up
refuses 14 "UDP port 51820 cannot be had, it is held by WireGuard interface wt9" "a port in use ends a start" 5
ip -n c link del wt9
ip netns exec c python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 51820))
time.sleep(60)' &
program=$!
wait_for 5 on c grep -q :CA6C /proc/net/udp || true
refuses 14 "it is held by a program of user id 0" "also one of a program" 5
kill $program

wait $gradual
is "$(grep -c "repairing: the interface's MTU" /tmp/b/log)" 5 "what happens now and then is repaired each time"
ok "and is no conflict" ready b

finish

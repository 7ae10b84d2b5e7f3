# shellcheck shell=bash source=tests/vm/lib.sh
# Our nftables table for lazy peers and the packets it logs, under a real WireGuard without the daemon.
# kernels: 6.1 6.12
# timeout: 240
# files: build/tests/live_nft build/tests/test_nft build/tests/test_nft_lazy build/tests/test_nflog
# sandbox: no, it has no daemon
# shellcheck disable=SC2016,SC2086,SC2102,SC2317 # expanded and called by eval; words; addresses
. /job/lib.sh

host a b
lan net a=10.0.0.1/24,2001:db8::1/64 b=10.0.0.2/24,2001:db8::2/64
keys a b
key() { cat "/tmp/$1/key.pub"; }
# peer HOST OTHER ENDPOINT: forgets the other and any session with it, and knows it anew.
peer() {
	on "$1" wg set wt0 peer "$(key "$2")" remove
	on "$1" wg set wt0 peer "$(key "$2")" endpoint "$3" allowed-ips 0.0.0.0/0,::/0 "${@:4}"
}
n=0
for h in a b; do
	n=$((n + 1))
	ip -n $h link add wt0 type wireguard
	on $h wg set wt0 listen-port 51820 private-key /tmp/$h/private.key
	ip -n $h address add 100.64.0.$n/24 dev wt0
	ip -n $h address add fd00:6c::$n/64 dev wt0
	# Nothing is sent before the scenario does.
	on $h sh -c 'echo 0 >/proc/sys/net/ipv6/conf/wt0/router_solicitations'
	ip -n $h link set wt0 up
done
# Networks behind b.
for net in 10.5.0.7/24 10.6.7.8/16 198.51.100.1/32; do ip -n b address add $net dev lo; done
for net in 10.5.0.0/24 10.6.0.0/16 198.51.100.0/24; do ip -n a route add $net dev wt0; done
peer a b 10.0.0.2:51820 persistent-keepalive 1
peer b a 10.0.0.1:51820
wait_for 10 reaches a 100.64.0.2

x() { on a live_nft wt0 "$@"; }
change() { x change "$@"; }
counters() { x counters | sort | xargs; }
pings() { on a ping -n -q -i 0.05 -c "${2:-2}" "$1"; }
sent() { on a wg show wt0 transfer | cut -f 3; }
handshakes() { on "$1" wg show wt0 latest-handshakes | cut -f 2; }
fingerprint() { x fingerprint; }
# listening COMMAND...: runs it while the log is heard; what was heard is in /tmp/heard.
listening() {
	ip netns exec a live_nft wt0 listen 20 >/tmp/heard 2>&1 &
	local listener=$! status=0
	wait_for 5 grep -q open /tmp/heard
	"$@" >/dev/null 2>&1 || status=$?
	pause 0.2
	kill $listener
	wait $listener 2>/dev/null || true
	return $status
}
logged_of() { grep -c -e "$1" /tmp/heard || true; }
# The least time between two lines.
gap() { awk -v least=1e9 '/inner/ { if (last && $1 - last < least) least = $1 - last; last = $1 } END { print least }' /tmp/heard; }

# ---- The kernel at hand takes everything, alone and together.
for program in test_nft test_nft_lazy test_nflog; do
	on a $program --tap >/tmp/tap 2>&1 || true
	is "$(grep -c '^ok ' /tmp/tap) $(grep -c -e '^not ok' -e SKIP -e Bail /tmp/tap || true)" \
		"$(sed -n 's/^1\.\.//p' /tmp/tap) 0" "all of $program"
done
for parts in "" counts "counts logs" refuses "counts logs refuses" untracked; do
	ok "a table for ${parts:-nothing}" x apply $parts
	ok "packets pass" reaches a 100.64.0.2
done
ok "a table for everything" x apply counts logs refuses untracked
on a nft list table inet lapwing-wt0 >/tmp/listing
ok "which nft reads" grep -q 'add @told4 { ip saddr } log prefix "inner" group 51820' /tmp/listing

# ---- Our addresses are reached through the tunnel only.
ip -n a address add 100.64.0.9/32 dev lo
ip -n b route add 100.64.0.9 via 10.0.0.1
x apply 10.0.0.99 100.64.0.8
ok "without a rule an inner address is reached from outside" reaches b 100.64.0.9
x apply 100.64.0.9 counts logs refuses untracked
fails "with one it is not" reaches b 100.64.0.9 1
ok "others are" reaches b 10.0.0.1
ok "this host reaches itself" reaches a 100.64.0.9
ip -n b route replace 100.64.0.9 dev wt0
ok "and is reached through the tunnel" reaches b 100.64.0.9
x apply counts logs refuses untracked

# ---- Counting
change count=100.64.0.2 count=fd00:6c::2 count=10.5.0.0-10.5.0.255 count=10.6.0.0-10.6.255.255
peer a b 10.0.0.2:51820 persistent-keepalive 1 # the first packet begins a handshake
pings 100.64.0.2 >/dev/null
is "$(counters)" "10.5.0.0/32 0 10.6.0.0/32 0 100.64.0.2/32 4 fd00:6c::2/128 0" "inner packets count, both ways"
pings fd00:6c::2 3 >/dev/null
pings 10.5.0.7 >/dev/null
pings 10.6.7.8 1 >/dev/null
all="10.5.0.0/32 4 10.6.0.0/32 2 100.64.0.2/32 4 fd00:6c::2/128 6"
is "$(counters)" "$all" "for each address and network"
before=$(sent)
pause 3.5
ok "keepalives are sent meanwhile" test "$(sent)" -gt "$before"
peer a b 10.0.0.2:51820 persistent-keepalive 1
wait_for 5 eval '[ "$(handshakes a)" != 0 ]'
is "$(counters)" "$all" "they do not count, nor do handshakes"
on b ping -n -q -c 1 100.64.0.1 >/dev/null
is "$(counters | cut -d ' ' -f 6)" 6 "what b begins counts as well"
change count=100.64.0.2
is "$(counters | cut -d ' ' -f 6)" 6 "and goes on when it is to be counted again"
change uncount=100.64.0.2 count=10.5.1.0-10.5.1.255
pings 100.64.0.2 >/dev/null
change count=100.64.0.2
is "$(counters)" "10.5.0.0/32 4 10.5.1.0/32 0 10.6.0.0/32 2 100.64.0.2/32 0 fd00:6c::2/128 6" "or from nothing after it was not"
fails "what is not there cannot be taken away" change uncount=10.9.0.0-10.9.255.255 uncount=100.64.0.2
pings 100.64.0.2 >/dev/null
is "$(counters | cut -d ' ' -f 8)" 4 "and nothing was changed"
change uncount=100.64.0.2 uncount=fd00:6c::2 uncount=10.5.0.0-10.5.0.255 uncount=10.6.0.0-10.6.255.255 uncount=10.5.1.0-10.5.1.255
is "$(counters)" "" "nobody is counted"
change count=0.0.0.0-100.64.0.1 count=100.64.0.2 count=100.64.0.3-255.255.255.255 count=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
pings 198.51.100.1 >/dev/null
pings 10.5.0.7 1 >/dev/null
pings fd00:6c::2 1 >/dev/null
is "$(counters)" "0.0.0.0/32 2 100.64.0.2/32 0 100.64.0.3/32 4 ::/128 2" "default routes, around one address"

# ---- Telling
listening on b ping -n -q -i 0.1 -c 20 100.64.0.1
is "$(logged_of inner)" 0 "what is counted is not told"
change uncount=100.64.0.2
listening on b ping -n -q -i 0.1 -c 25 100.64.0.1
ok "what is not is told once a second ($(logged_of 'inner 100.64.0.2:0') times in 2.5 s)" test "$(logged_of 'inner 100.64.0.2:0')" -ge 2 -a "$(logged_of inner)" -le 4
ok "and not more often (after $(gap) ms)" test "$(gap)" -ge 800
pause 1.2
listening eval 'reaches b 100.64.0.1; wait_for 1 grep -q inner /tmp/heard'
ok "at once" grep -q 'inner 100.64.0.2:0' /tmp/heard
change count=100.64.0.2
pause 1.2
listening reaches b 100.64.0.1
is "$(logged_of inner)" 0 "counted again, it is not told"
change uncount=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
listening reaches b fd00:6c::1
is "$(logged_of 'inner \[fd00:6c::2\]:0')" 1 "IPv6 is told"

# ---- Answers
listening eval 'peer a b 10.0.0.2:51820; reaches a 100.64.0.2'
is "$(logged_of answer)" 0 "answers of somebody not watched are not told"
change watch=10.0.0.2:51820 watch=[2001:db8::2]:51820
listening eval 'peer a b 10.0.0.2:51820; reaches a 100.64.0.2; reaches a 100.64.0.2'
is "$(grep -o 'answer.*' /tmp/heard)" "answer 10.0.0.2:51820" "those of somebody watched are, once for each"
listening eval 'peer a b [2001:db8::2]:51820; reaches a 100.64.0.2'
is "$(grep -o 'answer.*' /tmp/heard)" "answer [2001:db8::2]:51820" "over IPv6 too"
peer a b 10.0.0.2:51820

# ---- Hearing and refusing
heard() { x heard "$1"; }
# From b, port 4000: a packet of this type to WireGuard's port of a host.
contact() { on b python3 -c "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.0.0.2', 4000))
s.sendto(bytes([$1]) + bytes(147), ('${2:-10.0.0.1}', 51820))"; }
is "$(heard 10.0.0.2:4000)" 0 "nobody has called"
contact 4
contact 2
is "$(heard 10.0.0.2:4000)" 0 "data and answers are not calls"
ip -n b route add 10.9.9.9 via 10.0.0.1
contact 1 10.9.9.9
is "$(heard 10.0.0.2:4000)" 0 "nor is what goes to others"
# It is gone after a second, and a busy guest may not have looked by then.
within 4 "a call is heard" eval 'contact 1; [ "$(heard 10.0.0.2:4000)" = 1 ]'
within 2 "and forgotten after a second" eval '[ "$(heard 10.0.0.2:4000)" = 0 ]'
within 4 "so is WireGuard's" eval 'peer b a 10.0.0.1:51820; reaches b 100.64.0.1; [ "$(heard 10.0.0.2:51820)" = 1 ]'
pause 1.2
change refuse=10.0.0.2:4000 refuse=10.0.0.2:51820
start=${EPOCHREALTIME/./}
contact 1
is "$(heard 10.0.0.2:4000)" 0 "not that of somebody whose own is refused"
within 4 "which is for a second only" eval 'contact 1; [ "$(heard 10.0.0.2:4000)" = 1 ]'
took=$(((${EPOCHREALTIME/./} - start) / 1000))
ok "(it ended after $took ms)" test $took -ge 900 -a $took -le 12000
peer b a 10.0.0.1:51820
change refuse=10.0.0.2:51820
fails "b's handshake is dropped" reaches b 100.64.0.1 1
peer b a 10.0.0.1:51820
peer a b 10.0.0.2:51820
change refuse=10.0.0.2:51820
ok "ours is not" reaches a 100.64.0.2
peer b a 10.0.0.1:51820
pause 1.2
ok "nor is b's a second later" reaches b 100.64.0.1

# ---- Full sets drop nothing.
python3 - >/tmp/full <<'END'
def fill(name, element):
    elements = ", ".join(f"{element(i)} timeout 60s" for i in range(16384))
    print(f"add element inet lapwing-wt0 {name} {{ {elements} }}")
fill("heard4", lambda i: f"10.66.{i >> 8}.{i & 255} . 1")
fill("told4", lambda i: f"10.66.{i >> 8}.{i & 255}")
END
change uncount=100.64.0.2
pause 1.2
on a nft -f /tmp/full
peer b a 10.0.0.1:51820
ok "a handshake passes when the set of those heard is full" reaches b 100.64.0.1
is "$(heard 10.0.0.2:51820)" 0 "although it is not heard"
x apply counts logs refuses untracked

# ---- The fingerprint
first=$(fingerprint)
is "$(fingerprint)" "$first" "the table is recognized"
change count=10.1.0.0-10.1.255.255 count=100.64.0.2 watch=10.0.0.2:51820
contact 1
reaches b 100.64.0.1 >/dev/null
is "$(fingerprint)" "$first" "whatever elements it has"
on a nft flush chain inet lapwing-wt0 inner_out
on a nft delete chain inet lapwing-wt0 inner_out
second=$(fingerprint)
ok "not without a chain" test "$second" != "$first"
on a nft add set inet lapwing-wt0 more '{ type ipv4_addr; }'
third=$(fingerprint)
ok "nor with a set more" test "$third" != "$second"
on a nft delete set inet lapwing-wt0 more
is "$(fingerprint)" "$second" "it is the same without it"
on a nft 'flush chain inet lapwing-wt0 contact; delete set inet lapwing-wt0 heard4;
	add set inet lapwing-wt0 heard4 { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 1s; size 16384; }'
ok "another set of the same name is seen" test "$(fingerprint)" != "$second"
on a nft delete table inet lapwing-wt0
is "$(fingerprint)" 0 "nothing is left"
fails "and there is nothing to be read" x counters
fails "or changed" change count=10.0.0.1

# ---- Connection tracking
on a nft 'table inet tracking { chain in { type filter hook input priority 0; ct state established; }; }'
tracked() { on a conntrack -L 2>/dev/null | grep -c -e "dst=$1" || true; }
x apply counts
peer a b 127.64.0.5:7777
on a ping -n -q -c 1 -W 0.2 100.64.0.2 >/dev/null || true
is "$(tracked 127.64.0.5)" 1 "packets to a sentinel are tracked"
x apply counts untracked
peer a b 127.64.0.6:7777
on a ping -n -q -c 1 -W 0.2 100.64.0.2 >/dev/null || true
is "$(tracked 127.64.0.6)" 0 "unless that is not wanted"
ok "others are still" test "$(tracked 100.64.0.2)" -ge 1

# ---- Many
x apply counts logs refuses untracked
least=
for _ in 1 2 3; do # the machine is shared
	text=$(x many 10000)
	echo "# $text"
	read_ms=${text#*read in } read_ms=${read_ms%% *}
	least=$((read_ms < ${least:-9999} ? read_ms : least))
done
ok "10,000 counters are read in $least ms" test "$least" -lt 100

finish

# shellcheck shell=bash source=tests/vm/lib.sh
# What may come in over the tunnel: each class of rule, changes under traffic, kill -9, a flushed ruleset, a kernel that
# refuses. A prober asks every 5 ms and whatever arrives is written down with its time.
# kernels: 6.12
# timeout: 400
# guest: own
# files: build/tests/live_acl
# shellcheck disable=SC2016,SC2317 # expanded and called by eval
. /job/lib.sh

host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24

# ---- In a: servers. UDP and TCP, answering; "SECONDS PROTOCOL PORT" of all that arrives.
cat >/tmp/server.py <<'END'
import select, socket, sys, time
udp, tcp, families = {}, {}, (socket.AF_INET, socket.AF_INET6)
ports = [int(p) for p in sys.argv[1:]]
poll = select.epoll()
for port in ports:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            s.listen(1024)
        s.setblocking(False)
        (udp if kind == socket.SOCK_DGRAM else tcp)[s.fileno()] = (s, port)
        poll.register(s.fileno(), select.EPOLLIN)
print("open", flush=True)
while True:
    for fd, _ in poll.poll():
        try:
            if fd in udp:
                data, peer = udp[fd][0].recvfrom(64)
                udp[fd][0].sendto(data, peer)
                print(f"{time.monotonic():.4f} udp {udp[fd][1]}", flush=True)
            else:
                tcp[fd][0].accept()[0].close()
                print(f"{time.monotonic():.4f} tcp {tcp[fd][1]}", flush=True)
        except OSError:
            pass
END
serve() { # LOG PORT...
	ip netns exec a python3 /tmp/server.py "${@:2}" >>"$1" 2>&1 &
	server=$!
	wait_for 10 grep -q open "$1"
}
# ---- In b: asks for one port once ("yes" or "no"), or every 5 ms for two, of which one is open.
cat >/tmp/ask.py <<'END'
import socket, sys
source, to, kind, port = sys.argv[1:5]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(0.4)
try:
    s.bind((source, 0))
    s.connect((to, int(port)))
    if kind == "udp":
        s.send(b"x")
        s.recv(10)
    print("yes")
except OSError as e:
    print("no" if isinstance(e, TimeoutError) else e)
END
cat >/tmp/probe.py <<'END'
import collections, select, socket, sys, time
to, shut, opened = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def new():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    return s
u = {p: new() for p in (shut, opened)}
sent, syns, tried = collections.Counter(), collections.deque(), 0
got, last, gap, next_ = collections.Counter(), None, 0.0, time.monotonic()
end = next_ + float(sys.argv[4])
def take():
    global last, gap
    for p, s in u.items():
        try:
            while s.recv(64):
                got[p] += 1
                if p == opened:
                    now = time.monotonic()
                    gap = max(gap, now - last) if last else 0
                    last = now
        except OSError:
            pass
while time.monotonic() < end:
    # What once got in would be a connection that is there.
    old, u[shut] = u[shut], new()
    syns.append(old)
    for p, s in u.items():
        try:
            s.sendto(b"x", (to, p))
            sent[p] += 1
        except OSError:
            pass
    tried += 1
    if tried % 4 == 0:
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((to, shut))
        syns.append(s)
    while len(syns) > 60:
        syns.popleft().close()
    take()
    next_ += 0.005
    time.sleep(max(0, next_ - time.monotonic()))
time.sleep(0.5)
take()
print(f"shut {got[shut]} of {sent[shut]}, open {got[opened]} of {sent[opened]}, longest gap {gap * 1000:.0f} ms")
END
probe() { # SECONDS: to the log /tmp/probe
	ip netns exec b python3 /tmp/probe.py 100.64.0.1 5000 5001 "$1" >/tmp/probe 2>&1 &
	prober=$!
}
arrived() { grep -c -E " (udp|tcp) $1\$" /tmp/served || true; }
# From the first to the last that should not have arrived: "N packets in MS ms".
window() {
	awk '/ 5000$/ { n++; if (!first) first = $1; last = $1 } END { printf "%d packets in %.0f ms\n", n, (last - first) * 1000 }' /tmp/served
}
forget() { : >/tmp/served; }

# ---- Without the daemon: a tunnel, and every class of rule.
keys a b c
n=0
for h in a b c; do
	n=$((n + 1))
	ip -n $h link add wt0 type wireguard
	on $h wg set wt0 listen-port 51820 private-key /tmp/$h/private.key
	ip -n $h address add 100.64.0.$n/24 dev wt0
	ip -n $h address add fd00:6c::$n/64 dev wt0
	ip -n $h link set wt0 up
done
peer() { on "$1" wg set wt0 peer "$(cat "/tmp/$2/key.pub")" endpoint "$3:51820" allowed-ips "$4"; }
peer a b 10.0.0.2 100.64.0.2/32,fd00:6c::2/128,10.5.0.0/24,fd05::/64
peer a c 10.0.0.3 100.64.0.3/32,fd00:6c::3/128
peer b a 10.0.0.1 100.64.0.0/24,fd00:6c::/64,10.77.0.0/24
peer c a 10.0.0.1 100.64.0.0/24,fd00:6c::/64
ip -n b address add 10.5.0.7/32 dev lo
ip -n b address add fd05::7/128 dev lo
ip -n a route add 10.5.0.0/24 dev wt0
ip -n a route add fd05::/64 dev wt0
wait_for 10 reaches b 100.64.0.1
wait_for 10 reaches c 100.64.0.1

ports="22 80 81 90 91 5000 5001 8000"
# shellcheck disable=SC2086 # words
serve /tmp/served $ports
x() { on a live_acl wt0 "$@" </tmp/rules; }
rules() { printf '%s\n' "$@" >/tmp/rules; }
declare -A to=([v4]=100.64.0.1 [v6]=fd00:6c::1)
ask() { # HOST SOURCE PROTOCOL PORT
	local to=100.64.0.1
	case $2 in *:*) to=fd00:6c::1 ;; esac
	on "$1" python3 /tmp/ask.py "$2" $to "$3" "$4"
}
pinged() { # HOST SOURCE
	local to=100.64.0.1
	case $2 in *:*) to=fd00:6c::1 ;; esac
	on "$1" ping -n -q -c 1 -W 1 -I "$2" $to >/dev/null && echo yes || echo no
}
# asks "HOST SOURCE PROTOCOL PORT"...: the answers in one line
asks() {
	local answers= question
	for question; do
		# shellcheck disable=SC2086 # words
		case $question in
		*' icmp') answers+=" $(pinged ${question% icmp})" ;;
		*) answers+=" $(ask $question)" ;;
		esac
	done
	echo $answers
}

rules 'accept 192.0.2.1'
x apply >/dev/null
is "$(asks 'b 100.64.0.2 tcp 22' 'b 100.64.0.2 udp 22' 'b 100.64.0.2 icmp' 'b fd00:6c::2 tcp 22' 'b fd00:6c::2 icmp')" \
	"no no no no no" "nothing comes in without a rule"
ok "what we begin is answered" reaches a 100.64.0.2
ok "over IPv6, too" reaches a fd00:6c::2
ok "who comes by another interface is not asked" reaches b 10.0.0.1
ok "nft lists it" on a nft list table inet lapwing-wt0-acl
ok "and reads what it lists" eval 'on a nft list table inet lapwing-wt0-acl >/tmp/listing && unshare -n nft -f /tmp/listing'
fails "nobody adds an element" on a nft add element inet lapwing-wt0-acl accept4_hosts '{ 100.64.0.2 }'

# class NAME RULES(with ;) WANTED QUESTION...
class() {
	local IFS=';'
	# shellcheck disable=SC2086 # words
	rules $2
	unset IFS
	x apply >/dev/null
	is "$(asks "${@:4}")" "$3" "$1"
}
class "one address, everything" "accept 100.64.0.2" "yes yes yes no no no" \
	'b 100.64.0.2 tcp 22' 'b 100.64.0.2 udp 80' 'b 100.64.0.2 icmp' 'b fd00:6c::2 tcp 22' 'c 100.64.0.3 tcp 22' 'c 100.64.0.3 icmp'
class "one address, one protocol" "accept 100.64.0.2 udp;accept fd00:6c::2 icmp" "no yes no yes no" \
	'b 100.64.0.2 tcp 22' 'b 100.64.0.2 udp 22' 'b 100.64.0.2 icmp' 'b fd00:6c::2 icmp' 'b fd00:6c::2 udp 22'
class "one address, one port" "accept 100.64.0.2 tcp 80;accept fd00:6c::2 udp 90" "yes no no yes no no" \
	'b 100.64.0.2 tcp 80' 'b 100.64.0.2 udp 80' 'b 100.64.0.2 tcp 81' 'b fd00:6c::2 udp 90' 'b fd00:6c::2 udp 91' 'c 100.64.0.3 tcp 80'
class "one address, some ports" "accept 100.64.0.2 tcp 80-90;accept fd00:6c::2 udp 81-65535" "no yes yes yes no no yes no" \
	'b 100.64.0.2 tcp 22' 'b 100.64.0.2 tcp 80' 'b 100.64.0.2 tcp 81' 'b 100.64.0.2 tcp 90' 'b 100.64.0.2 tcp 91' \
	'b fd00:6c::2 udp 80' 'b fd00:6c::2 udp 81' 'c 100.64.0.3 tcp 81'
class "a network" "accept 10.5.0.0/24;accept fd05::/64" "yes yes no yes no" \
	'b 10.5.0.7 tcp 22' 'b 10.5.0.7 icmp' 'b 100.64.0.2 tcp 22' 'b fd05::7 udp 22' 'b fd00:6c::2 udp 22'
class "a network, one protocol" "accept 10.5.0.0/24 icmp;accept fd05::/64 tcp" "no yes no yes no" \
	'b 10.5.0.7 tcp 22' 'b 10.5.0.7 icmp' 'b 100.64.0.2 icmp' 'b fd05::7 tcp 22' 'b fd05::7 udp 22'
class "a network, some ports" "accept 10.5.0.0/24 tcp 80-90;accept fd05::/64 udp 81-91" "no yes yes no no no yes yes" \
	'b 10.5.0.7 tcp 22' 'b 10.5.0.7 tcp 80' 'b 10.5.0.7 tcp 90' 'b 10.5.0.7 tcp 91' 'b 10.5.0.7 udp 80' \
	'b fd05::7 udp 80' 'b fd05::7 udp 81' 'b fd05::7 udp 91'
class "anybody, one port" "accept 0.0.0.0/0 tcp 22;accept ::/0 icmp" "yes yes yes no yes no" \
	'b 10.5.0.7 tcp 22' 'b 100.64.0.2 tcp 22' 'c 100.64.0.3 tcp 22' 'c 100.64.0.3 udp 22' 'c fd00:6c::3 icmp' 'c fd00:6c::3 tcp 22'
class "what is dropped is, whatever accepts it" "accept 0.0.0.0/0;drop 100.64.0.3;drop 100.64.0.2 tcp 80-81;drop 10.5.0.0/24 udp" \
	"yes no no yes no yes no" \
	'b 100.64.0.2 tcp 22' 'b 100.64.0.2 tcp 80' 'c 100.64.0.3 icmp' 'b 100.64.0.2 udp 80' 'b 10.5.0.7 udp 22' 'b 10.5.0.7 tcp 22' 'c 100.64.0.3 tcp 22'
fails "even replies" reaches a 100.64.0.3 1
# Large sets have another shape.
python3 - >/tmp/rules <<'END'
for i in range(400):
    print(f"accept 10.7.{i >> 8}.{i & 255} tcp 1000-{2000 + i}")
    print(f"accept 10.8.{i >> 1 & 255}.{(i & 1) * 128}/25 tcp 22")
    print(f"accept fd07::{i:x}:0/112 udp 80-90")
    print(f"accept fd08::{i:x} udp 1-{100 + i}")
print("accept 100.64.0.2 tcp 80-90\naccept 10.5.0.0/24 tcp 22\naccept fd05::/64 udp 80-90\naccept fd00:6c::2 udp 81-90")
END
x apply >/dev/null
is "$(asks 'b 100.64.0.2 tcp 22' 'b 100.64.0.2 tcp 80' 'b 100.64.0.2 tcp 90' 'b 100.64.0.2 tcp 91' 'b 10.5.0.7 tcp 22' 'b 10.5.0.7 tcp 80' \
	'b fd05::7 udp 80' 'b fd05::7 udp 90' 'b fd05::7 udp 91' 'b fd00:6c::2 udp 80' 'b fd00:6c::2 udp 90' 'b fd00:6c::2 tcp 90')" \
	"no yes yes no yes no yes yes no no yes no" "all of that among many rules"
ok "nft lists those, too" on a nft list table inet lapwing-wt0-acl

# Through the host: replies only.
ip netns add behind
ip link add a1 netns a type veth peer name eth0 netns behind
ip -n a address add 10.77.0.1/24 dev a1
ip -n a link set a1 up
ip -n behind address add 10.77.0.2/24 dev eth0
ip -n behind link set eth0 up
ip -n behind route add default via 10.77.0.1
ip -n b route add 10.77.0.0/24 dev wt0
on a sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
rules 'accept 0.0.0.0/0'
x apply >/dev/null
fails "nobody gets through the host" reaches b 10.77.0.2 1
ok "who is behind it gets out, and replies in" reaches behind 100.64.0.2
x remove
ok "without a table all is open" reaches b 10.77.0.2
ip netns del behind

# ---- Changes under traffic: the second half of the rules comes and goes, one port is open in all of them.
{
	echo 'accept 100.64.0.2 udp 5001'
	python3 -c 'for i in range(1000): print(f"accept 10.7.{i >> 8}.{i & 255} tcp 1000-{2000 + i}")'
} >/tmp/rules
x apply >/dev/null
pause 0.2
forget
probe 12
pause 1
took=$(x replace 50)
wait $prober
result=$(cat /tmp/probe)
is "$(arrived 5000)" 0 "50 replacements let nothing in ($took; $result)"
is "$(sed 's/.*open \([0-9]*\) of \([0-9]*\),.*/\1 \2/' /tmp/probe | awk '{ print ($1 == $2) }')" 1 "and keep nothing out"

# ---- How long it takes
for many in 10000 65536; do
	for what in 'tcp 22' 'tcp {8000 + i % 100}-{9000 + i % 50}'; do
		python3 -c "for i in range($many): print(f'accept 100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255} $what')" >/tmp/rules
		x apply >/dev/null
		pass "$many of $what: $(x apply)"
	done
done
x remove
kill $server
wait $server 2>/dev/null || true
for h in a b c; do ip -n $h link del wt0; done

# ---- With the daemon: closed from the start, whatever happens to it.
mesh a b
firewall() { host_config a "\"policy\": {\"firewall\": \"$1\"}"; }
state() { lw a status --json | python3 -c "import json, sys; f = json.load(sys.stdin)['firewall']; print(f['state'], f['rules'])"; }
is_state() { [ "$(state)" = "$1 0" ]; }
firewall on
up b
serve /tmp/served 5000 5001
forget
probe 40
up a
within 10 "we reach others" reaches a 100.64.0.2
is "$(state)" "closed 0" "status says that it is closed"
within 5 "for people, too" eval 'lw a status | grep -q "^firewall *closed, 0 rules, [1-9][0-9]* packets refused"'
is "$(arrived 5000)" 0 "nothing came in while it started"
stop_daemon a KILL || true
pause 1
is "$(arrived 5000)" 0 "nor after kill -9"
start_daemon a
wait_for 10 ready a
pause 0.5
is "$(arrived 5000)" 0 "nor during the next start"
stop_daemon a
pause 0.5
start_daemon a
wait_for 10 ready a
is "$(arrived 5000)" 0 "nor around a clean stop"
wait $prober
ok "(the prober was at work: $(cat /tmp/probe))" grep -q 'shut 0 of [1-9][0-9][0-9]' /tmp/probe
# A second, and three times as long in an emulated guest. What got in as a few packets may be answered later than that.
for i in 1 2 3; do
	forget
	probe 5
	pause 1
	on a nft flush ruleset
	wait $prober
	found=$(window)
	ok "flush ruleset, $i: open for a moment ($found)" awk '{ exit !($4 < 3000 || $1 < 20) }' <<<"$found"
	ok "the table is back" on a nft list table inet lapwing-wt0-acl
	is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" no "and shuts"
	pause 11
done
on a nft flush chain inet lapwing-wt0-acl input
within 2 "a rule taken away is put back" eval 'on a nft list chain inet lapwing-wt0-acl input | grep -q drop'

# A firewall manager at war with us.
for i in $(seq 20); do on a nft delete table inet lapwing-wt0-acl 2>/dev/null || true; pause 0.1; done
within 2 "it never yields" on a nft list table inet lapwing-wt0-acl
ok "and says who does it" logged a "conflict: the firewall of the tunnel was changed 4 times in a row"

# ---- Policy
firewall auto
kill -HUP "${pids[a]}"
within 3 "with auto a mesh file is open" is_state open
fails "without a table" on a nft list table inet lapwing-wt0-acl
is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" yes "whoever asks gets in"
firewall on
kill -HUP "${pids[a]}"
within 3 "switched on it is closed" is_state closed
is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" no "again"
firewall off
kill -HUP "${pids[a]}"
within 3 "switched off it is open" is_state open
ok "which is told" logged a 'policy.firewall is "off"'
firewall on
kill -HUP "${pids[a]}"
within 3 "and closed again" is_state closed

# ---- Another name: the old table guards the old name until the interface has the new one.
sed -i 's/wt0/wt7/' /tmp/a/mesh.json
within 5 "a new name has its own table" on a nft list table inet lapwing-wt7-acl
within 5 "the old one is gone" not on a nft list table inet lapwing-wt0-acl
wait_for 10 ready a
is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" no "and it shuts"
sed -i 's/wt7/wt0/' /tmp/a/mesh.json
within 5 "back to the old name" on a nft list table inet lapwing-wt0-acl
wait_for 10 ready a

# ---- Beside a firewall of the host: both must accept.
on a nft 'table inet host { chain in { type filter hook input priority 0; policy drop;
	iif lo accept; ct state established,related accept; udp dport 51820 accept; iifname "wt0" tcp dport 5001 accept; }; }'
on a conntrack -F 2>/dev/null
within 10 "we reach others" reaches a 100.64.0.2
is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5001)" no "what the host's lets in ours keeps out"
firewall off
kill -HUP "${pids[a]}"
wait_for 3 is_state open
is "$(asks 'b 100.64.0.2 tcp 5001' 'b 100.64.0.2 tcp 5000')" "yes no" "and the other way round"
on a nft delete table inet host
firewall on
kill -HUP "${pids[a]}"
wait_for 3 is_state closed

# ---- down and up
lw a down
fails "down, the table is gone" on a nft list table inet lapwing-wt0-acl
fails "with the interface" ip -n a link show wt0
lw a up
wait_for 10 ready a
is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" no "up, it is closed"

# ---- A kernel that refuses
modprobe=$(cat /proc/sys/kernel/modprobe)
is_up() { [[ $(ip -n a link show wt0) =~ [\<,]UP[,\>] ]]; }
stop_daemon b
kill -STOP "${pids[a]}"
on a nft flush ruleset
on b nft flush ruleset
echo /bin/false >/proc/sys/kernel/modprobe
if wait_for 5 rmmod nft_ct; then
	kill -CONT "${pids[a]}"
	within 5 "where the table is refused the interface is set down" not is_up
	ok "and why" logged a "cannot set nftables table lapwing-wt0-acl"
	stop_daemon a || true
	ip -n a link del wt0
	start_daemon a
	pause 2
	fails "nor is it made" ip -n a link show wt0
	fails "it is not ready" ready a
	echo "$modprobe" >/proc/sys/kernel/modprobe
	within 15 "when the kernel has it, all comes up" ready a
	is "$(on b python3 /tmp/ask.py 100.64.0.2 100.64.0.1 tcp 5000)" no "closed"
else
	kill -CONT "${pids[a]}"
	fail "nft_ct stays loaded"
	lsmod | grep nft
fi
kill $server
stop_daemon a
finish

# shellcheck shell=bash source=tests/vm/lib.sh
# The daemon ends, is killed and starts again: the tunnels do not notice. And what down removes.
# timeout: 100
. /job/lib.sh

host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
mesh_extra[b]='"routes": ["0.0.0.0/0", "10.9.0.0/16"]' # rules and a table of its own, too
mesh a b c
host_config a '"policy": {"default_route": true}'
up a b c
key() { cat "/tmp/$1/key.pub"; }
index() { ip -n a -o link show wt0 | cut -d : -f 1; }
handshake() { on a wg show wt0 latest-handshakes | grep "^$(key b)" | cut -f 2; }
ok "a reaches b" reaches a 100.64.0.2
ok "a reaches c" reaches a 100.64.0.3

# ---- 1,000 packets a second while the daemon goes and comes. The receiver's socket holds them all, so that only the
# tunnel can lose any.
cat >/tmp/receive.py <<-'END'
	import signal, socket
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, 33, 32 << 20) # SO_RCVBUFFORCE
	s.bind(("100.64.0.2", 7000))
	signal.sigwait({signal.SIGTERM})
	s.setblocking(False)
	seen = set()
	try:
	    while True:
	        seen.add(s.recv(64))
	except BlockingIOError:
	    print(len(seen))
END
cat >/tmp/send.py <<-'END'
	import signal, socket, time
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	go_on = True
	def stop(*_):
	    global go_on
	    go_on = False
	signal.signal(signal.SIGTERM, stop)
	start, n = time.monotonic(), 0
	while go_on:
	    s.sendto(b"%d" % n, ("100.64.0.2", 7000))
	    n += 1
	    time.sleep(max(0, start + n / 1000 - time.monotonic()))
	print(n, round(n / (time.monotonic() - start)))
END
ip netns exec b python3 -c 'import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); exec(open("/tmp/receive.py").read())' >/tmp/received &
receiver=$!
wait_for 10 on b grep -q :1B58 /proc/net/udp
ip netns exec a python3 /tmp/send.py >/tmp/sent &
sender=$!
ip netns exec a ip monitor link address route rule >/tmp/monitor &
monitor=$!
pause 2
before="$(index) $(handshake)"
status=0
stop_daemon a KILL || status=$?
is $status 137 "the daemon is killed"
is "$(index) $(handshake)" "$before" "its interface stays"
up a
is "$(index) $(handshake)" "$before" "a new one has the same interface and session"
ok "which it calls adopted" says a '"adopted":true' status
ok "it ends when told" stop_daemon a
up a
is "$(index) $(handshake)" "$before" "the next has them, too"
is "$(on a wg show wt0 peers | wc -l)" 2 "and the peers"
ip -n a route add 10.56.0.0/16 dev wt0
pause 0.5
kill $monitor
kill $sender
wait $sender
pause 1
kill $receiver
wait $receiver
is "$(sed 's/ *$//' /tmp/monitor)" "10.56.0.0/16 dev wt0 scope link" "no link, address, route or rule was changed, but by ourselves"
read -r sent rate </tmp/sent
is "$(</tmp/received)" "$sent" "none of $sent packets was lost ($rate a second)"
is "$(handshake)" "${before#* }" "no handshake was needed"
ok "nothing was repaired" says a '"repairs":0' status

# ---- What happened while it was away.
stop_daemon a KILL || true
foreign=$(wg genkey | wg pubkey)
on a wg set wt0 peer "$foreign" allowed-ips 10.55.0.0/24
mesh_file a b
up a
is "$(on a wg show wt0 peers | sort)" "$(sort <(echo "$foreign") /tmp/b/key.pub)" \
	"a peer that left the file is removed, one that somebody added is left"
ok "status lists it" says a "\"foreign_peers\":[\"$foreign\"]" status
is "$(index) $(handshake)" "$before" "the other session goes on"
ok "a route that somebody added is left" grep -q 10.56.0.0 <(ip -n a route)
is "$(ip -n a route show proto 108 | awk '{ print $1 }' | xargs)" "10.9.0.0/16 100.64.0.2" "the removed peer has no route"

stop_daemon a
on a wg set wt0 listen-port 4444 peer "$(key b)" remove
on a nft flush ruleset
ip -n a address del 100.64.0.1/32 dev wt0
up a
ok "what was broken meanwhile is mended at the start" reaches a 100.64.0.2
is "$(on a nft list table inet lapwing-wt0 | grep -c 'type != local drop')" 2 "the table, too"
is "$(index)" "${before% *}" "with the interface as it was"

stop_daemon a
ip -n a -batch - <<<$'link set wt0 down\nlink set wt0 name wtx'
up a
is "$(index)" "${before% *}" "one that was renamed meanwhile is found and has its name again"
fails "and not made anew" ip -n a link show wtx
within 5 "b is reached" reaches a 100.64.0.2

stop_daemon a
ip -n a link del wt0
up a
within 5 "one that was deleted meanwhile is made" reaches a 100.64.0.2

stop_daemon a
sed -i 's/"name": "wt0"/"name": "wt5"/' /tmp/a/mesh.json
up a
fails "a new name in the file: the old one is gone" ip -n a link show wt0
ok "the new one is there" ip -n a link show wt5
within 5 "and works" reaches a 100.64.0.2
is "$(on a nft list tables)" "table inet lapwing-wt5" "with one table"
sed -i 's/"name": "wt5"/"name": "wt0"/' /tmp/a/mesh.json
within 3 "an edit gives the name back" ip -n a link show wt0
within 2 "with its table" eval '[ "$(on a nft list tables)" = "table inet lapwing-wt0" ]'
within 5 "b is reached" reaches a 100.64.0.2

# ---- Down.
traces() {
	ip -n a -o link show type wireguard
	ip -n a rule | grep -v -e 'lookup local' -e 'lookup main *$' -e 'lookup default'
	ip -n a -6 rule | grep -v -e 'lookup local' -e 'lookup main *$'
	ip -n a route show table all | grep -e 'proto 108' -e wt0
	ip -n a -6 route show table all | grep -e 'proto 108' -e wt0
	on a nft list ruleset
}
ok "there is much to remove" [ "$(traces | grep -v '^[	}]' | wc -l)" -gt 8 ]
ok "down is done at once" timeout 5 ip netns exec a lapwing --run /tmp/a/run down
is "$(traces)" "" "down leaves nothing"
ok "status says down" says a '"state":"down"' status
ok "down again is no mistake" lw a down
stop_daemon a
start_daemon a
pause 1
is "$(traces)" "" "nor does the next start make anything"
ok "status still says down" says a '"state":"down"' status
ok "up" lw a up --wait
within 5 "brings it back" reaches a 100.64.0.2
stop_daemon a
up a
ok "for good" reaches a 100.64.0.2
stop_daemon a KILL || true
start_daemon a
ok "down at once after a start" lw a down
is "$(traces)" "" "leaves nothing either"
for h in b c; do fails "$h had nothing to repair" logged $h repairing; done

finish

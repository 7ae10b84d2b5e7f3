# shellcheck shell=bash source=tests/vm/lib.sh
# Peers sleep until somebody wants them: parking, waking from either side without a lost packet, commands, restarts.
# kernels: 6.1 6.12
# timeout: 300
. /job/lib.sh

host a b c
lan net a=10.0.0.1/24,2001:db8::1/64 b=10.0.0.2/24,2001:db8::2/64 c=10.0.0.3/24
mesh a b c
up a b c

key() { cat "/tmp/$1/key.pub"; }
endpoint() { on "$1" wg show wt0 endpoints | grep -F "$(key "$2")" | cut -f 2; } # of the second, at the first
lazy() { lw "$1" peers "$2" --json | grep -o '"lazy":"[a-z]*"' | cut -d '"' -f 4; }
is_lazy() { [ "$(lazy "$1" "$2")" = "$3" ]; }
member() { lw "$1" peers "$2" --json | python3 -c "import json, sys; print(json.load(sys.stdin)['peers'][0]$3)"; }

# Parked.
is "$(on a wg show wt0 endpoints | cut -f 2 | cut -d : -f 1 | sort -u)" 127.0.1.1 "parked peers have loopback endpoints"
is "$(lazy a b) $(lazy b a)" "parked parked" "status says that they are parked"
is "$(member a b "['endpoint']")" None "the sentinel is not shown as their endpoint"
is "$(on a ss -Hnulp 'src 127.0.1.1' | wc -l)" 2 "with a socket each"
is "$(on a wg show wt0 latest-handshakes | cut -f 2 | sort -u)" 0 "nobody has shaken hands"

# Woken by local traffic.
lw a monitor --json >/tmp/a/events 2>/dev/null &
monitor=$!
pause 1
ok "the first packet arrives" reaches a 100.64.0.2 4.5
ok "it is active" is_lazy a b active
within 1 "the other side has noticed" is_lazy b a active
is "$(endpoint a b) $(endpoint b a)" "10.0.0.2:51820 10.0.0.1:51820" "both have real endpoints now"
is "$(lazy a c)" parked "the third sleeps on"
is "$(member a b "['wakes']['count']") $(member a b "['wakes']['cause']")" "1 traffic" "it counts as woken by traffic"
is "$(member b a "['wakes']['cause']")" remote "and by the remote over there"
echo "# endpoint set $(member a b "['wakes']['endpoint_us']") us after the packet, answer after $(member a b "['wakes']['answer_us']") us"
is "$(on a ping -n -q -i 0.02 -c 50 -W 2 100.64.0.2 | grep -o '[0-9]* received')" "50 received" "traffic goes on"
ok "over IPv6, too" reaches a fd00:6c::2 4.5
ok "monitor streams the transitions" eval 'grep -q "\"state\":\"waking\",\"cause\":\"traffic\"" /tmp/a/events && grep -q "\"state\":\"active\"" /tmp/a/events'
kill $monitor

# Parked by command, under the session that lives.
ok "idle parks it" lw a idle b
is "$(lazy a b)" parked "it is parked"
is "$(endpoint a b | cut -d : -f 1)" 127.0.1.1 "at its sentinel"
is "$(on a ping -n -q -i 0.05 -c 20 -W 2 100.64.0.2 | grep -o '[0-9]* received')" "20 received" "data under a live session is sent on"
is "$(lazy a b)" active "and wakes it"
ok "idle again" lw a idle b
is "$(on b ping -n -q -i 0.05 -c 20 -W 2 100.64.0.1 | grep -o '[0-9]* received')" "20 received" "the remote is not cut off"
within 1 "and wakes it" is_lazy a b active

# Waking by command.
ok "wake --wait wakes the third" lw a wake c --wait
is "$(lazy a c)" active "it is active"
is "$(member a c "['wakes']['cause']")" user "by the user"
ok "waking it again changes nothing" eval 'lw a wake c | grep -q already'
fails "an unknown peer cannot be woken" lw a wake nobody
ok "with the status for wrong usage" eval 'lw a wake nobody; [ $? = 2 ]'

# An initiation captured before parking and replayed from elsewhere.
on b timeout 90 tcpdump -U -n -i eth0 -w /tmp/b/init.pcap -c 1 'udp dst port 51820 and src host 10.0.0.1 and udp[8] = 1' >/dev/null 2>&1 &
sniff=$!
pause 1
ok "b parks a" lw b idle a
on a wg set wt0 peer "$(key b)" remove # a loses its session
ok "up repairs a" lw a up
within 70 "a has it again" reaches a 100.64.0.2
wait $sniff || true
ok "b parks a again" lw b idle a
before=$(endpoint b a)
cat >/tmp/replay.py <<'PY'
import socket, struct, sys
data = open('/tmp/b/init.pcap', 'rb').read()
length = struct.unpack('<I', data[24 + 8:24 + 12])[0]
packet = data[40:40 + length][14 + 20 + 8:]
assert len(packet) == 148 and packet[0] == 1, (len(packet), packet[:4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    s.sendto(packet, ('10.0.0.2', 51820))
PY
ok "the initiation is replayed by the third" on c python3 /tmp/replay.py
pause 1
is "$(endpoint b a)" "$before" "its endpoint has not moved"
is "$(lazy b a)" parked "and nobody was woken"

# Somebody on this host plays WireGuard.
lw a idle c
cat >/tmp/poke.py <<'PY'
import socket, sys
host, port = sys.argv[1].rsplit(':', 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for kind in 1, 4:
    s.sendto(bytes([kind]) + bytes(147), (host, int(port)))
PY
ok "an unprivileged process sends to the sentinel" on a setpriv --reuid nobody --clear-groups python3 /tmp/poke.py "$(endpoint a c)"
pause 0.5
is "$(lazy a c)" parked "and wakes nobody"
ok "the drops are counted" eval '[ "$(lw a status --json | python3 -c "import json, sys; print(json.load(sys.stdin)[\"lazy\"][\"sentinels\"][\"dropped\"])")" -ge 2 ]'

# Pins.
ok "pin keeps it up" lw a pin c
is "$(lazy a c)" permanent "it is permanent"
within 5 "at its real endpoint" eval '[ "$(endpoint a c)" = 10.0.0.3:51820 ]'
fails "it does not sleep" lw a idle c
stop_daemon a
is "$(endpoint a b)" 10.0.0.2:51820 "a stop leaves real endpoints behind"
ok "and a mesh that works" reaches a 100.64.0.2 4.5
up a
is "$(lazy a c)" permanent "the pin outlasts a restart"
ok "unpin lets it sleep again" lw a unpin c
is "$(lazy a c)" active "in its time"

# kill -9: who is awake stays awake, who sleeps stays asleep, and nothing is lost.
lw a idle c
parked=$(endpoint a c)
lw a wake b --wait
ip netns exec a ping -n -q -i 0.05 -c 100 -W 2 100.64.0.2 >/tmp/witness &
witness=$!
pause 1
stop_daemon a KILL || true
up a
wait $witness || true
is "$(grep -o '[0-9]* received' /tmp/witness)" "100 received" "kill -9 loses no packet"
is "$(lazy a b)" active "who was active is active"
is "$(lazy a c) $(endpoint a c)" "parked $parked" "who was parked is parked, where it was"
ok "and can be woken" reaches a 100.64.0.3 4.5

# Without a session the kernel keeps what it cannot send, and asks every five seconds.
# ask ADDRESS SECONDS: one packet, and how long its answer took.
ask() { on a ping -n -c 1 -W "$2" "$1" | grep -o 'time=.*' >/tmp/answer; }
stop_daemon a
ip -n a link del wt0
up a
is "$(lazy a b) $(lazy a c)" "parked parked" "on a new interface both sleep"
stop_daemon a KILL || true
ask 100.64.0.3 60 &
witness=$!
pause 1
up a
within 6 "what is sent to who sleeps while no daemon runs is answered when there is one again" test -s /tmp/answer
wait $witness || true
echo "# $(</tmp/answer)"

# Somebody changes the port: sentinels know the packet by its mark, and it goes on from the right port.
lw a idle c
on a wg set wt0 listen-port 4444
ok "with another port set by hand the first packet arrives" ask 100.64.0.2 5
is "$(on a wg show wt0 listen-port)" 51820 "as the port is what it was"
lw a idle b
pause 2 # within a second of a repair stray packets are taken for those from before it
on a wg set wt0 listen-port 4444
ok "also under a session, where the kernel would not send it again" ask 100.64.0.2 5
is "$(on a wg show wt0 listen-port)" 51820 "the port is what it was"
lw a idle b
on a wg set wt0 listen-port 4444 fwmark 7
within 66 "with another mark as well packets arrive once that is found" reaches a 100.64.0.2
is "$(on a wg show wt0 listen-port) $(on a wg show wt0 fwmark)" "51820 0xca6c" "as both are what they were"

# On and off while it runs.
mesh_members='"lazy": {"enabled": false}, "interface": {"name": "wt0", "listen_port": 51820}'
lw a idle c
mesh_file a b c
within 3 "lazy off: everybody is permanent" is_lazy a c permanent
within 3 "at real endpoints" eval '! on a wg show wt0 endpoints | grep -q 127.0'
within 3 "no counters any more" eval '! on a nft list ruleset | grep -q "set hosts4"'
mesh_members='"interface": {"name": "wt0", "listen_port": 51820}'
mesh_file a b c
within 3 "lazy on: they may sleep again" is_lazy a c active
ok "and are parked on demand" lw a idle c
ok "and wake" reaches a 100.64.0.3 4.5
ok "the daemon did all that in one life" running a

finish

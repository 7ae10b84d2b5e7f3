# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# Hosts of a network that know nobody's endpoint find each other through the signal server: the first packet wakes, the
# other side is told, candidates come back, and WireGuard's own handshake is the check. Sleep, restarts, an absent server.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 400
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a b c
lan net hub=10.0.0.9/24 a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24

# sent HOST ADDRESS: a single packet, answered or not; how long the answer took, in ms.
ping_ms() { on "$1" ping -n -c 1 -W 5 "$2" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p'; }

start_hub hub
hubctl hub services signal=10.0.0.9:33073 'stuns=["stun:10.0.0.9:3478"]' >/dev/null
hubctl hub set lazy=true >/dev/null
joins http://10.0.0.9:33073 "$(hubctl hub add-key)" a b c
name=.netbird.selfhosted

# ---- The first packet
ok "nothing is known of b" is_peer a b$name "['candidates']" '[]'
ms=$(ping_ms a 100.64.0.2)
ok "the first packet is answered (${ms:-never} ms)" test -n "$ms"
is "$(endpoint_of a b)" 10.0.0.2:51820 "a's kernel has b's address"
is "$(endpoint_of b a)" 10.0.0.1:51820 "and b's has a's"
within 5 "b knows that it was woken" is_peer b a$name "['lazy']" active
lw a peers b$name >/tmp/words
ok "what was said is shown" grep -Eq "^session +[0-9a-f]{10}; offers: [1-9][0-9]* sent, the last .* ago, .* answers: .* [1-9][0-9]* heard, the last .* ago$" /tmp/words
lw a peers b$name --json | python3 -c 'import json, sys; print("#", json.load(sys.stdin)["peers"][0]["negotiation"])'
lw a peers b$name --json | python3 -c 'import json, sys; print("#", json.load(sys.stdin)["peers"][0]["wakes"])'
is "$(peer a c$name "['lazy']")" parked "c sleeps on"

# ---- Sleep: one goes idle, the other is told
ok "a parks b" lw a idle b$name
within 5 "b parks a" is_peer b a$name "['lazy']" parked
within 5 "nothing is left of it" is_peer b a$name "['negotiation']" None
ms=$(ping_ms b 100.64.0.1)
ok "the other way round, from where it was (${ms:-never} ms)" test -n "$ms"
within 5 "both are up" is_peer a b$name "['lazy']" active

# ---- How long that took, as samples
pair_of() { lw "$1" metrics --samples | sed -n 's/^netbird_peer_connection,.*,connection_pair_id=\([0-9a-f]*\) .*/\1/p' | sort -u; }
ok "a has a sample of it" eval 'lw a metrics --samples | grep -Eq "^netbird_peer_connection,deployment_type=selfhosted,connection_type=ice_p2p,attempt_type=initial,version=[^,]*,os=linux,arch=[^,]*,peer_id=[0-9a-f]{16},connection_pair_id=[0-9a-f]{16} connection_to_wg_handshake_seconds=[^,]*,signaling_to_connection_seconds=[^,]*,total_seconds=[^ ]* [0-9]{19}$"'
ok "and of the second time" eval 'lw a metrics --samples | grep -q "attempt_type=reconnection"'
is "$(pair_of a)" "$(pair_of b)" "both call the pair the same"
ok "logins and maps have samples" eval '[ "$(lw a metrics --samples | grep -cE "^netbird_(login,deployment_type=selfhosted,result=success|sync,)")" -ge 2 ]'
lw a metrics --samples | head -n 3 | sed 's/^/# /'

# ---- Killed and started again: its session is gone, and who sends finds it again
stop_daemon b KILL || true
on b ip link del wt0
start_daemon b
within 20 "b is back" is_member b "['control']['signal']['state']" connected
within 60 "a's packets find it" reaches a 100.64.0.2 2

# ---- What a is told about: by its configuration
# meet_again: both sleep, and a packet of a's makes them negotiate anew.
meet_again() {
	lw a idle b$name >/dev/null
	wait_for 10 is_peer b a$name "['negotiation']" None && reaches a 100.64.0.2 5
}
lan side a=10.9.0.1/24
ip -n a address add 10.0.0.77/24 dev eth0
ok "with one more interface and address, a and b meet again" meet_again
# Under a session that lives they may be up again before anything is negotiated.
within 60 "and b is told of both" eval 'meet_again && [[ $(told b) == *"10.0.0.1 51820 host"* && $(told b) == *"10.9.0.1 51820 host"* ]]'
session=$(on a wg show wt0 latest-handshakes | grep -F "$(on b wg show wt0 public-key)")
echo '{"ice": {"external_ips": ["10.0.0.77/eth0"], "interfaces_exclude": ["eth1"]}}' >/tmp/a/lapwing.json
ok "what may be told changes while it runs" lw a up --wait
is "$(on a wg show wt0 latest-handshakes | grep -F "$(on b wg show wt0 public-key)")" "$session" "the tunnel does not care"
hubctl hub signal-forget >/dev/null
ip netns exec side tcpdump -Z root -n -U -i br0 -w /tmp/side.pcap udp 2>/dev/null {tap}>&- {never}<&- &
pids[watch]=$!
wait_for 10 test -s /tmp/side.pcap
ok "they meet again" meet_again
within 60 "b is told what a router in front has, and nothing of the excluded interface" \
	eval 'meet_again && [ "$(told b | sort -u)" = "10.0.0.77 51820 host" ]'
kill "${pids[watch]}"
wait "${pids[watch]}" || true
is "$(tcpdump -n -r /tmp/side.pcap 2>/dev/null | wc -l)" 0 "where nothing was sent"
echo '{"ice": {"external_ips": ["10.0.0.0/24"]}}' >/tmp/a/lapwing.json
lw a up >/dev/null || true
within 5 "a mistake changes nothing" logged a "ice.external_ips[0]: not EXTERNAL"
echo '{}' >/tmp/a/lapwing.json
lw a up --wait >/dev/null

# ---- Always up: without traffic, and nothing is left of who leaves
hubctl hub set lazy=false >/dev/null
within 60 "b and c find each other by themselves" eval '[ "$(on c wg show wt0 latest-handshakes | grep -F "$(on b wg show wt0 public-key)" | cut -f 2)" -gt 0 ]'
lw c down >/dev/null
is "$(member c "['control']['signal']['state']")" stopped "down ends it"
fails "and leaves no table" on c nft list table inet lapwing-wt0-ice
ok "up begins anew" lw c up --wait=ready
within 60 "and finds all again" eval '[ "$(on c wg show wt0 latest-handshakes | grep -cv "	0$")" = 2 ]'
hubctl hub add-peer "key=$(wg genkey | wg pubkey)" hostname=d >/dev/null
within 20 "one that never answers is asked" is_peer a d$name "['negotiation']['phase']" offered
hubctl hub remove peer=d >/dev/null
within 20 "who leaves the map is not known any more" not lw a peers d$name
within 20 "nor asked" is_member a "['control']['negotiations']['known']" 2
hubctl hub set lazy=true >/dev/null
within 20 "they may sleep again" is_member c "['lazy']['enabled']" True
for h in a b c; do for n in a b c; do [ $h = $n ] || lw $h idle $n$name >/dev/null; done; done

# ---- The signal server is away
within 20 "a and b talk" reaches a 100.64.0.2 3
hubctl hub add-peer "key=$(wg genkey | wg pubkey)" hostname=e >/dev/null
within 20 "a knows of e" lw a peers e$name
e=$(peer a e$name "['addresses'][0].split('/')[0]")
kill_hub hub
within 15 "status says that it is away" eval '! is_member a "['"'control']['signal']['state'"']" connected'
ok "the tunnel does not care" reaches a 100.64.0.2
fails "e cannot be asked" reaches a "$e" 3
fails "why says so" eval 'lw a why e$name >/tmp/why'
ok "that it is the signal server" grep -q "^so *signal fails" /tmp/why
start_hub hub
within 40 "it is back" is_member a "['control']['signal']['state']" connected
within 40 "and on c's side" is_member c "['control']['signal']['state']" connected
within 20 "e is asked" is_peer a e$name "['negotiation']['phase']" offered
ok "why finds nothing about b" lw a why b$name
kill_hub hub
stop_daemon a
start_daemon a
is "$(member a "['control']['stun']")" "['stun:10.0.0.9:3478']" "a start without the servers knows who tells a NAT's address"
is "$(member a "['control']['signal']['url']")" http://10.0.0.9:33073 "and where the signal server is"
finish

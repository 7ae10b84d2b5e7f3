# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# A peer of another make, as NetBird's agents are on the wire: it checks its path every two seconds, for ever. When the daemon was
# stopped or killed and started again, with or without its servers, the checks are answered as before. (A real one has patience
# for six seconds, which is not enough for a restart in a guest that is busy.) And when it begins anew itself, it is shaken hands
# with at once.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/bench/remotes.py
# timeout: 300
# waits: often
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a
lan net hub=10.0.0.9/24 a=10.0.0.1/24
ip netns exec hub python3 /job/remotes.py 1 10.0.0.9 --control /tmp/hub/hub.sock --listen 0.0.0.0:33073 \
	--signal-listen 0.0.0.0:10000 --signal 10.0.0.9:10000 >/tmp/hub/ready 2>>/tmp/hub/log </dev/null {tap}>&- {never}<&- &
wait_for 60 test -s /tmp/hub/ready
hubctl hub set lazy=true >/dev/null
hubctl hub kind lapwing=false silence=120 >/dev/null
echo '{}' >/tmp/a/lapwing.json
# It controls, so it is on it to begin handshakes: the greater key does.
python3 -c 'import base64, random; print(base64.b64encode(random.Random("one of many 1").randbytes(32)).decode())' >/tmp/hub/wg.key
LC_ALL=C
until (umask 077 && wg genkey >/tmp/a/state/private.key) && [[ $(wg pubkey </tmp/a/state/private.key) > $(wg pubkey </tmp/hub/wg.key) ]]; do :; done
chown lapwing:lapwing /tmp/a/state/private.key
(umask 077 && hubctl hub add-key | tr -d '"' >/tmp/a/setup.key)
start_daemon a
within 20 "a joins" lw a enroll --management-url http://10.0.0.9:33073 --setup-key-file /tmp/a/setup.key --hostname a
within 20 "and is registered with the signal server" is_member a "['control']['signal']['state']" connected
within 10 "and knows the other one" has_peers a 1

# WireGuard of the other one, and ICE on its port.
other=$(on a wg show wt0 peers)
address=$(on a wg show wt0 allowed-ips | cut -f 2 | sed 's|/.*||')
is "$(wg pubkey </tmp/hub/wg.key)" "$other" "the other one has the key that the map says"
own=$(on a wg show wt0 public-key)
on hub ip link add wg1 type wireguard
on hub wg set wg1 private-key /tmp/hub/wg.key listen-port 20001 peer "$own" allowed-ips 100.64.0.0/10
on hub ip address add "$address/32" dev wg1
on hub ip link set wg1 up
on hub ip route add 100.64.0.0/10 dev wg1
on hub nft -f - <<-END
	table ip checks {
		chain in {
			type filter hook prerouting priority raw
			udp dport 20001 @th,96,32 0x2112a442 udp dport set 40001
		}
		chain out {
			type filter hook postrouting priority 300
			udp sport 40001 @th,96,32 0x2112a442 udp sport set 20001
		}
	}
END

session() { hubctl hub sessions | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
has_path() { [ "$(session paths)" = 1 ]; }
is_heard() { [[ $(session silent_s) =~ ^[0-3][.] ]]; }
answered() { on a nft list map inet lapwing-wt0-ice ufrags | grep -c ' : 6[0-9]* '; }
not_asked() { [ "$(hubctl hub offers)" = '[]' ]; }

# goes_on DESCRIPTION: its checks are answered, and neither side has begun anew.
goes_on() {
	pause 5 # longer than is_heard looks back
	within 20 "$1: its checks are answered" is_heard
	ok "$1: it has its path" has_path
	is "$(session lost)" 0 "$1: and lost none"
	ok "$1: nobody negotiates" not_asked
	ok "$1: packets pass" reaches a "$address"
}
restart() {
	stop_daemon a "$@" || true
	start_daemon a
}
shown() { lw a peers --json | python3 -c 'import json, sys; n = json.load(sys.stdin)["peers"][0]["negotiation"]; print(n["path"], n["local_type"], n["remote_type"])'; }

ok "the first packet finds it" reaches a "$address" 10
within 10 "it has a path" has_path
within 10 "its checks are answered without an ICE agent" answered
not_asked || true # it was, for this
goes_on "without a restart"
before=$(shown)

stop_daemon a
fails "who is gone leaves no table" on a nft list table inet lapwing-wt0-ice
within 10 "and does not answer" not is_heard
start_daemon a
goes_on "stopped and started"
is "$(shown)" "$before" "the path is shown as before"

restart KILL
goes_on "killed and started"

on hub nft add table ip shut
on hub nft 'add chain ip shut in { type filter hook input priority 0; }'
on hub nft add rule ip shut in tcp dport '{ 10000, 33073 }' drop
restart KILL
goes_on "killed and started without its servers"
on hub nft delete table ip shut
within 60 "the servers are back" is_member a "['control']['signal']['state']" connected

echo '{"log": {"level": "debug"}, "management": {"hostname": "another"}}' >/tmp/a/lapwing.json
ok "another configuration, for which it leaves its servers and comes back" lw a up --wait
goes_on "configured anew"

# ---- Where all are always up they are wanted before anybody has looked whether they are
hubctl hub set lazy=false >/dev/null
within 20 "it is to be up always" is_peer a "$other" "['lazy']" permanent
goes_on "always up"
restart KILL
goes_on "killed and started where all are always up"
hubctl hub set lazy=true >/dev/null
within 20 "it may sleep again" is_peer a "$other" "['lazy']" active

# ---- It gives up its path: the session goes with it, and who controls begins another
on hub wg set wg1 peer "$own" remove
on hub wg set wg1 peer "$own" allowed-ips 100.64.0.0/10
begin=${EPOCHREALTIME/./}
hubctl hub lose >/dev/null
within 20 "it has another path" is_heard
shaken() { [ "$(on hub wg show wg1 latest-handshakes | cut -f 2)" -ge "${begin%??????}" ]; }
within 4 "and a new session" shaken
ok "which packets pass" reaches a "$address" 2
ok "either way" reaches hub "$(ip -n a -4 -o address show wt0 | awk '{ sub("/.*", "", $4); print $4 }')" 2

# ---- What sleeps is not kept
ok "a parks it" lw a idle "$other"
within 5 "its checks are answered no more" not answered
stop_daemon a
start_daemon a
within 20 "a is back" is_member a "['control']['signal']['state']" connected
fails "and does not answer whom it has forgotten" answered
ok "who is sent something is found again" reaches a "$address" 10
finish

# shellcheck shell=bash source=tests/vm/lib.sh
# One sentinel socket for a mesh of many: its address is found again by the next run, hosts where it does not work, and
# everybody woken at once.
# timeout: 180
# shellcheck disable=SC2016,SC2317 # expanded and called by eval
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b
# Three hundred hosts more that never answer.
python3 - <<-'END'
	import base64, json
	for host in "ab":
	    path = f"/tmp/{host}/mesh.json"
	    mesh = json.load(open(path))
	    mesh["hosts"] += [{"name": f"h{i}", "public_key": base64.b64encode(b"key" + i.to_bytes(29, "big")).decode(),
	        "addresses": [f"100.65.{i >> 8}.{i & 255}/32"], "endpoints": ["10.0.0.99:51820"]} for i in range(300)]
	    json.dump(mesh, open(path, "w"))
END
# endpoints HOST: of the three hundred, in order.
endpoints() { on "$1" wg show wt0 endpoints | grep -vFf /tmp/a/key.pub | grep -vFf /tmp/b/key.pub | sort | cut -f 2; }
# member HOST NAME...: of what status says of lazy peers.
member() {
	lw "$1" status --json | python3 -c '
import json, sys
value = json.load(sys.stdin)["lazy"]
for name in sys.argv[1:]:
    value = value[name]
print(value)' "${@:2}"
}
has() { [ "$(member "${@:1:$#-1}")" = "${*: -1}" ]; }
crash() { stop_daemon "$1" KILL || true; }
starts() { start_daemon "$1" && wait_for 10 ready "$1"; }
wakes() { lw a idle b && reaches a 100.64.0.2 3; }

up a b
within 10 "everybody is parked" has a parked 301
is "$(endpoints a | cut -d . -f 1-2 | sort -u)" 127.64 "at an address of the shared form"
is "$(endpoints a | sort -u | wc -l) $(endpoints a | cut -d : -f 2 | sort -u)" "300 $(member a sentinels port)" "each at one of its own, all at one port"
is "$(on a ss -Hnulp | grep -c lapwingd) $(member a sentinels shared) $(member a sentinels own)" "1 301 0" "of one socket"
is "$(member a sentinels problem)" None "there is no problem"
ok "the first packet arrives" reaches a 100.64.0.2 4.5

before=$(endpoints a)
crash a
ok "it is started again" starts a
is "$(endpoints a)" "$before" "everybody is where the last run left it"
ok "and can be woken" wakes

# Somebody has the port meanwhile, on an address that nobody wants.
port=$(member a sentinels port)
crash a
on a python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.53', $port))
time.sleep(60)" &
foreign=$!
wait_for 5 eval "on a ss -Hnul | grep -q 127.0.0.53:$port"
ok "it starts although its port is taken" starts a
fails "takes another one" has a sentinels port "$port"
within 10 "for everybody" eval '[ "$(endpoints a | cut -d : -f 2 | sort -u)" = "$(member a sentinels port)" ]'
kill $foreign
ok "the first packet arrives" wakes

# A firewall that knows no other loopback addresses than the common ones.
crash a
on a nft 'table inet odd { chain in { type filter hook input priority 0; ip daddr 127.64.0.0/10 drop; }; }'
ok "it starts where the shared form does not work" starts a
within 10 "then everybody is at the other address" eval '[ "$(endpoints a | cut -d : -f 1 | sort -u)" = 127.0.1.1 ]'
is "$(member a sentinels own)" 300 "with a socket each; b, who is awake, needs none"
is "$(member a sentinels problem)" "no shared sentinel socket: packets to 127.64.0.0/10 do not arrive" "and status says why"
ok "the first packet arrives" wakes

# WireGuard goes on asking for a minute and a half, so this comes last, and on the other host.
on b python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(300):
    s.sendto(b"x", (f"100.65.{i >> 8}.{i & 255}", 9))'
within 10 "three hundred wake at once" has b waking 300
is "$(member b sentinels dropped)" 0 "and no packet is lost"
ok "the one who answers is up" reaches b 100.64.0.1 4.5

finish

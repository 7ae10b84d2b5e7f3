# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# What a server's rules let in and nothing else does: before, during and after kill -9, a flushed ruleset, other rules; and
# the right map after both sides were killed at random again and again.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 500
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
url=https://10.0.0.9:443
host hub a b c
lan net hub=10.0.0.9/24 a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
hub_certificate hub 10.0.0.9
for h in a b c; do
	cat >"/tmp/$h/lapwing.json" <<-END
		{"management": {"ca_file": "/etc/ssl/hub.crt"},
		 "endpoints": {"a": ["10.0.0.1:51820"], "b": ["10.0.0.2:51820"], "c": ["10.0.0.3:51820"]}}
	END
done
start_hub hub
hubctl hub set 'policies=[{"id": "web", "sources": ["All"], "destinations": ["a"], "protocol": "TCP", "ports": [8080]}]' >/dev/null
key=$(hubctl hub add-key)
for h in a b c; do
	(umask 077 && echo "$key" >"/tmp/$h/setup.key")
	start_daemon $h
	lw $h enroll --management-url $url --setup-key-file /tmp/$h/setup.key --hostname $h >/dev/null
done
has_peers() { [ "$(on "$1" wg show wt0 peers | wc -l)" = "$2" ]; }
within 20 "a has both peers" has_peers a 2

cat >/tmp/serve.py <<'PY'
import socket, sys, threading
def serve(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('100.64.0.1', port))
    s.listen(64)
    while True:
        s.accept()[0].close()
for port in 8080, 8081:
    threading.Thread(target=serve, args=(port,)).start()
PY
# Tries the shut port every 20 ms as long as the file is there; writes down what was let in.
cat >/tmp/probe.py <<'PY'
import errno, os, socket, sys, time
tries, let_in, open_ = [], 0, 0
while os.path.exists('/tmp/probing'):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('100.64.0.1', 8081))
    tries.append((time.monotonic(), s))
    time.sleep(0.02)
    while tries and tries[0][0] < time.monotonic() - 0.5:
        t, s = tries.pop(0)
        let_in += s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and s.connect_ex(('100.64.0.1', 8081)) == errno.EISCONN
        s.close()
print(let_in)
PY
ip netns exec a python3 /tmp/serve.py &
reach() { on b python3 -c "import socket; socket.create_connection(('100.64.0.1', $1), 2)"; }
within 20 "a port with a rule is reachable" reach 8080
fails "one without is not" reach 8081
fails "nor does a ping come in" reaches b 100.64.0.1 1
ok "what a begins is answered" on a python3 -c "
import socket
s = socket.socket(); s.settimeout(3)
try: s.connect(('100.64.0.2', 22))
except ConnectionRefusedError: pass
except OSError: pass"
is "$(lw a status --json | grep -o '"firewall":{"state":"[a-z]*"')" '"firewall":{"state":"closed"' "status says that it is closed"

# ---- kill -9, a flush, other rules
probing() { touch /tmp/probing; ip netns exec b python3 /tmp/probe.py >/tmp/probed & probe=$!; pause 0.5; }
probed() { rm -f /tmp/probing; wait $probe || true; cat /tmp/probed; }
probing
stop_daemon a KILL || true
pause 1
start_daemon a
pause 1
is "$(probed)" 0 "nothing came in while the daemon was dead and started again"
ok "what may still does" reach 8080
on a nft flush ruleset
within 2 "after a flush the rules are back" on a nft list table inet lapwing-wt0-acl
fails "the port is shut" reach 8081
ok "the other is open" reach 8080
probing
for port in 9000 9001 9002; do
	hubctl hub set "policies=[{\"id\": \"web\", \"sources\": [\"All\"], \"destinations\": [\"a\"], \"protocol\": \"TCP\", \"ports\": [8080, $port]}]" >/dev/null
	pause 1.5
done
is "$(probed)" 0 "nothing came in while rules changed"
hubctl hub set 'policies=[{"id": "all", "sources": ["All"], "destinations": ["All"], "protocol": "TCP", "port_ranges": [[8000, 8100]]}]' >/dev/null
within 10 "a range opens the port" reach 8081
ok "8080 too" reach 8080
hubctl hub set 'policies=[]' >/dev/null
within 10 "no policy: nobody is there" has_peers a 0

# ---- Killed at random
hubctl hub set 'policies=[{"id": "web", "sources": ["All"], "destinations": ["a"], "protocol": "TCP", "ports": [8080]}]' >/dev/null
within 20 "the peers come back" has_peers a 2
for ((i = 0; i < ${kills:-20}; i++)); do
	if [ $((RANDOM % 3)) = 0 ]; then
		kill_hub hub
		pause 0.$((RANDOM % 9))
		start_hub hub
	else
		stop_daemon a KILL || true
		start_daemon a
	fi
	pause 0.$((RANDOM % 9))
done
hubctl hub add-peer "key=$(wg genkey | wg pubkey)" hostname=late groups='["All"]' >/dev/null
within 60 "after kills at random a has the map of now" has_peers a 3
within 20 "and its rules" reach 8080
fails "and no others" reach 8081

finish

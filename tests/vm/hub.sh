# shellcheck shell=bash disable=SC2004,SC2154 # what lib.sh has
# A host that runs the hub of tests/hub, for scenarios: what hub.py says at its head is told to it by `hubctl`.
#   # files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# Python takes seconds to start under emulation: one hub for a scenario, and commands only where they are needed.

# hub_certificate HOST ADDRESS: /tmp/HOST/hub.crt and hub.key, signed by themselves, for that address; before start_hub. Daemons
# find the certificate as /etc/ssl/hub.crt, as in their sandbox they see no directory of another host.
hub_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=hub" \
		-addext "subjectAltName=IP:$2" -keyout "/tmp/$1/hub.key" -out "/tmp/$1/hub.crt" 2>/dev/null
	install -m 644 "/tmp/$1/hub.crt" /etc/ssl/
}

# start_hub HOST [ARGUMENT...]: on port 33073, and on 443 with TLS when it has a certificate; its signal server on port 10000
# of its first address, which agents are told. Returns when it listens; again after it has ended, it knows what it knew.
start_hub() {
	local host=$1 tls=() address
	shift
	address=$(ip -n "$host" -4 -o address show scope global | awk 'NR == 1 { sub("/.*", "", $4); print $4 }')
	[ ! -e "/tmp/$host/hub.crt" ] || tls=(--tls 0.0.0.0:443 --cert "/tmp/$host/hub.crt" --key "/tmp/$host/hub.key")
	: >"/tmp/$host/hub.ready"
	ip netns exec "$host" python3 /job/hub/hub.py --control "/tmp/$host/hub.sock" --listen 0.0.0.0:33073 \
		--signal-listen 0.0.0.0:10000 --signal "$address:10000" --state "/tmp/$host/hub.json" "${tls[@]}" "$@" >"/tmp/$host/hub.ready" 2>>"/tmp/$host/log" </dev/null {tap}>&- {never}<&- &
	pids[$host]=$!
	wait_for 60 test -s "/tmp/$host/hub.ready"
}

# start_fault_proxy HOST PORT [ARGUMENT...]: in front of its hub; told by `hubctl HOST.proxy COMMAND...`.
start_fault_proxy() {
	local host=$1 port=$2
	shift 2
	: >"/tmp/$host/proxy.ready"
	ip netns exec "$host" python3 /job/hub/fault_proxy.py --control "/tmp/$host.proxy.sock" --listen "0.0.0.0:$port" \
		--to 127.0.0.1:33073 "$@" >"/tmp/$host/proxy.ready" 2>>"/tmp/$host/log" </dev/null {tap}>&- {never}<&- &
	pids[$host.proxy]=$!
	wait_for 60 test -s "/tmp/$host/proxy.ready"
}

# hubctl HOST COMMAND [NAME=VALUE...]
hubctl() {
	local socket=/tmp/$1/hub.sock
	[[ $1 != *.proxy ]] || socket=/tmp/$1.sock
	python3 /job/hub/hubctl -s "$socket" "${@:2}"
}

# kill_hub HOST [SIGNAL]: KILL unless it is said.
kill_hub() {
	kill "-${2:-KILL}" "${pids[$1]}"
	wait "${pids[$1]}" 2>/dev/null || true
}

# ---- What a host that has joined says: members of its status, of its document about a peer, and where the peer is.

# member HOST EXPRESSION: "['control']['signal']['state']"
member() { lw "$1" status --json | python3 -c "import json, sys; print(json.load(sys.stdin)$2)"; }
# is_member HOST EXPRESSION VALUE
is_member() { [ "$(member "$1" "$2")" = "$3" ]; }
# peer HOST PEER EXPRESSION
peer() { lw "$1" peers "$2" --json | python3 -c "import json, sys; print(json.load(sys.stdin)['peers'][0]$3)"; }
# is_peer HOST PEER EXPRESSION VALUE
is_peer() { [ "$(peer "$1" "$2" "$3")" = "$4" ]; }
# endpoint_of HOST OTHER-HOST: as its kernel has it.
endpoint_of() { on "$1" wg show wt0 endpoints | grep -F "$(on "$2" wg show wt0 public-key)" | cut -f 2; }
# is_at HOST OTHER-HOST ENDPOINT
is_at() { [ "$(endpoint_of "$1" "$2")" = "$3" ]; }

# joins URL SETUP-KEY HOST...: their daemons start, enroll and have themselves registered with the signal server.
joins() {
	local url=$1 key=$2 name
	shift 2
	for name; do
		echo '{}' >"/tmp/$name/lapwing.json"
		(umask 077 && echo "$key" >"/tmp/$name/setup.key")
		start_daemon "$name"
		within 20 "$name joins" lw "$name" enroll --management-url "$url" --setup-key-file "/tmp/$name/setup.key" --hostname "$name"
	done
	for name; do
		within 20 "$name is registered with the signal server" is_member "$name" "['control']['signal']['state']" connected
		within 10 "$name has its peers" has_peers "$name" $(($# - 1))
	done
}
has_peers() { [ "$(on "$1" wg show wt0 peers | wc -l)" = "$2" ]; }

# told HOST: the candidates that it was told, as they passed the signal server and only it can read: lines "ADDRESS PORT TYPE".
told() {
	on "$1" wg showconf wt0 | sed -n 's/^PrivateKey = //p' >"/tmp/$1/told.key"
	hubctl hub signal-log "peer=$(on "$1" wg show wt0 public-key)" | python3 /job/hub/told.py "/tmp/$1/told.key"
}

# stun_server HOST ADDRESS...: on port 3478 of these.
stun_server() {
	local host=$1
	shift
	ip netns exec "$host" turnserver -n --log-file=stdout --no-cli --no-auth --stun-only --no-tcp --no-tls --no-dtls \
		"${@/#/--listening-ip=}" --pidfile="/tmp/$host/pid" >"/tmp/$host/stunlog" 2>&1 {tap}>&- {never}<&- &
}

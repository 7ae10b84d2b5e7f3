# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# Three hosts join a network of a management server, get each other's peers, follow it through changes, absences and
# restarts, and leave.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 500
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

url=https://10.0.0.9:443
echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a b c
lan net hub=10.0.0.9/24 a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
hub_certificate hub 10.0.0.9
for h in a b c; do
	cat >"/tmp/$h/lapwing.json" <<-END
		{"management": {"ca_file": "/etc/ssl/hub.crt"},
		 "endpoints": {"a": ["10.0.0.1:51820"], "b": ["10.0.0.2:51820"], "c": ["10.0.0.3:51820"]}}
	END
done
echo '{}' >/tmp/c/lapwing.json # knows no server and no endpoints yet

code() {
	local status=0
	"$@" >/tmp/said 2>/tmp/err || status=$?
	echo $status
}
n_peers() { on "$1" wg show wt0 peers | wc -l; }
has_peers() { [ "$(n_peers "$1")" = "$2" ]; }
enroll() { lw "$1" enroll --management-url "${2-$url}" --setup-key-file "/tmp/$1/setup.key" --hostname "$1" "${@:3}"; }

# ---- Waiting, and refusals
ok "the hub starts" start_hub hub
key=$(hubctl hub add-key)
for h in a b c; do
	(umask 077 && echo "$key" >"/tmp/$h/setup.key")
	start_daemon $h
done
is "$(member a "['state']")" waiting "a daemon without a network waits"
is "$(member a "['control']")" None "and has no server"
is "$(code lw a enroll --management-url 10.0.0.9 --setup-key-file /tmp/a/setup.key)" 2 "a URL without scheme is wrong usage"
is "$(code lw a enroll --management-url $url --setup-key-file /tmp/a/none.key)" 13 "a file with the setup key that is not there"
is "$(cat /tmp/err)" "lapwing: /tmp/a/none.key: No such file or directory" "which is said in a line"
is "$(code enroll c)" 16 "a server whose certificate nobody vouches for is a matter of TLS"
ok "which is said" grep -qi certificate /tmp/err
(umask 077 && echo 11111111-2222-3333-4444-555555555555 >/tmp/a/wrong.key)
is "$(code lw a enroll --management-url $url --setup-key-file /tmp/a/wrong.key)" 15 "a setup key that the server does not know"
is "$(member a "['state']")" waiting "leaves everything as it was"
fails "and no key behind" test -e /tmp/a/state/private.key
is "$(code enroll a https://10.0.0.9:44 --timeout=2)" 10 "nobody there is waited for, as long as one likes"
cp /tmp/a/lapwing.json /tmp/c/lapwing.json
kill -HUP "${pids[c]}"

# ---- Joining, while the daemon still tries what nobody waits for any more
begin=${EPOCHREALTIME/./}
is "$(code enroll a $url --wait=ready)" 0 "a joins"
echo "# enrolled and ready after $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
is "$(code enroll a)" 0 "again is fine"
ok "and changes nothing" grep -q already /tmp/said
is "$(code enroll a http://10.0.0.9:33073)" 12 "another server is refused"
ok "b joins by a key on its standard input" eval 'lw b enroll --management-url $url --setup-key-stdin --hostname b <<<"$key"'
within 10 "c joins" enroll c
for h in a b c; do within 10 "$h has its two peers" has_peers $h 2; done
is "$(on a ip -4 -o address show wt0 | awk '{ print $4 }')" 100.64.0.1/32 "the server's address is on the interface"
is "$(on a ip -4 route show dev wt0 | awk '{ print $1 }')" 100.64.0.0/16 "and one route to its network"
within 10 "a reaches b" reaches a 100.64.0.2 3
within 10 "c reaches a" reaches c 100.64.0.1 3
ok "status tells the server" says a '"state":"connected"' status
for h in a b c; do within 10 "$h is at the signal server" is_member $h "['control']['signal']['state']" connected; done
ok "which status tells too" eval 'lw a status | grep -Eq "^signal +http://10.0.0.9:10000, connected for "'
fails "the setup key is nowhere in the state" grep -rq "$key" /tmp/a/state
fails "nor in the log" grep -q "$key" /tmp/a/log

# ---- Changes
# What the daemon of a asks the kernel to change while a command runs: netlink messages that are no questions.
writes() {
	strace -qq -e trace=sendto,sendmsg -e verbose=all -p "${pids[a]}" -o /tmp/a/trace &
	local tracer=$!
	pause 1
	"$@" >/dev/null
	pause 4
	kill $tracer
	wait $tracer 2>/dev/null || true
	# Not the kinds that ask: of nftables (tables, chains, rules, sets), of links, addresses, routes and rules.
	grep -E 'nlmsg_flags=[^}]*NLM_F_ACK' /tmp/a/trace | grep -v NLM_F_DUMP | grep -vcE 'sendto\([0-9]+, \[\{nlmsg_len=[0-9]+, nlmsg_type=0x(a0[147a]|12|16|1a|22) ' || true
}
lw a status >/dev/null
is "$(writes hubctl hub push)" 0 "the same map again writes nothing to the kernel"
other=$(wg genkey | wg pubkey)
is "$(writes hubctl hub add-peer "key=$other" hostname=d)" 2 "a peer more with its rule is one message to WireGuard and one transaction"
within 10 "a new peer comes in" has_peers a 3
ok "without an endpoint it says why it sleeps" eval 'lw a peers d.netbird.selfhosted | grep -qi "no endpoint"'
hubctl hub remove peer=d >/dev/null
within 10 "and goes" has_peers a 2
hubctl hub set lazy=true >/dev/null
within 10 "lazy connections on" is_member a "['lazy']['enabled']" True
hubctl hub set lazy=false >/dev/null
within 10 "and off, while it runs" is_member a "['lazy']['enabled']" False
hubctl hub set 'routes=[{"id": "r1", "peer": "b", "network": "10.77.0.0/16"}, {"id": "r2", "peer": "b", "network": "0.0.0.0/0"}]' >/dev/null
within 10 "a network behind b" eval 'on a ip route show dev wt0 | grep -q 10.77.0.0/16'
ok "is among its allowed IPs" eval 'on a wg show wt0 allowed-ips | grep -q 10.77.0.0/16'
fails "a default route is not taken" eval 'on a wg show wt0 allowed-ips | grep -q 0.0.0.0/0'
ok "and listed as such" eval 'lw a status -d --json | grep -q "\"reason\":\"policy.default_route\""'

# A map that makes no sense, and one that does in part.
own=$(on a wg show wt0 public-key)
hubctl hub push-raw "peer=$own" 'json={"NetworkMap": {"Serial": 9999, "peerConfig": {"address": "no\u001b[31mnsense"}}}' >/dev/null
within 10 "a map without our address is told in the log" logged a "a message cannot be used: no overlay address of ours"
ok "and changes nothing" has_peers a 2
hubctl hub set 'patch={"NetworkMap": {"offlinePeers": [{"wgPubKey": "x", "allowedIps": ["100.64.9.9/32"], "fqdn": "x"}]}}' >/dev/null
within 10 "what cannot be taken of a map is told with it" logged a "1 things of the map are left out"
hubctl hub set 'patch={}' >/dev/null

hubctl hub set 'checks=[["/etc/shadow"]]' >/dev/null
within 10 "a file that the server asks about is refused, and listed" eval 'lw a status -d | grep -q "to look for /etc/shadow: policy.file_checks"'
hubctl hub set checks=[] >/dev/null
hubctl hub job peer=a 'json={"ID": "am9iMQ==", "bundle": {}}' >/dev/null
within 10 "so is a job" eval 'lw a status -d | grep -q "^refused  *jobs, 1 so far: policy.jobs"'
echo '{"policy": {"firewall": "off", "routes": []}, "management": {"ca_file": "/etc/ssl/hub.crt"}}' >/tmp/a/lapwing.json
kill -HUP "${pids[a]}"
flags() { hubctl hub requests method=Login peer=a last=1 | python3 -c "import json, sys; f = json.load(sys.stdin)[0]['message']['meta']['flags']; print(f.get('disableFirewall', False), f.get('disableClientRoutes', False))"; }
said() { [ "$(flags)" = "$1" ]; }
within 20 "the server hears what the policy switches off" said "True True"
cp /tmp/b/lapwing.json /tmp/a/lapwing.json
kill -HUP "${pids[a]}"
within 20 "and on again" said "False False"
within 10 "with the network behind b" eval 'on a ip route show dev wt0 | grep -q 10.77.0.0/16'
# The account moves to another network.
hubctl hub set network=100.70.0.0/16 >/dev/null
within 10 "another address comes from the server" eval '[[ $(on a ip -4 -o address show wt0) == *100.70.* ]]'
is "$(on a ip -4 -o address show wt0 | wc -l)" 1 "in place of the old one"
within 10 "and serves" eval 'reaches a "$(on b ip -4 -o address show wt0 | sed "s,.* \(100[^/]*\)/.*,\1,")" 3'
hubctl hub set network=100.64.0.0/16 >/dev/null
within 10 "and back" eval 'reaches a 100.64.0.2 3'

# ---- The server goes, the tunnels stay
hubctl hub signal-end "peer=$(on a wg show wt0 public-key)" code=ABORTED text=enough >/dev/null
within 10 "a signal server that ends it" logged a 'signal http://10.0.0.9:10000: enough, trying again'
within 10 "gets another stream" is_member a "['control']['signal']['state']" connected
kill_hub hub
within 30 "status says that the server is away" eval '! is_member a "[\"control\"][\"management\"][\"state\"]" connected'
within 10 "and the signal server" eval 'lw a status | grep -Eq "^signal +http://10.0.0.9:10000, (waiting|connecting) for .*: "'
ok "the tunnels carry on" reaches a 100.64.0.2
is "$(member a "['state']")" ready "and the host is ready"
# A restart, and a reboot: nothing of the interface is left.
stop_daemon a KILL || true
on a ip link delete wt0
on a nft flush ruleset
start_daemon a
within 20 "without the server the last map serves" has_peers a 2
is "$(member a "['control']['map']['from']")" disk "it is from the disk"
is "$(member a "['control']['signal']['url']")" http://10.0.0.9:10000 "and where the signal server is, is known"
within 10 "and tunnels come up" reaches a 100.64.0.2 3
start_hub hub
within 60 "the server is back, and with it a" eval 'is_member a "[\"control\"][\"management\"][\"state\"]" connected && is_member a "[\"control\"][\"map\"][\"from\"]" server'
within 30 "and b" is_member b "['control']['management']['state']" connected
within 60 "and the signal server" is_member a "['control']['signal']['state']" connected

# ---- down, up, other agents, leaving
lw a down
is "$(member a "['control']['signal']['state']")" stopped "down leaves the signal server"
fails "down removes the interface" on a ip link show wt0
within 30 "up --wait=ready comes back with it" lw a up --wait=ready
within 10 "and its peers" has_peers a 2
(umask 077 && lw a export-netbird >/tmp/a/profile.json)
ok "the exported profile is JSON of the original's form" python3 - <<-'END'
	import json
	p = json.load(open('/tmp/a/profile.json'))
	assert p['ManagementURL']['Host'] == '10.0.0.9:443' and p['WgIface'] == 'wt0' and len(p['PrivateKey']) == 44, p
END
is "$(code lw a import-netbird /tmp/a/profile.json)" 0 "importing what we are"
ok "changes nothing" grep -q '"changed": *false' <(lw a import-netbird /tmp/a/profile.json --json)
is "$(code lw a deregister)" 0 "a leaves"
fails "with its interface" on a ip link show wt0
fails "and its tables" eval 'on a nft list ruleset | grep -q lapwing'
within 10 "b has one peer less" has_peers b 1
is "$(member a "['state']") $(member a "['routes']['installed']")" "waiting 0" "a waits for a network, without routes"
is "$(code lw a import-netbird /tmp/a/profile.json --force)" 0 "the profile makes it that peer again"
within 20 "which the server does not know any more" is_member a "['control']['management']['state']" login_needed
is "$(code enroll a $url --wait=ready)" 0 "a setup key lets it in again"
within 10 "with its peers" has_peers a 2
is "$(code lw a deregister --purge)" 0 "deregister --purge"
fails "leaves no key" test -e /tmp/a/state/private.key
# A copy of the whole disk.
stop_daemon c
cp -a /tmp/c/state /tmp/c/clone
echo 0123456789abcdef0123456789abcdef >/tmp/c/machine-id
mount --bind /tmp/c/machine-id /etc/machine-id
start_daemon c
ok "on another machine the key is refused" logged c "another machine"
fails "and nothing is said in its name" is_member c "['control'] and 1" 1
umount /etc/machine-id

finish

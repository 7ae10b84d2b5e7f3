# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# Samples of a network go to a server of metrics when the configuration says so, and not when only others do.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 240
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a b
lan net hub=10.0.0.9/24 a=10.0.0.1/24 b=10.0.0.2/24

mkdir /tmp/ingest
: >/tmp/ingest/log
on hub python3 /job/hub/ingest.py /tmp/ingest 8080 >/tmp/ingest/port 2>>/tmp/hub/log </dev/null {tap}>&- {never}<&- &
requests() { grep -c "\"method\": \"$1\"" /tmp/ingest/log 2>/dev/null || true; }
has_requests() { [ "$(requests "$1")" -ge "$2" ]; }
# configure HOST MEMBERS: of "metrics".
configure() {
	echo "{\"metrics\": {$2}}" >"/tmp/$1/lapwing.json"
	kill -HUP "${pids[$1]}"
}
urls='"server_url": "http://10.0.0.9:8080/write", "config_url": "http://10.0.0.9:8080/config", "interval_seconds": 1'

start_hub hub
hubctl hub services 'patch={"metrics": {"enabled": true}}' >/dev/null
hubctl hub set lazy=true >/dev/null
joins http://10.0.0.9:33073 "$(hubctl hub add-key)" a b
wait_for 60 test -s /tmp/ingest/port
on a nft -f - <<-END
	table inet seen {
		counter marked { }
		counter others { }
		chain out {
			type filter hook output priority 10
			tcp dport 8080 meta mark 51820 counter name marked return
			tcp dport 8080 counter name others
		}
	}
END

# ---- Nobody has said so here
is "$(member a "['control']['metrics']")" None "a server that wants samples gets none"
ok "which is listed" eval 'lw a status -d | grep -q "^refused  *to tell how long connections take: metrics.push"'
configure a "$urls"
ok "a meets b" reaches a 100.64.0.2
pause 3
is "$(requests GET) $(requests POST)" "0 0" "nor when it is only said where they would go"
ok "they stay here" eval 'lw a metrics --samples | grep -q "^netbird_peer_connection,"'

# ---- As the server says
configure a "$urls, \"push\": \"server\""
within 20 "what the server wants is told, now that it may be" has_requests POST 1
within 5 "the server took them" is_member a "['control']['metrics']['pushes_failed']" 0
fails "and they are gone here" eval 'lw a metrics --samples | grep -q "^netbird_peer_connection,"'
is "$(grep -c '"verdict": "good"' /tmp/ingest/log)" "$(requests POST)" "every line is as the server wants it"
for name in peer_connection login sync sync_phase; do
	ok "there is a $name" grep -q "netbird_$name,deployment_type=selfhosted," /tmp/ingest/log
done
is "$(requests GET)" 1 "its configuration was asked for once"
fails "nobody's key is in it" grep -qF -e "$(on a wg show wt0 public-key)" -e "$(on b wg show wt0 public-key)" /tmp/ingest/log
fails "nor an address or a name" grep -qE '"body": "[^"]*(100\.64|10\.0\.0|netbird\.selfhosted)' /tmp/ingest/log
ok "status tells it" eval 'lw a status | grep -Eq "^metrics +http://10.0.0.9:8080/write, waiting: [1-9][0-9]* samples pushed, 0 of [1-9][0-9]* pushes and 0 of 1 questions failed$"'
ok "the mark is on every packet" eval 'on a nft list counter inet seen marked | grep -q "packets [1-9]" && on a nft list counter inet seen others | grep -q "packets 0 "'
hubctl hub push-raw "peer=$(on a wg show wt0 public-key)" 'json={"netbirdConfig": {"metrics": {"enabled": false}}}' >/dev/null
within 10 "the server wants no more, and gets no more" is_member a "['control']['metrics']" None

# ---- As this host says; the server of metrics has a bad day
echo '{"config": "huge", "push": 503}' >/tmp/ingest/mode
configure a "$urls, \"push\": \"on\""
within 20 "a configuration without end is none" is_member a "['control']['metrics']['error']" "the answer is larger than 4096 bytes"
is "$(member a "['control']['metrics']['state']")" unconfigured "without it nothing is sent"
configure a "$urls, \"push\": \"on\", \"force\": true"
lw a idle b.netbird.selfhosted >/dev/null
ok "the tunnels do not mind" reaches a 100.64.0.2
within 20 "an error of the server is told" is_member a "['control']['metrics']['error']" "HTTP status 503"
ok "the samples are kept" eval 'lw a metrics --samples | grep -q "^netbird_peer_connection,"'
rm /tmp/ingest/mode
within 20 "and go when it is well" is_member a "['control']['metrics']['error']" None
lw a down >/dev/null
is "$(member a "['control']['metrics']")" None "down, there is nothing to tell"
finish

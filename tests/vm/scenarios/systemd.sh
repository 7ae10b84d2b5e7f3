# shellcheck shell=bash source=tests/vm/lib.sh
# systemd as the first process, and the unit that we ship under it.
# init: systemd
# timeout: 400
# files: scripts/lapwing.service scripts/sysusers.conf
# sandbox: no, starts the unit itself
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

is "$(</proc/1/comm)" systemd "systemd is the first process"
ok "the system is up and no unit failed" systemctl is-system-running --wait

# ---- Installed like a package would: user, programs, unit.
userdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/passwd
groupdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/group
install -Dm 644 /job/sysusers.conf /usr/lib/sysusers.d/lapwing.conf
ok "systemd-sysusers makes the user" systemd-sysusers
is "$(getent passwd lapwing | cut -d : -f 1,6)" lapwing:/var/lib/lapwing "with its directory"
install -m 755 /job/lapwingd /job/lapwing /usr/sbin/
install -m 644 /job/lapwing.service /etc/systemd/system/lapwing.service
systemctl daemon-reload
ok "the unit is valid" systemd-analyze verify --man=no /etc/systemd/system/lapwing.service
is "$(systemd-analyze verify --man=no /etc/systemd/system/lapwing.service 2>&1)" "" "and nothing is to be said about it"
score=$(systemd-analyze security --offline=yes /etc/systemd/system/lapwing.service --no-pager | sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p')
ok "its exposure is at most 1.6 (it is $score)" awk "BEGIN { exit !(\"$score\" != \"\" && $score <= 1.6) }"

# ---- A peer in a namespace, behind a veth; the daemon's host is the guest itself.
ip netns add peer
ip link add host0 type veth peer name eth0 netns peer
ip address add 10.0.0.1/24 dev host0
ip link set host0 up
ip -n peer address add 10.0.0.2/24 dev eth0
ip -n peer link set eth0 up
ip -n peer link set lo up
(umask 077 && wg genkey >/tmp/peer.key)
install -d -m 755 /etc/lapwing
ok "the first key is made by the command line tool" lapwing genkey
is "$(stat -c %U:%a /var/lib/lapwing/private.key)" lapwing:600 "for the daemon's user"
own=$(lapwing pubkey) peer=$(wg pubkey </tmp/peer.key)
cat >/etc/lapwing/mesh.json <<-END
	{"mesh": "test", "hosts": [
	  {"name": "one", "public_key": "$own", "addresses": ["100.64.0.1/32"], "endpoints": ["10.0.0.1:51820"]},
	  {"name": "two", "public_key": "$peer", "addresses": ["100.64.0.2/32"], "endpoints": ["10.0.0.2:51820"]}
	]}
END
echo '{"mesh_file": "/etc/lapwing/mesh.json"}' >/etc/lapwing/lapwing.json
ip -n peer link add wg0 type wireguard
ip netns exec peer wg set wg0 listen-port 51820 private-key /tmp/peer.key peer "$own" endpoint 10.0.0.1:51820 allowed-ips 100.64.0.1/32
ip -n peer address add 100.64.0.2/24 dev wg0
ip -n peer link set wg0 up

# ---- Start
show() { systemctl show -P "$1" lapwing; }
pid_status() { sed -nE "s/^$1:\t//p" "/proc/$(show MainPID)/status"; }
journal() { journalctl -u lapwing --no-pager -o cat "$@"; }
uid=$(id -u lapwing)
ok "it starts, which is to say that it is ready" systemctl start lapwing
is "$(show Type),$(show ActiveState),$(show SubState)" notify,active,running "as a service that says when it is"
ok "and then the interface stands" test "$(cat /sys/class/net/wt0/operstate)" != down
ok "it says how it is" grep -qE '[0-9]+ peers' <(show StatusText)
is "$(pid_status Uid | tr '\t' ' ')" "$uid $uid $uid $uid" "it is the user lapwing"
is "$(for set in CapInh CapPrm CapEff CapBnd; do pid_status $set; done | sort -u | xargs)" "0000000000003000" "with NET_ADMIN and NET_RAW"
is "$(pid_status NoNewPrivs),$(pid_status Seccomp)" 1,2 "no new privileges and a filter of system calls"
ok "a ping through the tunnel" ping -c 1 -W 10 100.64.0.2
ok "and back" ip netns exec peer ping -c 1 -W 10 100.64.0.1
pid=$(show MainPID)
mount_of() { nsenter -t "$pid" -m findmnt -no OPTIONS -T "$1"; }
ok "/proc/sys cannot be written" grep -q '^ro,' <(mount_of /proc/sys)
ok "nor can /etc" grep -q '^ro,' <(mount_of /etc/lapwing)
is "$(stat -c %U:%G:%a /run/lapwing /run/lapwing/control.sock /var/lib/lapwing | xargs)" \
	"lapwing:lapwing:750 lapwing:lapwing:660 lapwing:lapwing:700" "the directories are its own"
useradd -r -G lapwing reader 2>/dev/null || { echo 'reader:x:990:990::/:/bin/sh' >>/etc/passwd && sed -i '/^lapwing:/s/$/reader/' /etc/group; }
ok "a member of the group reads the status" setpriv --reuid reader --regid nogroup --init-groups lapwing status
journal >/tmp/journal
ok "the journal has its lines" grep -q 'mesh test: 1 peers' /tmp/journal
is "$(journal -p warning -q)" "" "without complaint"
is "$(journal -p info -o json --output-fields=PRIORITY,MESSAGE | python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
print({line["PRIORITY"] for line in lines if "mesh test" in line["MESSAGE"]})')" "{'6'}" "with their priority"
fails "and without a prefix in the text" grep -qE '^<[0-9]>|^[0-9]{4}-' /tmp/journal

# ---- Reload
sed -i 's,100.64.0.2/32,100.64.0.3/32,' /etc/lapwing/mesh.json
echo '{"mesh_file": "/etc/lapwing/mesh.json", "log": {"level": "debug"}}' >/etc/lapwing/lapwing.json
allowed() { [ "$(wg show wt0 allowed-ips | cut -f 2)" = "$1" ]; }
ok "reload" systemctl reload lapwing
ok "reads both files again" wait_for 10 allowed 100.64.0.3/32
ok "and the log level" wait_for 10 eval '[ "$(lapwing log-level)" = debug ]'
is "$(show MainPID)" "$pid" "in the same process"
echo nonsense >/etc/lapwing/lapwing.json
systemctl reload lapwing
ok "a bad configuration is refused" wait_for 10 grep -q 'lapwing.json: line 1' <(sleep 1; journal -p err)
is "$(show ActiveState),$(show MainPID)" "active,$pid" "and the daemon runs on"
sed -i 's,100.64.0.3/32,100.64.0.2/32,' /etc/lapwing/mesh.json
echo '{"mesh_file": "/etc/lapwing/mesh.json"}' >/etc/lapwing/lapwing.json
systemctl reload lapwing
ok "good ones are taken" wait_for 10 allowed 100.64.0.2/32

# ---- Restart: the tunnels stay.
ping -c 1 -W 10 100.64.0.2 >/dev/null
kept() { echo "$(</sys/class/net/wt0/ifindex) $(wg show wt0 latest-handshakes)"; }
before=$(kept)
ping -c 60 -i 0.1 -W 10 100.64.0.2 >/tmp/ping 2>&1 &
ping=$!
pause 1
ok "it restarts" systemctl restart lapwing
ok "as another process" test "$(show MainPID)" != "$pid"
wait $ping || true # it ends by itself, so that the last answers are waited for
is "$(kept)" "$before" "interface and session are those of before"
is "$(grep -o '[0-9]* packets transmitted, [0-9]* received' /tmp/ping)" "60 packets transmitted, 60 received" "and no packet was lost"
is "$(show NRestarts)" 0 "systemd had nothing to repair"
systemctl kill -s KILL lapwing
ok "killed, it comes back by itself" wait_for 20 eval '[ "$(show NRestarts)" = 1 ] && [ "$(show SubState)" = running ]'
is "$(kept)" "$before" "and finds interface and session"
pid=$(show MainPID)

# ---- Watchdog: fed each minute, for two; a daemon that does not answer is replaced.
is "$(show WatchdogUSec)" 2min "the watchdog waits two minutes"
fed() { show WatchdogTimestampMonotonic; }
first=$(fed)
pause 135
is "$(show MainPID),$(show ActiveState)" "$pid,active" "after more than that without work the daemon lives"
ok "because it fed the watchdog" test "$(fed)" -gt "$first"
mkdir -p /run/systemd/system/lapwing.service.d
printf '[Service]\nWatchdogSec=5\nWatchdogSignal=KILL\n' >/run/systemd/system/lapwing.service.d/short.conf
systemctl daemon-reload
systemctl restart lapwing
pid=$(show MainPID)
kill -STOP "$pid"
other() { [ "$(show SubState)" = running ] && [ "$(show MainPID)" != "$pid" ]; }
ok "one that is stopped is replaced" wait_for 20 other
ok "because of the watchdog" grep -qi watchdog <(journalctl -u lapwing --no-pager)
is "$(</sys/class/net/wt0/ifindex)" "${before%% *}" "with the interface of before"
rm -r /run/systemd/system/lapwing.service.d
systemctl daemon-reload
systemctl restart lapwing

# Who does not serve the socket is not fed: it has been moved away here.
mv /run/lapwing/control.sock /run/lapwing/elsewhere.sock
pid=$(show MainPID)
first=$(fed)
pause 65
is "$(fed)" "$first" "one whose socket does not serve is not fed"
ok "and says why" grep -q 'control socket' <(journal -p warning)
ok "and is replaced in time" wait_for 75 other

# ---- What trying again does not help
echo nonsense >/etc/lapwing/lapwing.json
systemctl restart lapwing 2>/dev/null && status=0 || status=$?
is "$((status != 0)),$(show Result),$(show ExecMainStatus)" "1,exit-code,13" "a bad configuration fails the start with status 13"
restarts=$(show NRestarts)
pause 3
is "$(show ActiveState),$(show NRestarts)" "failed,$restarts" "and is not tried again"
is "$(</sys/class/net/wt0/ifindex)" "${before%% *}" "the tunnel stays"
echo '{"mesh_file": "/etc/lapwing/mesh.json"}' >/etc/lapwing/lapwing.json
systemctl start lapwing
ok "with a good one it starts" lapwing status --check=live
ok "the session outlived it all" ping -c 1 -W 10 100.64.0.2
ok "it stops" systemctl stop lapwing
is "$(show Result)" success "in good order"
ok "and leaves the tunnel" ping -c 1 -W 10 100.64.0.2

finish

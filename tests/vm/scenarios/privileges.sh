# shellcheck shell=bash source=tests/vm/lib.sh
# What the daemon may do and who it is, started as root, without capabilities, with one of them, without module.
# guest: own
# timeout: 120
# sandbox: no, is about a daemon that somebody else starts, as root and with less than it wants
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b

# as_root HOST [ARGUMENT...]: like start_daemon, but as root and with nothing taken away.
as_root() {
	ip netns exec "$1" lapwingd --config "/tmp/$1/lapwing.json" --state "/tmp/$1/state" --run "/tmp/$1/run" "${@:2}" \
		</dev/null >>"/tmp/$1/log" 2>&1 {tap}>&- {never}<&- &
	pids[$1]=$!
	wait_for 10 started "$1" && running "$1"
}
# status_of HOST FIELD...: from /proc.
status_of() {
	local field
	for field in "${@:2}"; do
		sed -nE "s/^$field:[[:space:]]*//p" "/proc/${pids[$1]}/status" | tr -s '\t ' ' ' | sed 's/ $//'
	done | paste -sd ,
}
uid=$(id -u lapwing) gid=$(id -g lapwing)
two=0000000000003000 none=0000000000000000
has_peer() { [ -n "$(on "$1" wg show wt0 peers)" ]; }

# ---- Root
chown -R root:root /tmp/a/state /tmp/a/run
ok "root starts it" as_root a
ok "and it works" wait_for 10 has_peer a
is "$(status_of a Uid Gid Groups)" "$uid $uid $uid $uid,$gid $gid $gid $gid,$gid" "it is the user lapwing for good"
is "$(status_of a CapInh CapPrm CapEff CapBnd CapAmb)" "$none,$two,$two,$two,$none" "with two capabilities"
is "$(status_of a NoNewPrivs)" 1 "and may not get new ones"
is "$(stat -c %u "/proc/${pids[a]}/mem")" 0 "nobody but root looks into it"
is "$(grep -c . "/proc/${pids[a]}/task"/*/comm | cut -d : -f 2 | sort -u)" 1 "its threads are there"
is "$(sed -n 's/^CapEff:\t//p' "/proc/${pids[a]}"/task/*/status | sort -u)" $two "and all of them have the same rights"
is "$(sed -n 's/^Max core file size *//p' "/proc/${pids[a]}/limits" | tr -s ' ')" "0 0 bytes " "no core file holds its keys"
is "$(stat -c %U:%a /tmp/a/state /tmp/a/state/state.json | xargs)" "lapwing:700 lapwing:600" "its state is its own"
is "$(stat -c %U:%G:%a /tmp/a/run/control.sock)" lapwing:lapwing:660 "and so is its socket"
fails "and it cannot read what is root's" setpriv --reuid lapwing cat /proc/1/environ
ok "root ends it" stop_daemon a

# A key and state that root made before there was a service are handed over; a link is not followed.
(umask 077 && wg genkey >/tmp/a/state/private.key)
ln -s /etc/shadow /tmp/a/state/link
ln /etc/hostname /tmp/a/state/hard 2>/dev/null || cp /etc/hostname /tmp/a/state/hard
chown root:root /tmp/a/state /tmp/a/state/private.key
shadow=$(stat -c %U:%a /etc/shadow)
ok "root starts it again" as_root a
is "$(stat -c %U /tmp/a/state/private.key)" lapwing "what root made is handed over"
is "$(stat -c %U:%a /etc/shadow)" "$shadow" "but no file behind a link"
stop_daemon a

# ---- A log file can be opened again by who writes it.
install -d -o lapwing /tmp/a/logs
host_config a '"log": {"target": "file", "file": "/tmp/a/logs/log"}'
ok "it starts with a log file" as_root a
is "$(stat -c %U /tmp/a/logs/log)" lapwing "which belongs to it"
kill -HUP "${pids[a]}"
ok "and goes on in it" wait_for 10 grep -q 'read again' /tmp/a/logs/log
fails "without complaint" grep -h 'cannot log' /tmp/a/log /tmp/a/logs/log
stop_daemon a
host_config a

# ---- Directories that are missing are made.
rm -rf /tmp/a/state /tmp/a/run
ok "it makes its directories" as_root a
is "$(stat -c %U:%a /tmp/a/state /tmp/a/run | xargs)" "lapwing:700 lapwing:755" "and owns them"
stop_daemon a
: >/tmp/a/file
status=0
on a lapwingd --config /tmp/a/lapwing.json --state /tmp/a/state --run /tmp/a/file/run </dev/null >/tmp/a/said 2>&1 || status=$?
is "$status: $(</tmp/a/said)" "1: $(sed -n 's/\(.*error: \).*/\1/p' /tmp/a/said)cannot make directory /tmp/a/file/run: Not a directory" "one that cannot be made is named"

# ---- Nobody in particular
status=0
chmod 755 /tmp/a
install -d -o daemon /tmp/a/state2 /tmp/a/run2
install -o daemon -m 600 /tmp/a/private.key /tmp/a/daemon.key
sed 's/private\.key/daemon.key/' /tmp/a/lapwing.json >/tmp/a/daemon.json
on a setpriv --reuid daemon --clear-groups --inh-caps=-all --bounding-set=-all timeout -s KILL 20 \
	lapwingd --config /tmp/a/daemon.json --state /tmp/a/state2 --run /tmp/a/run2 </dev/null >/tmp/a/said 2>&1 || status=$?
is $status 5 "without capabilities it ends with status 5"
is "$(grep -c ' error: ' /tmp/a/said)" 1 "and one line of error"
ok "that names what is missing" grep ' error: CAP_NET_ADMIN is missing' /tmp/a/said
ok "also with no mesh to run it serves without them" eval '
	echo "{}" >/tmp/a/empty.json
	ip netns exec a setpriv --reuid daemon --clear-groups --inh-caps=-all --bounding-set=-all \
		lapwingd --config /tmp/a/empty.json --state /tmp/a/state2 --run /tmp/a/run2 </dev/null >/tmp/a/said 2>&1 & pid=$!
	wait_for 10 on a lapwing --run /tmp/a/run2 status && kill $pid && wait $pid'

# ---- Half of what it wants
ip netns exec a setpriv --reuid lapwing --regid lapwing --clear-groups --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin \
	--bounding-set=-all,+net_admin lapwingd --config /tmp/a/lapwing.json --state /tmp/a/state --run /tmp/a/run </dev/null >/tmp/a/log 2>&1 &
pids[a]=$!
ok "with NET_ADMIN only it starts" wait_for 10 listening a
ok "and works" wait_for 10 has_peer a
ok "and says what is missing" grep -q ' warn: CAP_NET_RAW is missing' /tmp/a/log
is "$(lw a status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["missing"])')" "['CAP_NET_RAW']" "status says it, too"
is "$(status_of a CapEff)" 0000000000001000 "it has that capability"
stop_daemon a

# ---- No such user
cp /etc/passwd /etc/passwd.before
sed -i /^lapwing:/d /etc/passwd
rm -rf /tmp/a/state /tmp/a/run
chown root /tmp/a/private.key
: >/tmp/a/log
ok "without user lapwing it starts" as_root a
is "$(status_of a Uid CapPrm CapEff CapBnd)" "0 0 0 0,$two,$two,$two" "as root with two capabilities"
ok "and says so" grep -q ' warn: there is no user lapwing' /tmp/a/log
ok "and works" wait_for 10 has_peer a
ok "it serves" lw a status
stop_daemon a
cp /etc/passwd.before /etc/passwd

# ---- No module
ip -n a link del wt0
on a nft delete table inet lapwing-wt0 2>/dev/null || true
modprobe -r wireguard
echo 'install wireguard /bin/false' >/etc/modprobe.d/no.conf
fails "there is no WireGuard" ip -n a link add wg9 type wireguard
chown -R lapwing:lapwing /tmp/a/state /tmp/a/run /tmp/a/private.key
status=0
on a "${confined[@]}" timeout -s KILL 20 lapwingd --config /tmp/a/lapwing.json --state /tmp/a/state --run /tmp/a/run \
	</dev/null >/tmp/a/said 2>&1 || status=$?
is $status 9 "without the module it ends with status 9"
is "$(grep -cE ' (warn|error): ' /tmp/a/said)" 1 "and one complaint"
ok "which names module and package" grep -E ' (warn|error): .*module wireguard .*package' /tmp/a/said
rm /etc/modprobe.d/no.conf
modprobe wireguard
ok "with it, all is well" start_daemon a
ok "and it works" wait_for 10 has_peer a
stop_daemon a

finish

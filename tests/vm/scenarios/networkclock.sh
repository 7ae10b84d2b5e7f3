# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# The clock decides whether the last map serves and whether a certificate is good: a map that is too old, a clock in 1970 and
# one years ahead, each at a start of the daemon; and a server that stands still, and one behind a line that swallows all.
# guest: own
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 500
# shellcheck disable=SC2016,SC2053,SC2317 # expanded by eval; patterns; called by ok
. /job/lib.sh
. /job/hub.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
host hub a b
lan net hub=10.0.0.9/24 a=10.0.0.1/24 b=10.0.0.2/24
hub_certificate hub 10.0.0.9
conf() {
	cat >"/tmp/$1/lapwing.json" <<-END
		{"management": {"ca_file": "/etc/ssl/hub.crt"${2-}},
		 "endpoints": {"a": ["10.0.0.1:51820"], "b": ["10.0.0.2:51820"]}}
	END
}
server() { member a "['control']['management']['$1']"; }
is_server() { [[ $(server "$1") == $2 ]]; }
is_map() { [ "$(member a "['control']['map']['from']")" = "$1" ]; }
has_peers() { [ "$(on "$1" wg show wt0 peers | wc -l)" = "$2" ]; }
# clock [SECONDS]: so much off; with nothing right again.
started=${EPOCHREALTIME%.*} up=$(cut -d . -f 1 /proc/uptime)
clock() { date -s "@$((started + $(cut -d . -f 1 /proc/uptime) - up + ${1:-0}))" >/dev/null; }
# reboot [SECONDS]: nothing in the kernel, everything on the disk, and the clock so much off.
reboot() {
	stop_daemon a || true
	on a ip link delete wt0 2>/dev/null || true
	on a nft flush ruleset
	clock "${1-0}"
	start_daemon a
}

ok "the hub starts" start_hub hub
key=$(hubctl hub add-key)
for h in a b; do
	conf $h
	(umask 077 && echo "$key" >"/tmp/$h/setup.key")
	start_daemon $h
	lw $h enroll --management-url https://10.0.0.9:443 --setup-key-file /tmp/$h/setup.key --hostname $h >/dev/null
done
within 20 "a has its peer" has_peers a 1
within 10 "and reaches it" reaches a 100.64.0.2 3
kill -HUP "${pids[a]}"
pause 2
is "$(member a "['control']['map']['from']")" server "a reload does not make the map one of the disk"

# ---- A server that is there and does not answer
kill -STOP "${pids[hub]}"
within 32 "a server that stands still is noticed" not is_server state connected
is "$(server failure) $(server error)" "unreachable the server does not answer any more" "and status says so"
ok "the tunnel carries on" reaches a 100.64.0.2
is "$(member a "['state']")" ready "and the host is ready"
pause 15
ok "status says since when, not since the last try" [ "$(server state_seconds)" -ge 14 ]
kill -CONT "${pids[hub]}"
within 45 "it goes on, and so do we" is_server state connected

# ---- Years
# the reason that is given, and how it goes on
wrong_clock() {
	stop_daemon a || true
	clock "$1"
	start_daemon a
	within 20 "$2: the certificate is why" is_server error "*$3*"
	is "$(server failure)" tls "a matter of TLS"
	ok "which people see" eval 'lw a status | grep -q "management .*certificate"'
	ok "the tunnel carries on" reaches a 100.64.0.2
}
wrong_clock -1700000000 "the clock is decades behind" "not yet valid"
ok "its map serves" is_map disk
pause 45
tries=$(server attempts)
pause 60
is "$(($(server attempts) - tries <= 4))" 1 "at most four tries a minute ($(($(server attempts) - tries)))"
clock
within 40 "the clock is right, and the server is there" is_server state connected
within 20 "with a tunnel" reaches a 100.64.0.2 3
wrong_clock 315360000 "the clock is ten years ahead" expired
ok "and the map is too old by it" eval 'lw a status | grep -q "too old to be used"'
ok "which nobody takes for a reason to remove what is there" has_peers a 1
clock
within 40 "the clock is right, and the server is there" is_server state connected
ok "with its map" is_map server
within 20 "and a tunnel" reaches a 100.64.0.2 3

# ---- The map on the disk without the server
kill_hub hub
reboot $((23 * 3600))
within 20 "a map of 23 hours serves" has_peers a 1
ok "from the disk" is_map disk
is "$(($(member a "['control']['map']['age_seconds']") / 3600))" 23 "as old as it is"
reboot $((25 * 3600))
within 20 "one of 25 hours is too old, and status says so" eval 'lw a status | grep -q "the last map is 25 hours old, too old to be used"'
fails "there is no peer" has_peers a 1
is "$(member a "['control']['map']")" None "and no map in force"
ok "the log has it" logged a "the map on disk is 25 hours old"
is "$(logged a "25 hours old" | wc -l)" 1 "once"
conf a ', "map_max_age_hours": 48'
kill -HUP "${pids[a]}"
within 10 "with 48 hours allowed it serves" has_peers a 1
conf a ', "map_max_age_hours": 0'
reboot
pause 3
fails "with none allowed it never does" has_peers a 1
conf a
reboot $((25 * 3600))
pause 2
fails "too old again" has_peers a 1
clock
within 75 "until the clock turns out to have been wrong" has_peers a 1
start_hub hub
within 45 "the server is back" is_map server

finish

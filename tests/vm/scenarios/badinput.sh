# shellcheck shell=bash source=tests/vm/lib.sh
# Malformed configurations, mesh files and keys: at a start in the sandbox, and under a running daemon.
# timeout: 200
# files: tests/cli/badfiles.sh
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
keys a b
key_a=$(</tmp/a/key.pub) key_b=$(</tmp/b/key.pub)

cp -p /tmp/a/private.key /tmp/a.key
dir=/tmp/a
# shellcheck source=tests/cli/badfiles.sh
. /job/badfiles.sh

# Nothing reaches the network, so that it needs no namespace of its own.
# shellcheck disable=SC2054 # commas of setpriv
confined=(setpriv --reuid lapwing --regid lapwing --clear-groups --no-new-privs --inh-caps=-all,+net_admin,+net_raw
	--ambient-caps=-all,+net_admin,+net_raw --bounding-set=-all,+net_admin,+net_raw)
for i in "${!names[@]}"; do
	[ "${whos[i]}" != ask ] || continue
	good
	(cd /tmp/a && eval "${makes[i]}")
	status=0
	timeout -s KILL 30 "${confined[@]}" lapwingd --config /tmp/a/lapwing.json --state /tmp/a/state --run /tmp/a/run \
		</dev/null >/tmp/said 2>&1 || status=$?
	ok "${names[i]}: no start" said "${patterns[i]}" /tmp/said $status
done
good
ok "no interface was made by all this" test -z "$(ip link show type wireguard)"
ok "and the good files are good" lapwingd --check-config --config /tmp/a/lapwing.json
ok "also for the command line tool" lapwing check-config /tmp/a/lapwing.json

# ---- Under a running daemon nothing is lost.
good
ok "the daemon starts" start_daemon a
up() { [ "$(on a wg show wt0 peers)" = "$key_b" ] && [ "$(ip -n a -br link show wt0 | grep -c UP)" = 1 ]; }
ok "and has its peer" wait_for 10 up
wg_before=$(on a wg show wt0 dump | cut -f 1-4,8)
index=$(on a cat /sys/class/net/wt0/ifindex)

# mesh_error: what status says about the files.
mesh_error() { lw a status | sed -n 's/.*not taken: //p'; }
reports() {
	local error
	error=$(mesh_error)
	echo "$error"
	[[ $error =~ $1 ]] && grep -E "error: " /tmp/a/log | tail -n 1 | grep -qF "$error"
}
for i in "${!names[@]}"; do
	[ "${whos[i]}" != ask ] || continue
	good
	: >/tmp/a/log
	kill -HUP "${pids[a]}"
	wait_for 10 grep -q 'read again' /tmp/a/log
	pause 0.5 # it may also have seen the file change
	(cd /tmp/a && eval "${makes[i]}")
	# The content of the mesh file is watched; the rest is read on demand.
	[[ ${makes[i]} == *mesh.json* && ${makes[i]} != chmod* ]] || kill -HUP "${pids[a]}"
	ok "${names[i]}: status and log of a running daemon have it" wait_for 10 reports "${patterns[i]}"
	is "$(on a wg show wt0 dump | cut -f 1-4,8)" "$wg_before" "${names[i]}: WireGuard is as it was"
done
is "$(on a cat /sys/class/net/wt0/ifindex)" "$index" "it is the same interface all the time"
good
kill -HUP "${pids[a]}"
forgiven() { [ -z "$(mesh_error)" ]; }
ok "good files end the complaint" wait_for 10 forgiven
ok "and its daemon lives" running a

# An edit while a reload is reading is not missed: the file is larger here, so that the reading takes its time. Down, it
# need not be programmed.
ok "down" lw a down
python3 - "$key_a" <<-'END'
	import base64, sys
	hosts = [f'{{"name": "a", "public_key": "{sys.argv[1]}", "addresses": ["100.64.0.1/32"]}}']
	key = lambda i: base64.b64encode(b"key" + i.to_bytes(29, "big")).decode()
	hosts += [f'{{"name": "h{i}", "public_key": "{key(i)}", "addresses": ["10.64.{i >> 8}.{i & 255}/32"]}}' for i in range(60000)]
	head = '{"mesh": "test", "hosts": [\n'
	open("/tmp/many", "w").write(head + ",\n".join(hosts) + "\n]}\n")
END
few=$(<"/tmp/a/mesh.json")
both() { cp /tmp/many /tmp/a/new && mv /tmp/a/new /tmp/a/mesh.json; }
hosts_are() { lw a status | grep -q "mesh  *test, $1 hosts"; }
for delay in 0.05 0.1 0.2 0.3; do
	both
	wait_for 30 hosts_are 60001
	kill -HUP "${pids[a]}"
	pause $delay
	echo "$few" >/tmp/a/new
	mv /tmp/a/new /tmp/a/mesh.json
	ok "an edit $delay s after the signal to reload is heard" wait_for 20 hosts_are 2
done
ok "and ends well" stop_daemon a

# ---- Nothing configured: it serves and waits.
net_reset
host a
echo '{}' >/tmp/a/lapwing.json
ok "an empty configuration is valid" lapwingd --check-config --config /tmp/a/lapwing.json
ok "the daemon starts with it" start_daemon a
is "$(lw a status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])')" waiting "and waits"
kill -HUP "${pids[a]}"
ok "and survives being told to read it again" wait_for 10 grep -q 'read again' /tmp/a/log
ok "and still serves" lw a status
ok "and has down and up" eval 'lw a down && lw a up'
keys a
mesh_file a
host_config a
kill -HUP "${pids[a]}"
made() { on a wg show wt0; }
ok "a mesh that comes later is taken" wait_for 10 made
ok "it ends well" stop_daemon a

finish

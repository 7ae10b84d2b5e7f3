# shellcheck shell=bash source=tests/vm/lib.sh
# Malformed configurations, mesh files and keys: at a start, in both checks, and under a running daemon.
# timeout: 300
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
keys a b
key_a=$(</tmp/a/key.pub) key_b=$(</tmp/b/key.pub)

# good: the files of host a as they should be, one host per line.
good() {
	rm -rf /tmp/a/{lapwing.json,mesh.json,real.*}
	chmod 755 /tmp/a
	cat >/tmp/a/lapwing.json <<-'END'
		{
		  "mesh_file": "/tmp/a/mesh.json",
		  "private_key_file": "/tmp/a/private.key",
		  "log": {"level": "info"}
		}
	END
	cat >/tmp/a/mesh.json <<-END
		{
		  "mesh": "test",
		  "interface": {"name": "wt0", "listen_port": 51820},
		  "hosts": [
		    {"name": "a", "public_key": "$key_a", "addresses": ["100.64.0.1/32"], "endpoints": ["10.0.0.1:51820"]},
		    {"name": "b", "public_key": "$key_b", "addresses": ["100.64.0.2/32"], "endpoints": ["10.0.0.2:51820"]}
		  ]
		}
	END
	rm -f /tmp/a/private.key
	cp -p /tmp/private.key.good /tmp/a/private.key
}
cp -p /tmp/a/private.key /tmp/private.key.good

# first_errors FILE: the lines that say more than what is normal, without time or the program's name.
first_errors() { sed -nE 's/^(lapwingd: |[0-9: -]+ )(error|warn): //p; s/^lapwing: //p' "$1" | grep -v '^hint: ' || true; }

# said PATTERN FILE STATUS: exactly one complaint, and it is this one; status 13.
said() {
	local lines
	mapfile -t lines < <(first_errors "$2")
	printf '%s\n' "status $3" "${lines[@]}"
	[ "$3" = 13 ] && [ ${#lines[@]} = 1 ] && [[ ${lines[0]} =~ $1 ]]
}

# The table: what is wrong; who can see it; what is said about it, as a pattern; how it is made in /tmp/a.
# all: a start, both checks, a running daemon. start: not the checks. ask: not the running daemon.
names=() whos=() patterns=() makes=()
bad() { names+=("$1") whos+=("$2") patterns+=("$3") makes+=("$4"); }

mesh="^/tmp/a/mesh.json: "
config="^/tmp/a/lapwing.json: "
key="^/tmp/a/private.key: "
bad "a repeated host name" all "${mesh}line 6: .*name: another host is called a" "sed -i '6s/\"b\"/\"a\"/' mesh.json"
bad "a repeated key" ask "${mesh}line 6: .*public_key: another host has this key" "sed -i '6s,$key_b,$key_a,' mesh.json"
bad "a repeated address" all "${mesh}line 6: .*addresses.0.: .*taken" "sed -i '6s/100.64.0.2/100.64.0.1/' mesh.json"
bad "a short key" ask "${mesh}line 6: .*public_key: .*44 characters" "sed -i '6s,$key_b,${key_b:4},' mesh.json"
bad "an unknown key of a host" ask "${mesh}line 6: hosts.1.: key \"adresses\" is unknown" "sed -i '6s/addresses/adresses/' mesh.json"
bad "a repeated member" ask "${mesh}line 6: .*\"name\" is repeated" "sed -i '6s/{/{\"name\": \"c\", /' mesh.json"
bad "a name that is a number" ask "${mesh}line 6: hosts.1..name: a string" "sed -i '6s/\"b\"/6/' mesh.json"
bad "a network as a host address" ask "${mesh}line 6: .*addresses.0.: .*single" "sed -i '6s,2/32,0/24,' mesh.json"
bad "an endpoint without port" ask "${mesh}line 6: .*endpoints.0.: .*address:port" "sed -i '6s/10.0.0.2:51820/10.0.0.2/' mesh.json"
bad "a port too large" ask "${mesh}line 3: interface.listen_port: must be 1 to 65535" "sed -i '3s/51820/70000/' mesh.json"
bad "a comma too few" ask "${mesh}line 6: .*comma" "sed -i '5s/,\$//' mesh.json"
bad "half a mesh file" all "${mesh}line [56]: .*end" "truncate -s 330 mesh.json"
bad "text behind the mesh" ask "${mesh}line 9: text behind" "echo x >>mesh.json"
bad "an empty mesh file" all "${mesh}line 1: " ": >mesh.json"
bad "a mesh file of zeros" ask "${mesh}line 1: " "head -c 4096 /dev/zero >mesh.json"
bad "control characters in a name" ask "${mesh}line 6: .*control|${mesh}line 6: .*characters" "sed -i '6s/\"b\"/\"b\\x1b[31m\"/' mesh.json"
bad "our own key not in the mesh" all "${mesh}.*no host has this host's public key [A-Za-z0-9+/]{43}=\$" "sed -i '5d' mesh.json"
bad "a mesh file that others may write" all "${mesh}unsafe owner or mode" "chmod 666 mesh.json"
bad "a mesh file that a group may write" ask "${mesh}unsafe owner or mode" "chmod 664 mesh.json"
bad "a mesh file of another user" ask "${mesh}unsafe owner or mode" "chown daemon mesh.json"
bad "a directory that others may write" ask "^/tmp/a/(mesh|lapwing).json: unsafe owner or mode" "chmod 777 /tmp/a"
bad "a mesh file that is a link" all "${mesh}it is a symbolic link" "mv mesh.json real.json && ln -s real.json mesh.json"
bad "a mesh file that is a FIFO" ask "${mesh}it is not a regular file" "rm mesh.json && mkfifo mesh.json"
bad "no mesh file" all "${mesh}No such file" "rm mesh.json"
bad "a mesh file over its limit" all "${mesh}.*larger than 64 MiB" "truncate -s $((64 * 1024 * 1024 + 1)) mesh.json"

bad "an unknown key of the configuration" all "${config}line 2: key \"meshfile\" is unknown" "sed -i '2s/mesh_file/meshfile/' lapwing.json"
bad "a path that is a number" ask "${config}line 2: mesh_file: a string" "sed -i '2s/:.*/: 1,/' lapwing.json"
bad "an unknown log level" ask "${config}line 4: log.level: one of" "sed -i '4s/info/loud/' lapwing.json"
bad "a wrong type deeper in" ask "${config}line 4: policy.max_peers: a number" "sed -i '4s/.*/\"policy\": {\"max_peers\": \"7\"}/' lapwing.json"
bad "more hosts than policy.max_peers" all "${mesh}line 6: .*more than 1 hosts .policy.max_peers" "sed -i '4s/.*/\"policy\": {\"max_peers\": 1}/' lapwing.json"
bad "an empty configuration" all "${config}line 1: " ": >lapwing.json"
bad "a configuration that others may write" ask "${config}unsafe owner or mode" "chmod 646 lapwing.json"
bad "a configuration that is a link" ask "${config}it is a symbolic link" "mv lapwing.json real.json && ln -s real.json lapwing.json"
bad "a configuration that is a FIFO" ask "${config}it is not a regular file" "rm lapwing.json && mkfifo lapwing.json"
bad "no configuration" ask "${config}No such file" "rm lapwing.json"
bad "a configuration over its limit" ask "${config}.*larger than 256 KiB" "head -c $((256 * 1024)) /dev/zero | tr '\\0' ' ' >>lapwing.json"

bad "a private key that everybody may read" all "${key}unsafe owner or mode" "chmod 604 private.key"
bad "a private key that a group may write" ask "${key}unsafe owner or mode" "chmod 620 private.key"
bad "a private key that is a link" ask "${key}it is a symbolic link" "mv private.key real.key && ln -s real.key private.key"
bad "a private key that is none" all "${key}there is no key in it" "echo secret >private.key"
bad "no private key" start "${key}there is no private key" "rm private.key"

# The three at the same time. Nothing reaches the network, so that they need no namespace of their own.
# shellcheck disable=SC2054 # commas of setpriv
confined_start=(setpriv --reuid lapwing --regid lapwing --clear-groups --no-new-privs --inh-caps=-all,+net_admin,+net_raw
	--ambient-caps=-all,+net_admin,+net_raw --bounding-set=-all,+net_admin,+net_raw)
ask() {
	local what=$1 status=0
	shift
	timeout -s KILL 30 "$@" </dev/null >"/tmp/said.$what" 2>&1 || status=$?
	echo $status >"/tmp/said.$what.status"
}
ask_all() {
	ask start "${confined_start[@]}" lapwingd --config /tmp/a/lapwing.json --state /tmp/a/state --run /tmp/a/run &
	ask daemon lapwingd --check-config --config /tmp/a/lapwing.json &
	ask cli lapwing check-config /tmp/a/lapwing.json &
	wait
}

for i in "${!names[@]}"; do
	good
	(cd /tmp/a && eval "${makes[i]}")
	ask_all
	ok "${names[i]}: no start" said "${patterns[i]}" /tmp/said.start "$(</tmp/said.start.status)"
	[ "${whos[i]}" != start ] || continue
	ok "${names[i]}: lapwingd --check-config agrees" said "${patterns[i]}" /tmp/said.daemon "$(</tmp/said.daemon.status)"
	ok "${names[i]}: lapwing check-config agrees" said "${patterns[i]}" /tmp/said.cli "$(</tmp/said.cli.status)"
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

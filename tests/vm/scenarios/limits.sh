# shellcheck shell=bash source=tests/vm/lib.sh
# The largest mesh that is taken, and one host more.
# memory: 2048
# timeout: 240
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

host a
lan net a=10.0.0.1/24
keys a
host_config a
# hosts N: a mesh of so many hosts, us included.
hosts() {
	python3 - "$(</tmp/a/key.pub)" "$1" <<-'END'
		import base64, sys
		key = lambda i: base64.b64encode(b"key" + i.to_bytes(29, "big")).decode()
		with open("/tmp/a/new", "w") as out:
		    out.write('{"mesh": "test", "hosts": [\n')
		    out.write(f'{{"name": "a", "public_key": "{sys.argv[1]}", "addresses": ["100.64.0.1/32"]}}')
		    for i in range(1, int(sys.argv[2])):
		        out.write(f',\n{{"name": "h{i}", "public_key": "{key(i)}", "addresses": ["10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32"]}}')
		    out.write("\n]}\n")
	END
	mv /tmp/a/new /tmp/a/mesh.json
}

hosts 100001
status=0
lapwingd --check-config --config /tmp/a/lapwing.json >/tmp/a/said 2>&1 || status=$?
is "$status: $(sed 's/^.*error: //' /tmp/a/said)" \
	"13: /tmp/a/mesh.json: line 100002: hosts[100000]: more than 100000 hosts (policy.max_peers)" "100,001 hosts are refused, with the limit's name"
fails "by the command line tool, too" lapwing check-config /tmp/a/lapwing.json
is "$(exits a)" 13 "and at a start"
host_config a '"policy": {"max_peers": 100001}'
ok "unless the limit is raised" lapwing check-config /tmp/a/lapwing.json
host_config a

hosts 100000
start=${EPOCHREALTIME/./}
ok "100,000 hosts are valid" lapwingd --check-config --config /tmp/a/lapwing.json
echo "# reading 100,000 hosts took $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
ok "the daemon starts with them" start_daemon a
loaded() { lw a status --timeout=60 | grep -q 'mesh .*, 100000 hosts'; }
ok "and has them all" wait_for 60 loaded
ok "and gives them to the kernel" wait_for 60 eval '[ -n "$(on a wg show wt0 peers 2>/dev/null)" ]'
hosts 100001
refused() { lw a status --timeout=60 | grep -q 'not taken: .*policy.max_peers'; }
ok "one more under a running daemon is refused" wait_for 60 refused
ok "and it keeps those that it has" loaded
stop_daemon a KILL || true

finish

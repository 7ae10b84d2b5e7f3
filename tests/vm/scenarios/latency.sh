# shellcheck shell=bash source=tests/vm/lib.sh
# The loop turns while 3,000 peers are programmed, or $peers: how long callers of the control socket wait.
# memory: 2048
# timeout: 300
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

peers=${peers-3000}
host a
lan net a=10.0.0.1/24
keys a
host_config a
python3 - "$(</tmp/a/key.pub)" "$peers" <<'END'
import base64, os, sys
hosts = [f'{{"name": "a", "public_key": "{sys.argv[1]}", "addresses": ["100.64.0.1/32"]}}']
for i in range(int(sys.argv[2])):
    key = base64.b64encode(os.urandom(32)).decode()
    hosts.append(f'{{"name": "h{i}", "public_key": "{key}", "addresses": ["100.65.{i >> 8}.{i & 255}/32"],'
                 f' "endpoints": ["10.0.{i >> 8}.{i & 255}:51820"]}}')
with open("/tmp/a/mesh.json", "w") as out:
    out.write('{"mesh": "test", "hosts": [\n' + ",\n".join(hosts) + "\n]}\n")
END

# Asks for the status without pause until all is programmed, and prints how many were asked meanwhile, the longest, the
# median.
cat >/tmp/latency.py <<'END'
import json, socket, statistics, sys, time

def ask():
    start = time.monotonic()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect("/tmp/a/run/control.sock")
        s.sendall(b'{"v":1,"command":"status"}\n')
        data = b""
        while not data.endswith(b"\n"):
            data += s.recv(1 << 20)
    return time.monotonic() - start, json.loads(data)["result"]

times, pending, begun, end = [], [], False, time.monotonic() + 240
while time.monotonic() < end:
    took, status = ask()
    work = status["pending"]
    if work:
        begun = True
        times.append(took)
        pending.append(work)
    elif begun:
        break
print(len(times), round(max(times) * 1000), round(statistics.median(times) * 1000), len(set(pending)))
END

# What the kernel takes for as many peers as the daemon tells it at a time, here and now: emulation is slow, and shared.
python3 - >/tmp/256.conf <<'END'
import base64, os
for i in range(256):
    print(f"[Peer]\nPublicKey = {base64.b64encode(os.urandom(32)).decode()}\nAllowedIPs = 100.66.0.{i}/32")
END
turn() {
	local start=${EPOCHREALTIME/./}
	ip link add scale type wireguard
	wg set scale private-key /tmp/a/private.key
	wg setconf scale <(echo "[Interface]"; echo "PrivateKey = $(</tmp/a/private.key)"; cat /tmp/256.conf)
	echo $(((${EPOCHREALTIME/./} - start) / 1000))
	ip link del scale
}

# program: all of them, from nothing; sets n, longest, median, seen, and the limit of the longest.
program() {
	local before after turn
	before=$(turn)
	start_daemon a
	read -r n longest median seen < <(python3 /tmp/latency.py)
	after=$(turn)
	turn=$((before > after ? before : after))
	limit=$((1000 + 2 * turn))
	echo "# $n answers meanwhile, the longest after $longest ms, the median after $median ms; wg setconf of 256 peers takes $turn ms"
}
# A device with peers would take a grace period for each to go.
forget() {
	stop_daemon a
	on a wg setconf wt0 <(echo "[Interface]")
	ip -n a link del wt0
	rm -rf /tmp/a/state/*
}

turn >/dev/null
program
is "$(on a wg show wt0 peers | grep -c .)" "$peers" "$peers peers are programmed"
# A machine that others make stand still delays any of its runs, a loop that does not turn each of them.
for again in 2 3; do
	[ "$longest" -gt $limit ] || break
	echo "# run $again"
	forget
	program
done
ok "callers are served in between ($n answers, $seen stages)" test "$n" -ge 10 -a "$seen" -ge $((peers / 500))
ok "the longest wait was $longest ms, at most $limit" test "$longest" -le $limit
ok "and its figures are fresh afterwards" wait_for 30 eval '[ "$(lw a status --json | python3 -c "import json, sys; print(json.load(sys.stdin)[\"observed_seconds_ago\"])")" -le 5 ]'
stop_daemon a

finish

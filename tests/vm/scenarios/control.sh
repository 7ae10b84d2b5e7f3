# shellcheck shell=bash source=tests/vm/lib.sh
# The control socket: who may ask, what bad callers do to the others, what it never tells.
# guest: own
# timeout: 240
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
keys a b
chmod 755 /tmp/a
(umask 077 && wg genpsk >/tmp/a/psk)
cp /tmp/a/psk /tmp/b/psk
chown lapwing:lapwing /tmp/a/psk /tmp/b/psk
mesh_file a b
for name in a b; do
	sed -i "s,\"name\": \"$([ $name = a ] && echo b || echo a)\",&\, \"psk_file\": \"/tmp/$name/psk\"," /tmp/$name/mesh.json
	host_config $name '"log": {"level": "debug"}'
done
ok "two daemons start" eval 'start_daemon a && start_daemon b'
ok "and meet, with a pre-shared key" wait_for 30 on a ping -c 1 -W 2 100.64.0.2
is "$(on a wg show wt0 preshared-keys | cut -f 2)" "$(</tmp/a/psk)" "which is in the kernel"

# ---- Who
groupadd -f lapwing
useradd -M -G lapwing reader
useradd -M nobodyelse
socket=/tmp/a/run/control.sock
is "$(stat -c %A:%U:%G $socket)" srw-rw----:lapwing:lapwing "the socket is for user and group"
as() { setpriv --reuid "$1" --regid "$1" --init-groups lapwing --run /tmp/a/run "${@:2}"; }
# code WANTED DESCRIPTION COMMAND...: its exit status, and one line and a hint at most on stderr.
code() {
	local wanted=$1 description=$2 status=0
	shift 2
	"$@" >/tmp/out.txt 2>/tmp/err.txt || status=$?
	is $status "$wanted" "$description"
}
code 0 "root asks" lw a status
code 0 "a member of the group asks for the status" as reader status
code 0 "and for the peers" as reader peers
code 0 "and for the log level" as reader log-level
code 5 "but may not change it" as reader log-level debug
code 5 "nor take the mesh down" as reader down
ok "which one line tells" grep -qx 'lapwing: only root may change anything' /tmp/err.txt
code 5 "nor up" as reader up
code 5 "anybody else is refused" as nobodyelse status
ok "in one line" test "$(grep -cv '^lapwing: hint' /tmp/err.txt)" = 1
chmod 666 $socket
code 5 "also when the file's mode would let him in" as nobodyelse status
ok "by the daemon" grep -q 'only root and the daemon.s group may ask' /tmp/err.txt
chmod 660 $socket
ok "the mesh is still up" on a ping -c 1 -W 5 100.64.0.2
code 3 "where nobody listens: not running" on a lapwing --run /tmp/nowhere status
code 2 "a command that there is not" lw a sttus
code 2 "a peer that there is not" lw a peers nobody
code 0 "one that there is" lw a peers b

# ---- Bad callers. The client speaks the protocol by hand.
cat >/tmp/client.py <<-'END'
	import json, os, socket, sys, time

	def connect():
	    s = socket.socket(socket.AF_UNIX)
	    s.settimeout(20)
	    s.connect("/tmp/a/run/control.sock")
	    return s

	def line(s):
	    data = b""
	    while not data.endswith(b"\n"):
	        more = s.recv(65536)
	        if not more:
	            break
	        data += more
	    return data

	def ask(s, request):
	    s.sendall(request if isinstance(request, bytes) else (json.dumps(request) + "\n").encode())
	    return json.loads(line(s))

	def ping():
	    start = time.monotonic()
	    with connect() as s:
	        assert ask(s, {"v": 1, "command": "ping"})["ok"]
	    return time.monotonic() - start
END
py() { PYTHONPATH=/tmp python3 -c "from client import *
$1"; }
ok "64 clients are served at the same time, the 65th is told why not" py '
clients = [connect() for _ in range(64)]
for s in clients:
    assert ask(s, {"v": 1, "command": "ping"})["ok"]
reply = json.loads(line(connect()))
assert not reply["ok"] and "too many" in reply["error"]["message"], reply
for s in clients:
    assert ask(s, {"v": 1, "command": "status"})["ok"]
for s in clients:
    s.close()
time.sleep(0.5)
ping()'
ok "200 that hang up at once do no harm" py '
for _ in range(200):
    connect().close()
ping()'
ok "garbage is answered with an error, the connection lives" py '
s = connect()
for bad in b"\n", b"garbage\n", b"\x00\xff\xfe\n", b"{}\n", b"[]\n", b"{\"v\":1}\n", b"{\"v\":2,\"command\":\"ping\"}\n", \
        b"{\"v\":1,\"command\":\"ping\",\"x\":1}\n", b"{\"v\":1,\"command\":7}\n", b"{\"v\":1,\"command\":\"dance\"}\n", \
        b"{\"v\":1,\"v\":1,\"command\":\"ping\"}\n", b"[" * 5000 + b"\n", b"{\"v\":1,\"command\":\"log-level\",\"level\":\"loud\"}\n":
    reply = ask(s, bad)
    assert not reply["ok"] and reply["error"]["code"] == 2 and reply["error"]["message"], (bad, reply)
assert ask(s, {"v": 1, "command": "ping"})["ok"]'
ok "requests in pieces and several at once are understood" py '
s = connect()
for c in b"{\"v\":1,\"command\":\"ping\"}\n":
    s.sendall(bytes([c]))
assert json.loads(line(s))["ok"]
s.sendall(b"{\"v\":1,\"command\":\"ping\"}\n" * 50)
data = b""
while data.count(b"\n") < 50:
    data += s.recv(65536)
assert all(json.loads(l)["ok"] for l in data.splitlines())'
ok "a request without end is cut off" py '
s = connect()
try:
    for _ in range(100):
        s.sendall(b"x" * 65536)
except OSError:
    pass
reply = line(s)
assert b"too long" in reply or reply == b"", reply
ping()'
ok "half a request delays nobody, and is given up" py '
half = connect()
half.sendall(b"{\"v\":1,")
assert ping() < 5
half.settimeout(60)
reply = json.loads(line(half))
assert reply["error"]["class"] == "timeout", reply
assert half.recv(1) == b""'
ok "64 who never read their answers delay nobody for long" py '
slow = []
for _ in range(60):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.sendall(b"{\"v\":1,\"command\":\"status\",\"detail\":true}\n" * 100)
    slow.append(s)
took = max(ping() for _ in range(5))
print(took)
assert took < 5'
pids_before=${pids[a]}
ok "ten command line tools at once all get their answer" eval '
	for i in 1 2 3 4 5 6 7 8 9 10; do lw a status --json >/tmp/many.$i & waits[i]=$!; done
	for i in 1 2 3 4 5 6 7 8 9 10; do wait ${waits[i]} && python3 -m json.tool /tmp/many.$i >/dev/null; done'
ok "it is the same daemon after all this" kill -0 "$pids_before"

# ---- Monitor
lw a monitor --json >/tmp/events 2>&1 &
monitor=$!
pause 1
index=$(on a cat /sys/class/net/wt0/ifindex)
ip -n a link del wt0
repaired() { grep -q '"event":"interface".*"made again"' /tmp/events; }
ok "monitor shows a deletion and its repair" wait_for 10 repaired
ok "in that order, in JSON, with times" python3 -c '
import json
events = [json.loads(line) for line in open("/tmp/events")]
texts = [e.get("message") for e in events]
gone, again = texts.index("gone"), texts.index("made again")
assert gone < again, texts
assert all(e["v"] == 1 and e["event"] and e["time"].endswith("Z") for e in events), events'
ok "and the interface is another" test "$(on a cat /sys/class/net/wt0/ifindex)" != "$index"
kill $monitor && wait $monitor 2>/dev/null || true
ok "a monitor that does not read gets a gap, and then events again" py '
slow, fast = connect(), connect()
slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
for s in slow, fast:
    assert ask(s, {"v": 1, "command": "monitor"})["ok"]
fast.setblocking(False)
sent, n, deadline = 0, 0, time.monotonic() + 100
# A configuration that is bad in ever new ways gives an event each; the long name makes them large.
pid = int(open("/tmp/a/pid").read())
good = open("/tmp/a/lapwing.json").read()
while sent < 700_000 and time.monotonic() < deadline:
    n += 1
    os.makedirs("/tmp/a/%05d" % n, exist_ok=True)
    with open("/tmp/a/lapwing.json", "w") as f:
        json.dump({"mesh_file": "/tmp/a/%05d/" % n + "x" * 250, "private_key_file": "/tmp/a/private.key"}, f)
    os.kill(pid, 1)
    time.sleep(0.01)
    try:
        while True:
            sent += len(fast.recv(1 << 20))
    except BlockingIOError:
        pass
open("/tmp/a/lapwing.json", "w").write(good)
slow.settimeout(5)
data = b""
try:
    while b"\"event\":\"gap\"" not in data:
        data += slow.recv(1 << 20)
except TimeoutError:
    pass
print(n, sent, len(data), data[-300:])
gap = [json.loads(l) for l in data.splitlines() if b"\"gap\"" in l]
assert gap and gap[0]["lost"] > 0'
ok "and the daemon serves all the time" lw a status
mesh_file a b
sed -i "s,\"name\": \"b\",&\, \"psk_file\": \"/tmp/a/psk\"," /tmp/a/mesh.json
kill -HUP "${pids[a]}"

# ---- Log level
ok "the log level changes at run time" test "$(lw a log-level info)" = info
is "$(lw a log-level)" info "and stays"
code 2 "one that there is not is refused" lw a log-level loud

# ---- Nothing secret
private=$(</tmp/a/private.key) psk=$(</tmp/a/psk)
{
	lw a status -d --json
	lw a status -d
	lw a peers --json
	lw a peers b
	cat /tmp/a/log /tmp/events
	tr '\0' '\n' <"/proc/${pids[a]}/cmdline"
	tr '\0' '\n' <"/proc/${pids[a]}/environ"
	cat /tmp/a/state/state.json
} >/tmp/all 2>&1
ok "what was gathered is all there" grep -q "$(</tmp/b/key.pub)" /tmp/all
fails "no private key in status, log, command line, environment" grep -qF "${private%?}" /tmp/all
fails "nor the pre-shared one" grep -qF "${psk%?}" /tmp/all
private_hex=$(base64 -d <<<"$private" | od -An -tx1 | tr -d ' \n')
fails "nor in the list of peers" grep -q "$private_hex" <(od -An -v -tx1 /tmp/a/state/peers | tr -d ' \n')

# ---- Few descriptors, storms, a clock that jumps
stop_daemon a
: >/tmp/a/log
nofile=24
ok "it starts with few descriptors" start_daemon a
unset nofile
ok "many callers get an answer or are turned away, and then it serves" py '
clients = []
for _ in range(40):
    try:
        clients.append(connect())
    except OSError:
        break
time.sleep(2)
for s in clients:
    s.close()
time.sleep(2)
ping()'
cpu() { awk '{ print $14 + $15 }' "/proc/${pids[a]}/stat"; }
before=$(cpu)
pause 3
ok "and does not spin" test $(($(cpu) - before)) -lt 50
stop_daemon a
start_daemon a
for ((i = 0; i < 300; i++)); do kill -HUP "${pids[a]}"; done
ok "300 hangups in a row do no harm" lw a status
ok "and no session was lost" on a ping -c 1 -W 10 100.64.0.2
now=$(date +%s)
date -s "@$((now + 86400 * 400))" >/dev/null
ok "a clock that jumps ahead does no harm" lw a status --check=live
ok "to the tunnel either" on a ping -c 1 -W 20 100.64.0.2
date -s "@$((now - 86400 * 400))" >/dev/null
ok "nor one that jumps back" eval 'lw a status --json | python3 -m json.tool >/dev/null'
ok "the tunnel works" on a ping -c 1 -W 20 100.64.0.2
date -s "@$now" >/dev/null
ok "it ends well" stop_daemon a
fails "and its socket is gone" test -e $socket
stop_daemon b

finish

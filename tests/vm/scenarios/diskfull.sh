# shellcheck shell=bash source=tests/vm/lib.sh
# The state directory: full, read-only, and killed in the middle of writing.
# timeout: 240
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
keys a b
mesh a b
ok "the peer starts" start_daemon b

# ---- Full
mount -t tmpfs -o size=16k,uid="$(id -u lapwing)",gid="$(id -g lapwing)",mode=700 tmpfs /tmp/a/state
head -c 1M /dev/zero >/tmp/a/state/fill 2>/dev/null || true
is "$(df --output=avail /tmp/a/state | tail -n 1 | tr -d ' ')" 0 "the state directory is full"
ok "the daemon starts all the same" start_daemon a
ok "and reaches its peer" wait_for 30 on a ping -c 1 -W 2 100.64.0.2
warnings() { grep -c ' warn: .*No space left' /tmp/a/log; }
is "$(warnings)" 1 "it says so once"
ok "it serves" lw a status --check=ready
# A change of the peers would be written down, too.
for i in 1 2 3; do
	sed "s,100.64.0.2/32,100.64.1.$i/32," /tmp/b/mesh.json >/tmp/a/new
	mv /tmp/a/new /tmp/a/mesh.json
	ok "change $i of the mesh is taken" wait_for 10 eval 'on a wg show wt0 allowed-ips | grep -q 100.64.1.$i/32'
done
is "$(warnings)" 1 "and still it was said once"
is "$(find /tmp/a/state -mindepth 1 -size +0 ! -name fill ! -name lock -printf '%f ')" "" "there is no half of a file"
is "$(find /tmp/a/state -name '*.tmp.*')" "" "nor one with a temporary name"
ok "down works" lw a down
fails "and the interface is gone" ip -n a link show wt0
ok "that it will not last is in the log" grep -q ' warn: cannot write down that we are down' /tmp/a/log
ok "up works" lw a up --wait
ok "and the interface is there" ip -n a link show wt0
rm /tmp/a/state/fill
ok "with room again, what is known is written" eval 'lw a down && lw a up --wait && grep -q wt0 /tmp/a/state/state.json'
ok "it ends well" stop_daemon a
cp /tmp/b/mesh.json /tmp/a/mesh.json

# ---- Read-only
mount -o remount,ro /tmp/a/state
: >/tmp/a/log
status=0
start_daemon a || status=$?
wait_for 3 stopped a || true
if [ $status = 0 ] && running a; then
	pass "on a read-only state directory it starts"
	is "$(grep -c ' warn: .*Read-only' /tmp/a/log)" 1 "and says so once"
	install -d -o lapwing /tmp/a/run2
	ok "it has the directory for itself" eval '[ "$(exits a --run /tmp/a/run2)" = 14 ] && logged a "in use by another lapwingd"'
	ok "and works" wait_for 30 on a ping -c 1 -W 2 100.64.0.2
	stop_daemon a
else
	fail "on a read-only state directory it starts"
	sed 's/^/#   /' /tmp/a/log
fi
mount -o remount,rw /tmp/a/state

umount /tmp/a/state

# ---- Killed while it writes
cp /tmp/b/mesh.json /tmp/a/mesh.json
rm -rf /tmp/a/state
install -d -o lapwing -g lapwing -m 700 /tmp/a/state
: >/tmp/a/log
for ((i = 0; i < 12; i++)); do
	start_daemon a
	(while true; do lw a down; lw a up; done) >/dev/null 2>&1 &
	toggling=$!
	pause "0.$((RANDOM % 9))$((RANDOM % 9))"
	stop_daemon a KILL || true
	kill $toggling 2>/dev/null && wait $toggling 2>/dev/null || true
done
is "$(ls /tmp/a/state/*.corrupt 2>/dev/null)" "" "killed 12 times while writing, no state file was damaged"
is "$(grep -c 'ignored' /tmp/a/log || true)" 0 "nor one that was not believed"
ok "and it starts" start_daemon a
ok "and comes up" lw a up --wait
ok "and reaches its peer" wait_for 40 on a ping -c 1 -W 2 100.64.0.2
ok "what is left over is at most a few temporary files" test "$(find /tmp/a/state -name '*.tmp.*' | wc -l)" -le 12
stop_daemon a

# ---- Damaged all the same
for file in state.json peers; do
	printf 'garbage\0' >/tmp/a/state/$file
done
: >/tmp/a/log
ok "with damaged state it starts" start_daemon a
is "$(cd /tmp/a/state && echo ./*.corrupt)" "./peers.corrupt ./state.json.corrupt" "and keeps what was damaged"
is "$(grep -c ' warn: .*moved to .*corrupt' /tmp/a/log)" 2 "and says so"
ok "and works" wait_for 40 on a ping -c 1 -W 2 100.64.0.2
stop_daemon a

finish

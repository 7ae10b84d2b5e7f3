# shellcheck shell=bash source=tests/vm/lib.sh
# Who is idle is parked, on both sides, and nobody else: skewed timers, flushed counters, keepalives and rekeys.
# timeout: 560
# memory: 512
# waits: mostly
. /job/lib.sh

mesh_members='"lazy": {"idle_minutes": 1}, "interface": {"name": "wt0", "listen_port": 51820}'
host a b c d
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24 d=10.0.0.4/24
mesh_extra[d]='"idle_minutes": 5'
mesh a b c d
up a b c d

lazy() { lw "$1" peers "$2" --json | grep -o '"lazy":"[a-z]*"' | cut -d '"' -f 4; }
is_lazy() { [ "$(lazy "$1" "$2")" = "$3" ]; }
lost() { grep -o '[0-9]* packets transmitted, [0-9]* received' "$1" | awk '{ print $1 - $4 }'; }
quiet() { on "$1" nft list ruleset | grep -c 'counter packets' || true; }

for to in 2 3 4; do reaches a 100.64.0.$to 3; done
begin=$SECONDS
# c gets a flushed ruleset under traffic just before the threshold.
ip netns exec a ping -n -q -i 1 -c 260 -W 2 100.64.0.3 >/tmp/steady &
steady=$!
# b is restarted half a minute later: its timer for a runs late.
pause 28
stop_daemon b KILL || true
up b
pause 25
ok "the ruleset is flushed" on a nft flush ruleset
pause 1
ok "and is made again" on a nft list set inet lapwing-wt0 hosts4
# Bursts around both thresholds.
for n in 1 2 3; do
	on a ping -n -q -i 1 -c 4 -W 3 100.64.0.2 >/tmp/burst.$n || true
	is "$(lost /tmp/burst.$n)" 0 "burst $n around the thresholds loses nothing"
	pause $((55 + 6 * n))
done
ok "steady traffic over the flush is not parked" is_lazy a c active
wait $steady || true
is "$(lost /tmp/steady)" 0 "and loses nothing"
is "$(lazy a d)" active "a host with a longer idle time is still up after $((SECONDS - begin)) s"
within 140 "idle, parked" is_lazy a b parked
within 90 "on the other side too" is_lazy b a parked
within 170 "the steady one too, after its end" is_lazy a c parked
within 90 "and over there" is_lazy c a parked
is "$(on a wg show wt0 endpoints | grep -c 127.0.1.1)" 2 "with sentinels"
is "$(quiet a)" 2 "only the addresses of the one that is up are counted"
is "$(on a wg show wt0 transfer | awk '$3 > 0' | wc -l)" 3 "nobody was removed: the kernel still knows what it transferred"
ok "and they wake" reaches a 100.64.0.2 4.5

finish

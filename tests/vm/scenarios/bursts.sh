# shellcheck shell=bash source=tests/vm/lib.sh
# Many events of others cost little, and lost events lose nothing.
# timeout: 120
. /job/lib.sh

host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
mesh a b
up a b
ok "the tunnel works" reaches a 100.64.0.2

cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; } # in 10 ms
number() { [[ $(lw a status --json) =~ \"$1\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}"; }

# Veth pairs come and go, with addresses and routes: about ten events each. Then one link changes again and again.
for i in {1..150}; do
	echo "link add p$i type veth peer name q$i"
	echo "link set p$i up"
	echo "link set q$i up"
	echo "address add 10.5.0.$i/32 dev p$i"
	echo "link del p$i"
done >/tmp/pairs
{
	echo "link add veth type veth peer name htev"
	echo "link set veth up" # else it changes without an event
	for i in {1..10000}; do echo "link set veth alias a$i"; done
} >/tmp/changes

seen=$(number seen) passed=$(number passed) repairs=$(number repairs)
ip netns exec a ip monitor link address route >/dev/null &
monitor=$!
pause 0.5
before=$(cpu "${pids[a]}")
for batch in pairs changes; do
	ip netns exec a ip -batch /tmp/$batch &
	burst=$!
	n=0 slowest=0
	while kill -0 $burst 2>/dev/null; do
		start=${EPOCHREALTIME/./}
		lw a status --json >/dev/null || { slowest=99999; break; }
		took=$(((${EPOCHREALTIME/./} - start) / 1000))
		n=$((n + 1)) slowest=$((took > slowest ? took : slowest))
		pause 1
	done
	wait $burst
	ok "$batch: status answered $n times, the slowest in $slowest ms" [ $n -gt 1 -a $slowest -lt 3000 ]
done
seen=$(($(number seen) - seen))
used=$((($(cpu "${pids[a]}") - before) * 10))
other=$(($(cpu $monitor) * 10))
kill $monitor
ok "more than 10,000 events were seen: $seen" [ $seen -gt 10000 ]
# Both wake up for each event; one prints it, the other answers requests.
ok "they cost $used ms of CPU time, status included, where ip monitor took $other ms" [ $used -lt $((other * 3 / 2)) ]
ok "none of them concerned us" [ $(($(number passed) - passed)) -le 2 ]
is "$(number repairs)" "$repairs" "and nothing was repaired"
ok "a is ready" ready a

# More events than the socket holds, and among the lost ones those of our own things.
resyncs=$(number resyncs)
index=$(ip -n a -o link show wt0 | cut -d : -f 1)
kill -STOP "${pids[a]}"
ip netns exec a ip -batch <(sed 1,2d /tmp/changes)
ip -n a link del wt0
on a nft flush ruleset
kill -CONT "${pids[a]}"
within 2 "deleted while events were lost: it is made again" ip -n a link show wt0
within 2 "with its table" on a nft list table inet lapwing-wt0
within 3 "and reached" reaches b 100.64.0.1
ok "events were lost indeed" [ "$(number resyncs)" -gt "$resyncs" ]
ok "it is another interface" [ "$(ip -n a -o link show wt0 | cut -d : -f 1)" != "$index" ]
within 2 "a is ready" ready a

resyncs=$(number resyncs)
kill -STOP "${pids[a]}"
ip netns exec a ip -batch <(sed 1,2d /tmp/changes)
ip -n a -batch - <<-END
	address flush dev wt0
	link set wt0 down
	link set wt0 mtu 1300
	link del wt0
	link add wt0 type wireguard
END
kill -CONT "${pids[a]}"
within 5 "replaced by a blank one while events were lost: it is taken and set up" reaches b 100.64.0.1
ok "events were lost indeed" [ "$(number resyncs)" -gt "$resyncs" ]
is "$(ip -n a -o link show type wireguard | wc -l)" 1 "and is the only one"
within 2 "a is ready" ready a
fails "there was no conflict" logged a conflict

finish

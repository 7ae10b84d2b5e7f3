# shellcheck shell=bash source=tests/vm/lib.sh
# Whatever happens to the interface is repaired at once, and to nothing else.
# kernels: 6.1 6.12
# timeout: 120
. /job/lib.sh

host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
mesh_extra[c]='"routes": ["10.9.0.0/16"]'
mesh a b c
up a b c
read -r kernel _ < <(uname -r)
key() { cat "/tmp/$1/key.pub"; }

# Objects of others in the same namespace.
on a ip -batch - <<-END
	link add other type dummy
	link set other up
	address add 10.77.0.1/24 dev other
	route add 10.78.0.0/24 via 10.77.0.2
	rule add from 10.77.0.0/24 lookup 77 priority 77
	link add wt7 type wireguard
END
on a wg set wt7 private-key <(wg genkey) peer "$(wg genkey | wg pubkey)" allowed-ips 10.79.0.0/24
on a nft 'table inet other { chain c { type filter hook input priority 0; udp dport 7 counter accept; }; }'
others() {
	ip -n a -o link show other
	ip -n a -o address show dev other
	ip -n a route show dev other
	ip -n a rule show priority 77
	on a wg show wt7
	on a nft list table inet other
}
others=$(others)

link() { ip -n a -o link show wt0; }
index() { link | cut -d : -f 1; }
is_up() { [[ $(link) == *[,\<]UP[,\>]* ]]; }
has_mtu() { [[ $(link) == *" mtu $1 "* ]]; }
has_address() { [[ $(ip -n a -o address show dev wt0) == *" $1 "* ]]; }
has_route() { [[ $(ip -n a "$1" route show proto 108) == *"$2"* ]]; }
has_table() { on a nft list table inet lapwing-wt0; }
guards() { [ "$(on a nft list table inet lapwing-wt0 | grep -c -e "local drop" -e maxseg)" = 4 ]; }
whole() { has_address 100.64.0.1/32 && has_address fd00:6c::1/128 && is_up && has_route -4 100.64.0.2 && has_route -6 fd00:6c::2 && guards; }
handshake() { on a wg show wt0 latest-handshakes | grep "^$(key "$1")" | cut -f 2; }
repairs() { [[ $(lw a status --json) =~ \"repairs\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}"; }
pings() { reaches a 100.64.0.2 && reaches b 100.64.0.1; } >/dev/null
ok "all is in place" whole
ok "the tunnel works" pings

# A daemon that has repaired nothing yet: what happens here one after the other is no fight.
fresh() {
	stop_daemon a
	up a
}

# Looking takes longer than repairing: what counts is the time from the first event to the last.
timed() { # DESCRIPTION COMMAND...
	local description=$1 monitor repair
	shift
	ip netns exec a ip -ts monitor link address route >/tmp/events &
	monitor=$!
	pause 0.5
	"$@"
	ok "$description: everything is in place again" wait_for 3 whole
	kill $monitor
	repair=$(awk -F '[][]' '/^\[/ { split($2, t, "[T:]"); s = t[2] * 3600 + t[3] * 60 + t[4]; first = n++ ? first : s; last = s }
		END { print n < 2 ? 99999 : int((last - first) * 1000) }' /tmp/events)
	ok "$description: within a second: $repair ms" [ "$repair" -lt 1000 ]
}

# b keeps asking a during the worst. Left alone it would ask for a new session after 15 s.
witnessed() { # DESCRIPTION MILLISECONDS COMMAND...
	local description=$1 limit=$2 witness gap
	shift 2
	ip netns exec b ping -n -D -i 0.1 -w 6 100.64.0.1 >/tmp/witness 2>&1 &
	witness=$!
	pause 0.5
	timed "$description" "$@"
	wait $witness || true
	gap=$(sed -n 's/^\[\([0-9.]*\)\].*bytes from.*/\1/p' /tmp/witness |
		awk '{ if (NR > 1 && $1 - last > gap) gap = $1 - last; last = $1 } END { print NR < 10 ? 99999 : int(gap * 1000) }')
	ok "$description: the other side is answered again after $gap ms" [ "$gap" -lt "$limit" ]
	ok "$description: both reach each other" pings
}

first=$(index)
witnessed "deleted" 3000 ip -n a link del wt0
ok "the new one has another index" [ "$(index)" != "$first" ]
ok "status knows it" says a "\"index\":$(index)," status
is "$(on a wg show wt0 peers | sort)" "$(sort /tmp/b/key.pub /tmp/c/key.pub)" "the peers are back"
is "$(link | grep -o 'alias.*')" "alias lapwing:state" "and the alias"

remake() { # the daemon is held, else its own is there first
	kill -STOP "${pids[a]}"
	ip -n a -batch - <<-END
		link del wt0
		link add index 99 name wt0 type wireguard
	END
	kill -CONT "${pids[a]}"
}
fresh
witnessed "made again blank by somebody" 3000 remake

fresh
witnessed "set down" 3000 ip -n a link set wt0 down

# Renaming
fresh
if [[ $kernel == 6.1.* ]]; then
	fails "this kernel renames no interface that is up" ip -n a link set wt0 name wtx
	rename() { ip -n a -batch - <<<$'link set wt0 down\nlink set wt0 name wtx'; }
	before=$(index)
	witnessed "renamed" 3000 rename
	is "$(index)" "$before" "a renamed interface keeps its index"
else
	before=$(index) shaken=$(handshake b)
	witnessed "renamed" 500 ip -n a link set wt0 name wtx
	is "$(index) $(handshake b)" "$before $shaken" "a renamed interface keeps its index and session"
fi
fails "nothing has the wrong name" ip -n a link show wtx

# Each of these alone, the session stays.
fresh
pings
shaken=$(handshake b)
ip -n a link set wt0 mtu 1300
within 1 "MTU" has_mtu 1420
ip -n a address del 100.64.0.1/32 dev wt0
within 1 "IPv4 address" has_address 100.64.0.1/32
ip -n a address del fd00:6c::1/128 dev wt0
within 1 "IPv6 address" has_address fd00:6c::1/128
timed "all addresses" ip -n a address flush dev wt0
fresh
ip -n a route del 10.9.0.0/16 dev wt0
within 1 "IPv4 route" has_route -4 10.9.0.0/16
timed "IPv6 routes" ip -n a -6 route flush dev wt0 proto 108
fresh
timed "all routes" ip -n a route flush proto 108
on a nft delete table inet lapwing-wt0
within 1 "nftables table deleted" guards
on a nft flush table inet lapwing-wt0
within 1 "nftables table flushed" guards
on a nft delete chain inet lapwing-wt0 clamp
within 1 "nftables chain deleted" guards
ip -n a link set wt0 alias somebody
within 1 "alias" eval '[[ $(link) == *"alias lapwing:state" ]]'
ok "the tunnel works" pings
is "$(handshake b)" "$shaken" "by the same session"

is "$(others)" "$others" "what others have was not touched"

fresh
on a nft flush ruleset
within 1 "the whole ruleset flushed" guards
is "$(on a nft list tables)" "table inet lapwing-wt0" "only ours is made again"

# Events of others are no work.
fresh
pause 0.5
before=$(repairs)
ip -n a -batch - <<-END
	link set other down
	link set other up
	address flush dev other
	link del other
	link del wt7
END
on a nft add table inet other
pause 0.5
is "$(repairs)" "$before" "what others do to theirs is nothing to repair"
ok "a is ready" ready a
ok "b is ready" ready b
fails "b had nothing to repair" logged b repairing
fails "nobody fought" logged a conflict

finish

# shellcheck shell=bash source=tests/vm/lib.sh
# Two instances in one namespace: each has its own interface, port, mark, table and peers, and leaves the other's alone.
# timeout: 90
. /job/lib.sh

# twin NAME HOST: another directory for the same namespace.
twin() {
	: >"/run/netns/$1"
	mount --bind "/run/netns/$2" "/run/netns/$1"
	install -d "/tmp/$1"
	install -d -o lapwing -g lapwing -m 700 "/tmp/$1/state"
	install -d -o lapwing -g lapwing -m 755 "/tmp/$1/run"
	mesh_endpoint[$1]=${mesh_endpoint[$2]}
}
host a b
lan net a=10.0.0.1/24 b=10.0.0.2/24
twin blue-a a
twin blue-b b
for h in b blue-b; do mesh_extra[$h]='"routes": ["0.0.0.0/0"]'; done
mesh a b
mesh_members='"interface": {"name": "wt1", "listen_port": 51999}'
mesh blue-a blue-b
sed -i 's/:51820/:51999/g; s/100[.]64[.]/100.99./g; s/fd00:6c:/fd00:99:/g' /tmp/blue-[ab]/mesh.json
for h in a blue-a; do host_config $h '"policy": {"default_route": true}'; done
up a b blue-a blue-b

picture() { # INTERFACE TABLE: everything of one instance
	ip -n a -o link show "$1"
	ip -n a -o address show dev "$1"
	ip -n a route show table all dev "$1"
	ip -n a -6 route show table all dev "$1"
	ip -n a rule | grep -w "$2"
	on a wg show "$1" | grep -v -e handshake -e transfer
	# Without what is forgotten after seconds.
	on a nft -a -s list table inet "lapwing-$1" | grep -v expires | sed '/timeout 10s/{n;/elements =/d}'
}
index() { ip -n a -o link show "$1" | cut -d : -f 1; }
is "$(ip -n a -o link show type wireguard | wc -l)" 2 "two interfaces"
is "$(on a nft list tables | sort)" "table inet lapwing-wt0
table inet lapwing-wt1" "two tables"
is "$(ip -n a rule | grep -c 'proto 108')" 4 "four rules"
ok "one mesh works" reaches a 100.64.0.2
ok "the other works" reaches a 100.99.0.2
is "$(on a wg show wt0 peers) $(on a wg show wt1 peers)" "$(</tmp/b/key.pub) $(</tmp/blue-b/key.pub)" "each has its own peers"
ok "two instances settle" eval 'ready a && ready blue-a && ready b && ready blue-b'

blue=$(picture wt1 51999)
ip -n a link del wt0
within 5 "one interface deleted: it is back" reaches a 100.64.0.2
on a nft delete table inet lapwing-wt0
stop_daemon a KILL || true
up a
lw a down >/dev/null
is "$(picture wt1 51999)" "$blue" "nothing of that touches the other instance"
ok "whose mesh works" reaches a 100.99.0.2
fails "the first is down" ip -n a link show wt0
lw a up --wait >/dev/null
ok "up again" reaches a 100.64.0.2
fails "the second had nothing to repair" logged blue-a repairing
ok "nor has a conflict" ready blue-a

# Renamed while nobody looks, each finds its own by its key: the names of the state directories are the same.
before="$(index wt0) $(index wt1)"
stop_daemon a
stop_daemon blue-a
ip -n a -batch - <<-END
	link set wt0 down
	link set wt1 down
	link set wt0 name x
	link set wt1 name y
END
up blue-a a
is "$(index wt0) $(index wt1)" "$before" "each finds its own interface under another name"
is "$(ip -n a -o link show type wireguard | wc -l)" 2 "and makes no new one"
within 5 "one mesh works" reaches a 100.64.0.2
within 5 "the other works" reaches a 100.99.0.2
for name in wt0 wt1; do
	stop_daemon a
	stop_daemon blue-a
	ip -n a -batch - <<<$"link set $name down"$'\n'"link set $name name z"
	up a blue-a
	is "$(index wt0) $(index wt1)" "$before" "also when $name alone has another name"
done

# What cannot be shared.
refused() { # STATUS TEXT DESCRIPTION HOST [ARGUMENT...]
	: >"/tmp/$4/log"
	is "$(exits "${@:4}")" "$1" "$3"
	ok "and says: $2" logged "$4" "$2"
}
pid=${pids[a]}
before=$(picture wt0 51820)
twin third a
cp -p /tmp/a/mesh.json /tmp/a/private.key /tmp/third
host_config third
refused 14 "/tmp/a/state is in use by another lapwingd, process $pid" "a second daemon with the same state is refused" \
	third --state /tmp/a/state
refused 14 "somebody else serves /tmp/a/run/control.sock" "one with the same control socket, too" third --run /tmp/a/run
kill -0 "$pid"
ok "the first still answers" ready a
keys third
mesh_members='"interface": {"name": "wt0", "listen_port": 51777}'
mesh third
refused 12 "interface wt0 exists and has another key" "one with the same interface is refused" third
mesh_members='"interface": {"name": "wt3", "listen_port": 51820}'
mesh third
refused 14 "UDP port 51820 cannot be had, it is held by WireGuard interface wt0" "one with the same port is refused" third
is "$(picture wt0 51820)" "$before" "all of that left the first alone"

finish

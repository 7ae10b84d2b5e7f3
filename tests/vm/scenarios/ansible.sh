# shellcheck shell=bash source=tests/vm/lib.sh
# The Ansible role from the first of three hosts that have systemd, sshd and a network of their own, over ssh: a mesh is rolled
# out as the README says, changed, and upgraded through itself; a host loses power in the middle, another has a full disk;
# one leaves, and joins a network. `make check-ansible-vm`.
# memory: 2048
# timeout: 3000
# guest: own
# disk: ansible
# files: tests/vm/machines.sh tests/vm/hub.sh tests/hub build/gen/management_pb2.py scripts/ansible tests/ansible/plugins/lines.py build/lapwing.deb
# long: yes
# sandbox: no, its hosts have the unit themselves
# shellcheck disable=SC2016,SC2154,SC2174 # expanded by dpkg-query or there; what lib.sh has
. /job/lib.sh
. /job/machines.sh
. /job/hub.sh

modprobe -a wireguard nft_ct
names=(a b c)
host "${names[@]}" hub
lan lan a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24 hub=10.0.0.9/24
for name in "${names[@]}"; do machine "$name" 128; done
boot "${names[@]}"

# ---- The packages: ours, and two that are newer.
dpkg-deb -R /job/lapwing.deb /tmp/next
for version in 0.1.1 0.1.2; do
	sed -i "s/^Version: .*/Version: $version/" /tmp/next/DEBIAN/control
	dpkg-deb -Zgzip -z1 -b /tmp/next "/tmp/$version.deb" >/dev/null
done
version() { inside "$1" dpkg-query -W -f '${db:Status-Status} ${Version}' lapwing; }
# use PACKAGE: what `make deb` left in the checkout.
use() { cp "$1" "$(root a)/root/lapwing/build/lapwing.deb"; }

# ---- The first host has the checkout, and a key that opens the others.
for name in "${names[@]}"; do within 60 "$name is up" is_up "$name"; done
root() { echo "/proc/$(first "$1")/root"; }
mkdir -p "$(root a)/root/lapwing/scripts" "$(root a)/root/lapwing/build"
cp -r /job/ansible "$(root a)/root/lapwing/scripts/"
cp /job/lines.py "$(root a)/root/"
use /job/lapwing.deb
inside a ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
for name in b c; do install -D -m 600 "$(root a)/root/.ssh/id_ed25519.pub" "$(root $name)/root/.ssh/authorized_keys"; done

# inventory NETWORK [MEMBERS-OF-MESH [MEMBERS-OF-B [VARIABLES]]]: over which network the others are reached.
inventory() {
	cat >"$(root a)/root/lapwing/scripts/ansible/inventory.yml" <<-END
		all: {children: {lapwing: {
		  hosts: {
		    a: {ansible_connection: local, lapwing_host: {addresses: [100.64.0.1], endpoints: ["10.0.0.1:51820"]}},
		    b: {ansible_host: $1.2, lapwing_host: {addresses: [100.64.0.2], endpoints: ["10.0.0.2:51820"]}${3:+, $3}},
		    c: {ansible_host: $1.3, lapwing_host: {addresses: [100.64.0.3], endpoints: ["10.0.0.3:51820"]}}},
		  vars: {ansible_user: root, ansible_python_interpreter: /usr/bin/python3, lapwing_mesh: {mesh: prod${2:+, $2}}${4:+, $4}}}}}
	END
}

# play NAME ARGUMENT...: what became of each task goes to /tmp/play.NAME, and how it ended to $ended_with.
play() {
	local begin=$SECONDS
	inside a env HOME=/root LC_ALL=C.UTF-8 ANSIBLE_CALLBACK_PLUGINS=/root ANSIBLE_STDOUT_CALLBACK=lines ANSIBLE_HOST_KEY_CHECKING=no \
		sh -c 'cd /root/lapwing/scripts/ansible && exec ansible-playbook "$@" -e lapwing_package_file=$PWD/../../build/lapwing.deb' \
		play "${@:2}" </dev/null >"/tmp/play.$1" 2>&1 && ended_with=0 || ended_with=$?
	echo "# $1: $((SECONDS - begin)) s"
}
# became NAME HOW: hosts and tasks.
became() { sed -nE 's/^\{"host": "([^"]*)", "task": "([^"]*)", "became": "('"$2"')".*/\1 \2/p' "/tmp/play.$1" | sort | paste -sd ,; }
# plays NAME ARGUMENT...: the play must end well.
plays() {
	play "$@"
	is "$ended_with" 0 "$1: all ends well"
	[ "$ended_with" = 0 ] || grep -vE '"became": "(ok|changed)"' "/tmp/play.$1" | sed 's,^,#   ,'
}
# foresees NAME ARGUMENT...: what check mode tells is what then changes.
foresees() {
	plays "$1.before" "${@:2}" --check --diff
	plays "$@"
	is "$(became "$1" changed)" "$(became "$1.before" changed)" "$1: check mode told what has changed"
}
each() { # TASK...: of all hosts
	local task
	for task; do printf "%s $task\n" "${names[@]}"; done | sort | paste -sd ,
}

# ---- The first roll out, and once more.
inventory 10.0.0
foresees first mesh.yml
is "$(became first changed)" \
	"$(each "Bring the package file" "Install the package file" "Make the private key" Configure "Start, now and with the host")" "first: all of it"
for name in "${names[@]}"; do
	is "$(inside "$name" lapwing status --check=ready >/dev/null; echo $?),$(inside "$name" systemctl is-enabled lapwing)" 0,enabled \
		"$name: its daemon is ready, and starts with the host"
done
ok "pings from a to b" inside a ping -c 2 -W 10 100.64.0.2
ok "pings from b to c" inside b ping -c 2 -W 10 100.64.0.3
plays second mesh.yml
is "$(became second changed)" "" "second: nothing is changed"

# ---- From here on over the mesh itself. A change: what is foreseen, and shown of it.
inventory 100.64.0 "lazy: {idle_minutes: 7}" "" "lapwing_config: {log: {level: debug}}"
foresees change mesh.yml
is "$(became change changed)" "$(each Configure)" "change: the configuration of each"
ok "change: it is shown" grep -q '"diff":.*"log.level": "debug".*mesh: lazy differs' /tmp/play.change.before
is "$(inside c lapwing log-level)" debug "and in force"

# ---- An upgrade through the mesh, with pings between all; b loses power when its turn comes.
# stream FROM TO ADDRESS: all of it is one flow, as conntrack drops what comes in one go with the first packet of a new one.
stream() {
	on "$1" ping -n -e 7 -c 1 -W 10 "$3" >/dev/null || true
	exec ip netns exec "$1" ping -n -e 7 -i 0.2 "$3" >"/tmp/stream.$1$2" 2>&1 {tap}>&-
}
# under_traffic FROM:TO... -- COMMAND...
under_traffic() {
	local pair streams=() file
	while [ "$1" != -- ]; do
		case $1 in *a) pair=100.64.0.1 ;; *b) pair=100.64.0.2 ;; *) pair=100.64.0.3 ;; esac
		: >"/tmp/stream.${1/:/}"
		stream "${1%:*}" "${1#*:}" $pair &
		streams+=("$1=$!")
		shift
	done
	"${@:2}"
	for pair in "${streams[@]}"; do
		file=/tmp/stream.${pair%=*} file=${file/:/}
		ok "there are pings from ${pair%=*} in the end" more_answers "$file" 10
		kill -INT "${pair#*=}"
		wait "${pair#*=}" || true
		is "$(unanswered "$file")" "" "none from ${pair%=*} is lost, of $(answers "$file" | tail -n 1)"
	done
}
kept() { for name; do cat "$(root "$name")/sys/class/net/wt0/ifindex"; done | xargs; }
use /tmp/0.1.1.deb
before=$(kept a c)
lose_power() { # when a is done
	until grep -q '"host": "a", "task": "Wait"' /tmp/play.half 2>/dev/null; do pause 0.1; done
	ip -n lan link set dev b down
	power_off b
	ip -n b link delete wt0
	ip netns exec b nft flush ruleset
}
lose_power &
losing=$!
under_traffic a:c c:a -- play half mesh.yml
wait $losing
unset "pids[b]"
is "$((ended_with != 0)),$(became half unreachable)" "1,b Bring the package file" "half: b is down, and that ends it"
is "$(version a),$(version c)" "installed 0.1.1,installed 0.1.0" "a is new, and c as it was"
ip -n lan link set dev b up
boot b
within 60 "b is up again" is_up b
within 30 "and in the mesh" inside a ping -c 1 -W 2 100.64.0.2
under_traffic a:b b:c c:a -- plays whole mesh.yml
is "$(became whole changed)" "b Bring the package file,b Install the package file,c Bring the package file,c Install the package file" "whole: the rest is done"
is "$(version a),$(version b),$(version c)" "installed 0.1.1,installed 0.1.1,installed 0.1.1" "all are new"
is "$(kept a c)" "$before" "with the interfaces of before"

# ---- The disk of c is full.
use /tmp/0.1.2.deb
cat /dev/zero >"$(root c)/var/fill" 2>/dev/null || true
truncate -s -1000000 "$(root c)/var/fill"
play full mesh.yml --limit c
is "$((ended_with != 0)),$(became full changed),$(became full failed)" "1,c Bring the package file,c Install the package file" "full: it fails"
ok "and says why" grep -q 'No space left' /tmp/play.full
is "$(version c),$(inside c systemctl is-active lapwing)" "installed 0.1.1,active" "with the old version in place"
ok "and its tunnels" inside a ping -c 1 -W 10 100.64.0.3
rm "$(root c)/var/fill"
plays room mesh.yml --limit c
is "$(version c)" "installed 0.1.2" "with room it is done"

# ---- b leaves; what takes the mesh away goes over another network.
inventory 10.0.0 "lazy: {idle_minutes: 7}" "lapwing_state: absent" "lapwing_config: {log: {level: debug}}"
foresees leave mesh.yml
is "$(inside b dpkg-query -W -f '${db:Status-Status}' lapwing 2>/dev/null)" "" "b has no package"
is "$(inside b find /etc /usr /var/lib /run -xdev -name '*lapwing*' -not -path '/var/lib/dpkg/*' -printf '%p ')" "" "no file"
is "$(inside b ip -o link show type wireguard; inside b nft list tables; inside b ip rule | grep -vE 'lookup (local|main|default)$')" "" \
	"and in its kernel is nothing"
is "$(inside a lapwing peers --json | grep -o '"name": *"[^"]*"' | paste -sd ,)" '"name":"c"' "a knows c alone"

# ---- b joins a network, with a setup key that lies on it.
start_hub hub
key=$(hubctl hub add-key reusable=false)
sed -i 's,https://netbird.example.net,http://10.0.0.9:33073,' "$(root a)/root/lapwing/scripts/ansible/netbird.yml"
inventory 10.0.0
credential=/etc/credstore/lapwing.setup-key
mkdir -p -m 700 "$(root b)${credential%/*}"
(umask 077 && echo "$key" >"$(root b)$credential")
foresees network netbird.yml --limit b
is "$(became network changed | grep -c 'Join the network')" 1 "network: b joins"
fails "network: the setup key is gone" inside b test -e $credential
is "$(inside b lapwing status --check=ready >/dev/null; echo $?)" 0 "and b is ready"
plays again netbird.yml --limit b
is "$(became again changed)" "" "again: nothing is changed"

# ---- Nothing secret was ever printed.
for name in a c; do tr -d '\n' <"$(root "$name")/var/lib/lapwing/private.key" && echo; done >/tmp/secrets
echo "$key" >>/tmp/secrets
is "$(wc -l </tmp/secrets),$(grep -lFf /tmp/secrets /tmp/play.* | xargs)" 3, "neither private keys nor the setup key are in what was printed"

finish

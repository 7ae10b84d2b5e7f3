# shellcheck shell=bash
# Sourced by scenarios, in the guest: hosts as network namespaces, the daemon in its sandbox, assertions.
# A command that fails outside an assertion ends the scenario as failed; so does an end without finish.
set -eEuo pipefail

scenario=${SCENARIO:-$(basename "$0" .sh)}
failed=0 finished='' ended='ended without finish'
exec {tap}>&1
trap 'at_error "$BASH_COMMAND"' ERR
trap at_exit EXIT

# The line is that of the scenario, not of a function of it.
at_error() { ended="ended in line ${BASH_LINENO[-2]}: $1"; }

at_exit() {
	exec >&"$tap" # an exit in the middle of an assertion finds its output redirected
	[ -n "$finished" ] || fail "$ended"
	exit $((failed > 0))
}

# finish: the last line of every scenario.
finish() {
	[ -z "${SANDBOX-}" ] || is_sandboxed
	finished=yes
	exit
}

# ---- Assertions: each prints one TAP line and succeeds itself, whatever it found.

pass() { echo "ok - $scenario: $1"; }

fail() {
	local log
	failed=$((failed + 1))
	echo "not ok - $scenario: $1"
	for log in /tmp/*/log; do
		[ ! -s "$log" ] || tail -n 15 "$log" | sed "s,^,#   ${log%/log}: ,"
	done
}

# judge WANTED DESCRIPTION COMMAND...: WANTED is 0 for success, 1 for failure.
judge() {
	local wanted=$1 description=$2 status=0
	shift 2
	"$@" >/tmp/.output 2>&1 || status=$?
	# 126 and 127: it did not run at all.
	if [ $status -lt 126 ] && [ $((status != 0)) = "$wanted" ]; then
		pass "$description"
	else
		fail "$description"
		echo "#   status $status of: $*"
		sed 's,^,#   ,' /tmp/.output
	fi
}

# ok DESCRIPTION COMMAND...: the command must succeed.
ok() { judge 0 "$@"; }

# fails DESCRIPTION COMMAND...: the command must run and fail.
fails() { judge 1 "$@"; }

# is ACTUAL EXPECTED DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3"
		printf 'actual:   %s\nexpected: %s\n' "$1" "$2" | sed 's,^,#   ,'
	fi
}

# ---- Waiting

# Reading a pipe that nobody writes to waits without a new process, which costs 20-50 ms under emulation.
exec {never}<> <(:)
pause() { read -rt "$1" -u "$never" || true; }

# wait_for SECONDS COMMAND...: tries every 0.1 s until the command succeeds; fails when it has not in time. The seconds are
# those of a host with nothing else to do; a guest that is emulated beside others has three times as many.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 3000000)) patience=1
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt $end ] || return 1
		pause 0.1
	done
}

# within SECONDS DESCRIPTION COMMAND...: the command must succeed in time; says how long it took.
within() {
	local limit=$1 description=$2 begin=${EPOCHREALTIME/./}
	shift 2
	if wait_for "$limit" "$@"; then
		pass "$description ($(((${EPOCHREALTIME/./} - begin) / 1000)) ms)"
	else
		fail "$description"
		echo "#   not within 3 * $limit s: $*"
		"$@" 2>&1 | sed 's,^,#   ,' || true
	fi
}

# not COMMAND...: for wait_for and within.
not() { ! "$@"; }

# ---- Hosts: a host is a network namespace and the directory /tmp/HOST.

declare -A nics=() pids=() starts=()
# What mesh_file writes about a host: its endpoint without the port (lan sets it, empty for none), and more members.
declare -A mesh_endpoint=() mesh_extra=()
# More members of the mesh document itself.
mesh_members='"interface": {"name": "wt0", "listen_port": 51820}'

# host NAME...
host() {
	local name
	for name; do
		ip netns add "$name"
		# Duplicate address detection would keep IPv6 addresses unusable for a second.
		# shellcheck disable=SC2016 # expanded by the inner shell
		on "$name" sh -c 'for i in all default; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done; exec ip link set lo up'
		install -d "/tmp/$name"
		install -d -o lapwing -g lapwing -m 700 "/tmp/$name/state"
		install -d -o lapwing -g lapwing -m 755 "/tmp/$name/run"
		nics[$name]=0
	done
}

# on HOST COMMAND...
on() { ip netns exec "$@"; }

# lan NAME HOST=ADDRESS/LENGTH[,ADDRESS/LENGTH]...: a bridge that joins eth0 (then eth1, ...) of the hosts.
lan() {
	local lan=$1 pair name nic address addresses batch
	shift
	ip netns add "$lan"
	batch=$'link add br0 type bridge mcast_snooping 0\nlink set br0 up\n'
	for pair; do
		name=${pair%%=*}
		batch+="link add name $name type veth peer name eth${nics[$name]} netns $name"$'\n'"link set dev $name master br0 up"$'\n'
	done
	ip -n "$lan" -batch - <<<"$batch"
	for pair; do
		name=${pair%%=*}
		nic=eth${nics[$name]}
		nics[$name]=$((nics[$name] + 1))
		batch="link set $nic up"$'\n'
		IFS=, read -ra addresses <<<"${pair#*=}"
		for address in "${addresses[@]}"; do
			batch+="address add $address dev $nic"$'\n'
		done
		ip -n "$name" -batch - <<<"$batch"
		: "${mesh_endpoint[$name]=${addresses[0]%/*}}"
	done
}

# net_reset: no hosts, no processes in them, no lans.
net_reset() {
	local name
	for name in /run/netns/*; do
		[ -e "$name" ] || continue
		ip netns pids "${name##*/}" | xargs -r kill -KILL
		rm -rf "/tmp/${name##*/}"
	done
	ip -all netns del
	nics=() pids=() mesh_endpoint=() mesh_extra=()
}

# ---- The daemon

# The rights that the systemd unit gives: on HOST "${confined[@]}" COMMAND... . The namespace's /sys comes from on.
# shellcheck disable=SC2016 # expanded by the inner shell
confined=(bash -c '
	mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && mount -o remount,bind,ro /sys || exit
	exec setpriv --reuid lapwing --regid lapwing --clear-groups --no-new-privs --inh-caps=-all,+net_admin,+net_raw \
		--ambient-caps=-all,+net_admin,+net_raw --bounding-set=-all,+net_admin,+net_raw "$@"' confined)

# listening HOST: whether its daemon listens on a socket under the run directory.
listening() {
	local sockets
	mapfile -t sockets 2>/dev/null <"/proc/${pids[$1]}/net/unix" &&
		[[ ${sockets[*]} =~ \ 00010000\ [0-9]+\ [0-9]+\ +[0-9]+\ /tmp/$1/run/ ]]
}
running() { kill -0 "${pids[$1]}" 2>/dev/null; }
started() { listening "$1" || ! running "$1"; }
stopped() { ! running "$1"; }

# start_daemon HOST [ARGUMENT...]: returns when it listens; fails when it has ended or does not listen after 30 s. Before it,
# nofile=N is how many descriptors it may have, log=FILE where it writes instead of /tmp/HOST/log.
start_daemon() {
	local dir=/tmp/$1 log=${log:-/tmp/$1/log} command
	command=(lapwingd --config "$dir/lapwing.json" --state "$dir/state" --run "$dir/run" "${@:2}")
	if [ -n "${SANDBOX-}" ]; then
		start_unit "$1" "${command[@]}" || return
	else
		ip netns exec "$1" "${confined[@]}" ${nofile:+prlimit "--nofile=$nofile"} "${command[@]}" \
			</dev/null >>"$log" 2>&1 {tap}>&- {never}<&- &
		pids[$1]=$!
	fi
	echo "${pids[$1]}" >"$dir/pid"
	wait_for 30 started "$1" && running "$1" || return
	[ -z "${SANDBOX-}" ] || rights "$1" >>/run/sys/rights
}

# start_unit HOST COMMAND...: under SANDBOX the daemon is a service of systemd: the unit that we ship, as it is, but for where a
# scenario has its files and its network, that nobody restarts it, and that its status is kept: systemd forgets a service that has
# ended well. Each start has a name of its own, as systemd reads a unit that it does not know without being asked.
start_unit() {
	local start=$1-${EPOCHREALTIME/./} given=() file
	local unit=lapwing-$start.service sys=/run/sys/$start
	for file in "${@:3}"; do
		[ ! -d "$file" ] || given+=("$file")
	done
	# systemd 252 leaves the /sys of its own network to a service in another.
	mkdir -p "$sys"
	nsenter "--net=/run/netns/$1" mount -t sysfs sysfs "$sys"
	install -D -m 644 /job/lapwing.service "/run/systemd/system/$unit"
	mkdir "/run/systemd/system/$unit.d"
	cat >"/run/systemd/system/$unit.d/scenario.conf" <<-END
		[Unit]
		ConditionPathExists=
		[Service]
		ExecStart=
		ExecStart=$(command -v "$2") ${*:3}
		Restart=no
		TimeoutStartSec=infinity
		ExecStopPost=+/bin/sh -c 'echo \$\$EXIT_CODE \$\$EXIT_STATUS >$sys.ended'
		NetworkNamespacePath=/run/netns/$1
		BindReadOnlyPaths=/tmp/$1 -/etc/netns/$1/hosts:/etc/hosts -/etc/netns/$1/resolv.conf:/etc/resolv.conf
		BindReadOnlyPaths=$sys/class/net:/sys/class/net $sys/devices/virtual/net:/sys/devices/virtual/net
		BindPaths=${given[*]} -/tmp/$1/logs
		StandardOutput=append:$log
		${nofile:+LimitNOFILE=$nofile}
	END
	systemctl start --no-block "$unit"
	starts[$1]=$start
	wait_for 30 has_pid "$1"
}

# has_pid HOST: whether there is a process that has become the daemon. Until then it is systemd's, called "(lapwingd)", and has
# only a part of the sandbox.
has_pid() {
	local pid comm=
	pid=$(systemctl show -P ExecMainPID "lapwing-${starts[$1]}")
	[ "$pid" != 0 ] || return
	[ ! -e "/proc/$pid" ] || read -r comm <"/proc/$pid/comm" || true
	[[ $comm != "("* ]] && pids[$1]=$pid
}

# rights HOST: what the kernel says of its daemon.
rights() { awk -v ORS=' ' '/^(CapBnd|NoNewPrivs|Seccomp):/ { print $1, $2 }' "/proc/${pids[$1]}/status" && echo; }

# is_sandboxed: a unit that gives the daemon more than it needs, or a start without the unit, would let every other assertion pass.
is_sandboxed() {
	is "$(sort -u /run/sys/rights)" 'CapBnd: 0000000000003000 NoNewPrivs: 1 Seccomp: 2 ' \
		"all $(grep -c . /run/sys/rights) daemons ran in the sandbox of the unit"
}

# reap HOST: waits for its daemon, which is to end by itself, and returns its status; 137 when it had to be killed, 125 when its
# status is not known.
reap() {
	local note=/run/sys/${starts[$1]-}.ended code status=0
	wait_for 10 stopped "$1" || kill -KILL "${pids[$1]}"
	if [ -n "${SANDBOX-}" ]; then
		wait_for 10 test -s "$note" || { echo "systemd tells no status of $1" >&2; return 125; }
		read -r code status <"$note"
		[ "$code" = exited ] || status=$((128 + $(kill -l "$status")))
	else
		wait "${pids[$1]}" 2>/dev/null || status=$?
	fi
	return $status
}

# stop_daemon HOST [SIGNAL]: returns the daemon's status; 124 when it had to be killed.
stop_daemon() {
	local status=0
	kill "-${2:-TERM}" "${pids[$1]}"
	if ! wait_for 10 stopped "$1"; then
		kill -KILL "${pids[$1]}"
		status=124
	fi
	reap "$1" || status=$((status ? status : $?))
	return $status
}

# exits HOST [ARGUMENT...]: starts its daemon, which is to end by itself, and prints its status.
exits() {
	local status=0
	start_daemon "$@" || true
	reap "$1" || status=$?
	echo $status
}

# lw HOST ARGUMENT...: the command line tool, as root.
lw() { on "$1" lapwing --run "/tmp/$1/run" "${@:2}"; }

ready() { lw "$1" status --check=ready; }

# up HOST...: starts their daemons and waits until all of them are ready.
up() {
	local name
	for name; do start_daemon "$name"; done
	for name; do wait_for 30 ready "$name"; done
}

# says HOST TEXT COMMAND...: whether the JSON that the command line tool prints for it has TEXT in it.
says() {
	local json
	json=$(lw "$1" "${@:3}" --json) && [[ $json == *"$2"* ]] || { echo "$json"; return 1; }
}

# logged HOST TEXT
logged() { grep -F -e "$2" "/tmp/$1/log"; }

# reaches HOST ADDRESS [SECONDS]: whether one ping is answered; within a wait the next one is soon sent, else it has 10 s.
reaches() { on "$1" ping -n -q -c 1 -W "${3:-${patience:-10}}" "$2"; }

# ---- Pings in a stream, to see whether one is lost. FILE has what ping prints.

# answers FILE: their numbers, in order.
answers() { sed -n 's/^[0-9]* bytes from .* icmp_seq=\([0-9]*\) .*/\1/p' "$1" | sort -nu; }
# unanswered FILE: which had no answer, among those up to the last that has one. Later ones are under way, and where a guest
# stands still now and then these may be many.
unanswered() { answers "$1" | awk '$1 > last + 1 { print last + 1 "-" $1 - 1 } { last = $1 }' | paste -sd ,; }
# more_answers FILE COUNT: waits until there are so many more.
more_answers() { wait_for 20 has_answers "$1" $(($(answers "$1" | wc -l) + $2)); }
has_answers() { [ "$(answers "$1" | wc -l)" -ge "$2" ]; }

# ---- Configuration

# keys HOST...
keys() {
	local name
	for name; do
		(umask 077 && wg genkey >"/tmp/$name/private.key")
		wg pubkey <"/tmp/$name/private.key" >"/tmp/$name/key.pub"
		chown lapwing:lapwing "/tmp/$name/private.key"
	done
}

# mesh_file HOST...: one mesh of these hosts into all of them; the n-th has 100.64.0.n and fd00:6c::n (n in hex there).
mesh_file() {
	local name n=0 endpoint hosts=
	for name; do
		n=$((n + 1))
		[ -s "/tmp/$name/key.pub" ] || keys "$name"
		hosts+="${hosts:+, }{\"name\": \"$name\", \"public_key\": \"$(<"/tmp/$name/key.pub")\""
		hosts+=", \"addresses\": [\"100.64.0.$n/32\", \"fd00:6c::$(printf %x $n)/128\"]"
		endpoint=${mesh_endpoint[$name]-}
		case $endpoint in
		'') ;;
		*:*) hosts+=", \"endpoints\": [\"[$endpoint]:51820\"]" ;;
		*) hosts+=", \"endpoints\": [\"$endpoint:51820\"]" ;;
		esac
		hosts+="${mesh_extra[$name]+, ${mesh_extra[$name]}}}"
	done
	for name; do
		echo "{\"mesh\": \"test\", $mesh_members, \"hosts\": [$hosts]}" >"/tmp/$name/mesh.json"
	done
}

# host_config HOST [MEMBERS]
host_config() {
	echo "{\"mesh_file\": \"/tmp/$1/mesh.json\", \"private_key_file\": \"/tmp/$1/private.key\"${2:+, $2}}" >"/tmp/$1/lapwing.json"
}

# mesh HOST...: keys, mesh file and configuration of all of them.
mesh() {
	local name
	mesh_file "$@"
	for name; do host_config "$name"; done
}

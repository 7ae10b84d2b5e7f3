# shellcheck shell=bash source=tests/vm/lib.sh
# Attributes of NICs, and irqbalance, as our own code reads and writes them, judged by ethtool, tc, ip and irqbalance.
# kernels: 6.1 6.12
# init: systemd
# cpus: 4
# queues: 4
# timeout: 600
# files: build/tests/live_nic
# sandbox: no, it has no daemon
# shellcheck disable=SC2016,SC2046,SC2317 # expanded and called by eval; words
. /job/lib.sh

read_nic() { live_nic read "$@"; }
write_nic() { live_nic write "$@"; }
# reads DEVICE ATTRIBUTE EXPECTED DESCRIPTION
reads() { is "$(read_nic "$1" "$2" || true)" "$3" "$4"; }
# refused EXPECTED DESCRIPTION DEVICE ATTRIBUTE VALUE
refused() { is "$(write_nic "$3" "$4" "$5" || true)" "$1" "$2"; }
words() { tr '\n' ' ' | sed 's, *$,,'; }

wait_for 60 test -e /sys/class/net/eth1
systemctl stop irqbalance
reads eth0 qdisc EOPNOTSUPP "a device that was never up has no queueing discipline"
ip netns add peer
ip link set eth1 netns peer
ip link set eth0 up
ip address add 10.9.0.1/24 dev eth0
ip -n peer link set eth1 up
ip -n peer address add 10.9.0.2/24 dev eth1
ip link add veth0 type veth peer name veth1
ip link set veth0 up
ip link add wt0 type wireguard
ip link set wt0 up

# ---- What it is
reads eth0 driver "$(ethtool -i eth0 | sed -n 's/^driver: //p')" "the driver is ethtool's"
reads eth0 bus "$(ethtool -i eth0 | sed -n 's/^bus-info: //p')" "the bus is ethtool's"
ip link set eth0 address 52:54:00:00:00:77
reads eth0 address "$(ethtool -P eth0 | sed 's/.*: //')" "the permanent address is ethtool's, not the one in use"
is "$(read_nic eth0 address)" 52:54:00:00:00:01 "and that of the hardware"
reads veth0 driver veth "a veth has a driver's name"
reads veth0 address "" "and no permanent address"
reads veth0 bus "" "and no bus"
reads wt0 driver wireguard "WireGuard has a driver's name"
for attribute in channels rings udp4-hash rss gro-forwarding qdisc driver bus address; do
	reads nosuch $attribute ENODEV "$attribute of a device that is not there"
done

# ---- Channels
# shown DEVICE OPTION NAME [N]: the number of that name that ethtool shows, of two the second, the current one.
shown() { ethtool "$2" "$1" | sed -n "s/^$3:[[:space:]]*//p" | sed 's,n/a,0,' | sed -n "${4-2}p"; }
channels() { echo "rx $(shown eth0 -l RX) tx $(shown eth0 -l TX) combined $(shown eth0 -l Combined)"; }
reads eth0 channels "$(channels)" "channels are those of ethtool -l"
reads eth0 channels-max "rx 0 tx 0 combined 4" "there may be four"
ok "fewer channels" write_nic eth0 channels "rx 0 tx 0 combined 2"
is "$(channels)" "rx 0 tx 0 combined 2" "ethtool -l sees them"
reads eth0 channels "rx 0 tx 0 combined 2" "and we"
refused EINVAL "more than there are" eth0 channels "rx 0 tx 0 combined 5"
refused EINVAL "channels that are no channels" eth0 channels "combined 2"
refused EOPNOTSUPP "the most there may be cannot be written" eth0 channels-max "rx 0 tx 0 combined 2"
ok "all channels" write_nic eth0 channels "rx 0 tx 0 combined 4"
reads veth0 channels "rx $(shown veth0 -l RX) tx $(shown veth0 -l TX) combined 0" "channels of a veth"
reads wt0 channels EOPNOTSUPP "WireGuard has no channels"

# ---- Rings
rings() { echo "rx $(shown eth0 -g RX "$@") tx $(shown eth0 -g TX "$@")"; }
reads eth0 rings "$(rings)" "rings are those of ethtool -g"
reads eth0 rings-max "$(rings 1)" "and so are their limits"
ok "another ring" write_nic eth0 rings "rx 512 tx 256"
is "$(rings)" "rx 512 tx 256" "ethtool -g sees it"
ok "the ring of before" write_nic eth0 rings "rx 1024 tx 256"
is "$(rings)" "rx 1024 tx 256" "ethtool -g sees it again"
refused EINVAL "a ring beyond the limit" eth0 rings "rx 2048 tx 256"
reads veth0 rings EOPNOTSUPP "a veth has no rings"
reads wt0 rings EOPNOTSUPP "nor has WireGuard"

# ---- Hash
for family in 4 6; do
	hash() { ethtool -n eth0 rx-flow-hash udp$family | words; }
	reads eth0 udp$family-hash sdfn "addresses and ports are hashed, udp$family"
	ok "only addresses, udp$family" write_nic eth0 udp$family-hash sd
	is "$(hash)" "UDP over IPV$family flows use these fields for computing Hash flow key: IP SA IP DA" "ethtool -n sees it, udp$family"
	reads eth0 udp$family-hash sd "and we, udp$family"
	ok "ports too, udp$family" write_nic eth0 udp$family-hash sdfn
	ok "ethtool -n sees them, udp$family" eval '[[ "$(hash)" == *"src port"*"dst port"* ]]'
done
refused EINVAL "letters that are none" eth0 udp4-hash sxd
refused EINVAL "what this NIC cannot hash by" eth0 udp4-hash sdfnv
on peer live_nic read eth1 udp4-hash >/tmp/answer || true
is "$(</tmp/answer)" EOPNOTSUPP "a NIC of one queue hashes nothing"
for device in veth0 wt0; do reads $device udp4-hash EOPNOTSUPP "nor does $device"; done

# ---- The indirection table
table() { ethtool -x eth0 | sed -n 's/^ *[0-9]*: *\([0-9 ]*\)$/\1/p' | words | tr -s ' '; }
default=$(table)
is "$(wc -w <<<"$default")" 128 "the table has 128 entries"
reads eth0 rss "$default" "it is that of ethtool -x"
uneven=$(for _ in {1..64}; do echo -n "3 0 "; done | words)
ok "an uneven table" write_nic eth0 rss "$uneven"
is "$(table)" "$uneven" "ethtool -x sees it"
fails "with a table of ours the number of channels cannot fall below it" ethtool -L eth0 combined 2
ok "the even table" write_nic eth0 rss "$default"
is "$(table)" "$default" "ethtool -x sees it"
ok "it is the driver's own again: the number of channels may fall" ethtool -L eth0 combined 2
ok "and rise" ethtool -L eth0 combined 4
ethtool -X eth0 default
is "$(table)" "$default" "the table for four channels"
refused EINVAL "a table of another length" eth0 rss "0 1 2 3"
refused EINVAL "a queue that is not there" eth0 rss "${uneven//3/4}"
is "$(table)" "$default" "nothing changed by that"
for device in veth0 wt0; do reads $device rss EOPNOTSUPP "$device has no table"; done

# ---- Netlink wherever it has a command
# ioctls ATTRIBUTE: how many it takes to read it.
ioctls() { strace -e trace=ioctl live_nic read eth0 "$1" 2>&1 >/dev/null | grep -c SIOCETHTOOL || true; }
is "$(ioctls channels) $(ioctls rings) $(ioctls gro-forwarding)" "0 0 0" "channels, rings and features come by netlink"
is "$(ioctls udp4-hash)" 1 "the hash by ioctl"
case $(uname -r) in
6.1.*) is "$(ioctls rss)" 2 "so does the table, as this kernel has no command for it" ;;
*) is "$(ioctls rss)" 0 "the table by netlink" ;;
esac

# ---- UDP GRO forwarding
gro() { ethtool -k "$1" | sed -n 's/^rx-udp-gro-forwarding: //p'; }
for device in eth0 veth0 wt0; do
	reads $device gro-forwarding off "UDP GRO forwarding is off, $device"
	ok "on, $device" write_nic $device gro-forwarding on
	is "$(gro $device)" on "ethtool -k sees it, $device"
	reads $device gro-forwarding on "and we, $device"
	ok "off, $device" write_nic $device gro-forwarding off
	is "$(gro $device)" off "ethtool -k sees that, $device"
done
refused EINVAL "neither on nor off" eth0 gro-forwarding yes

# ---- Queueing disciplines
# kinds DEVICE: as tc says, root first and then the queues.
kinds() { tc qdisc show dev "$1" | awk '/ root/ { root = $2 } / parent / { split($5, p, ":"); kind[p[2] + 0] = $2; n++ }
	END { printf "%s", root; for (i = 1; i <= n; i++) printf " %s", kind[i] }'; }
roots() { tc qdisc show dev "$1" | sed -n 's/.* \([0-9a-f]*:\) root.*/\1/p'; }
mq="mq fq_codel fq_codel fq_codel fq_codel"
is "$(kinds eth0)" "$mq" "tc shows a root with four queues"
reads eth0 qdisc "mq fq_codel" "so do we"
ok "fq" write_nic eth0 qdisc fq
is "$(kinds eth0)" "mq fq fq fq fq" "tc shows fq at every queue"
is "$(roots eth0)" 1a70: "under a root of ours"
reads eth0 qdisc "mq fq" "so do we"
handles=$(tc qdisc show dev eth0)
ok "fq once more" write_nic eth0 qdisc fq
ok "fq as it is read" write_nic eth0 qdisc "mq fq fq fq fq"
is "$(tc qdisc show dev eth0)" "$handles" "nothing was made anew"
ok "what was before" write_nic eth0 qdisc "$mq"
is "$(kinds eth0) $(roots eth0)" "$mq 0:" "tc shows the kernel's own"
ok "with four channels as with two" write_nic eth0 qdisc "mq fq_codel fq_codel"
is "$(roots eth0)" 0: "where that is the kernel's own already"
echo pfifo_fast >/proc/sys/net/core/default_qdisc
ok "fq where another is the default" write_nic eth0 qdisc fq
ok "and what was before" write_nic eth0 qdisc "$mq"
is "$(kinds eth0)" "$mq" "tc shows what was before, not the new default"
echo fq_codel >/proc/sys/net/core/default_qdisc
ok "again" write_nic eth0 qdisc fq
ok "and back" write_nic eth0 qdisc "$mq"
is "$(kinds eth0) $(roots eth0)" "$mq 0:" "and the kernel's own where it is the default"

tc qdisc replace dev eth0 root handle 5: htb
reads eth0 qdisc "!htb" "what an operator configured is marked"
refused EBUSY "and left alone" eth0 qdisc fq
is "$(kinds eth0) $(roots eth0)" "htb 5:" "it is still there"
tc qdisc replace dev eth0 root handle 6: mq
reads eth0 qdisc "!mq fq_codel" "an operator's own mq as well"
refused EBUSY "and left alone" eth0 qdisc "$mq"
tc qdisc delete dev eth0 root
ip link set lo up
reads lo qdisc noqueue "loopback has none to speak of"
reads veth0 qdisc "$(kinds veth0)" "a veth's is that of tc"
reads wt0 qdisc "$(kinds wt0)" "so is WireGuard's"
ok "fq for a device of one queue" on peer live_nic write eth1 qdisc fq
is "$(on peer tc qdisc show dev eth1 | awk '{ print $2, $3 }')" "fq 1a70:" "tc shows it at the root"
ok "what was before" on peer live_nic write eth1 qdisc fq_codel
is "$(on peer tc qdisc show dev eth1 | awk '{ print $2, $3 }')" "fq_codel 0:" "tc shows the kernel's own"
ok "fq for a device without" write_nic wt0 qdisc fq
is "$(kinds wt0)" fq "tc shows it"
ok "and none again" write_nic wt0 qdisc noqueue
is "$(kinds wt0) $(roots wt0)" "noqueue 0:" "tc shows none"
refused ENOENT "a kind that this kernel does not have" wt0 qdisc nosuch
refused EINVAL "a kind that is none" wt0 qdisc "fq;reboot"
within 10 "the wire carries packets after all of that" ping -n -q -c 1 -W 1 10.9.0.2

# ---- Counters
ip link set eth0 down
is "$(live_nic statistics eth0)" "$(ethtool -S eth0 | sed '1d; s/^ *//')" "the driver's counters are those of ethtool -S"
ok "there are some" test "$(live_nic statistics eth0 | wc -l)" -gt 20
is "$(live_nic statistics wt0 || true)" EOPNOTSUPP "WireGuard has none"
ip link set eth0 up

# ---- Without rights
user=(setpriv --reuid lapwing --regid lapwing --clear-groups)
is "$("${user[@]}" live_nic read eth0 channels)" "rx 0 tx 0 combined 4" "anybody may read"
for pair in "channels:rx 0 tx 0 combined 2" "rings:rx 512 tx 256" udp4-hash:sd "rss:$uneven" gro-forwarding:on qdisc:fq; do
	is "$("${user[@]}" live_nic write eth0 "${pair%%:*}" "${pair#*:}" || true)" EPERM "but not write ${pair%%:*}"
done

# ---- irqbalance
is "$(live_nic look)" none "irqbalance does not run"
is "$(live_nic ban 40 || true)" ENOENT "nobody to tell"
is "$("${user[@]}" live_nic look)" none "nor for others"
echo 'IRQBALANCE_ARGS="-t 1 --banirq=24"' >/etc/default/irqbalance
mapfile -t irqs < <(awk -F: '/virtio[0-9]*-(input|output)/ { print $1 + 0 }' /proc/interrupts)
# pile: all interrupts of the NICs on the last processor. piled: are they all there?
pile() { local irq; for irq in "${irqs[@]}"; do echo 8 >/proc/irq/"$irq"/smp_affinity; done; }
piled() { ! grep -qv '^0*8$' $(printf '/proc/irq/%s/smp_affinity ' "${irqs[@]}"); }
pile
ok "systemd starts irqbalance" live_nic start
ok "it runs" systemctl -q is-active irqbalance
within 20 "it answers, and leaves alone what it was told at its start" eval '[ "$(live_nic look)" = "socket 24" ]'
within 30 "it moves interrupts" not piled
is "$("${user[@]}" live_nic look)" socket "who may not ask it knows that it can be told"
ok "it is told to leave the NICs alone" live_nic ban 24 "${irqs[@]}"
is "$(live_nic look)" "socket 24 ${irqs[*]}" "it says so itself"
# asked QUESTION: what irqbalance answers to somebody else.
asked() {
	python3 -c '
import glob, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(glob.glob("/run/irqbalance/*.sock")[0])
s.sendmsg([sys.argv[1].encode()], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), 0, 0))])
print(s.recv(65536).decode())' "$1"
}
is "$(asked setup | grep -o 'IRQ [0-9]*' | words)" "IRQ 24$(printf ' IRQ %s' "${irqs[@]}")" "and to others"
pile
pause 8
ok "eight of its rounds later all are where they were put" piled
ok "the longest list that it takes" live_nic ban 24 {1000..1095}
is "$(live_nic look)" "socket 24 $(echo {1000..1095})" "it has all of it"
ok "it is told of the NICs again" live_nic ban 24 "${irqs[@]}"
is "$(live_nic ban 240 {1000..1095} || true)" E2BIG "a list with one byte more"
is "$(live_nic look)" "socket 24 ${irqs[*]}" "leaves it with the one that it had"
is "$(live_nic ban 24 "${irqs[@]}" {1000..1200} || true)" E2BIG "a far longer one"
is "$(live_nic look)" "socket 24 ${irqs[*]}" "leaves it with the one that it had"
ok "it is told what it was told at its start" live_nic ban 24
is "$(live_nic look)" "socket 24" "and has forgotten the rest"
ok "nothing to leave alone" live_nic ban
is "$(live_nic look)" socket "and it knows of nothing"
ok "systemd stops irqbalance" live_nic stop
fails "it is gone" systemctl -q is-active irqbalance
is "$(live_nic look)" none "and does not run"
ok "systemd stops it again" live_nic stop
is "$(DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent live_nic stop || true)" EOPNOTSUPP "no systemd to ask"
systemctl -q mask irqbalance
is "$(live_nic start || true)" ENOENT "a unit that is masked"

# Where it cannot make a file it has an abstract name, which anybody else could take as well.
rm -rf /run/irqbalance
irqbalance --foreground -t 1 >/tmp/irqbalance.log 2>&1 &
pid=$!
within 20 "irqbalance without a directory for its socket" eval '[ "$(live_nic look)" = socket ]'
ok "is told as well" live_nic ban "${irqs[0]}"
is "$(live_nic look)" "socket ${irqs[0]}" "and says so"
kill $pid
wait $pid || true
"${user[@]}" python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind(b"\0" * 108)
s.listen()
print("listening", flush=True)
time.sleep(600)' >/tmp/impostor &
pid=$!
wait_for 10 grep listening /tmp/impostor
is "$(live_nic look)" none "somebody else under its name is not asked"
is "$(live_nic ban 40 || true)" EPERM "nor told"
kill $pid
cp /bin/sleep /tmp/irqbalance
/tmp/irqbalance 600 &
pid=$!
is "$(live_nic look)" deaf "a process without a socket is deaf"
kill $pid

finish

# shellcheck shell=bash source=tests/vm/lib.sh
# What `tune apply --persist` leaves for the next start of a host; the scenario that comes after is that start.
# init: systemd
# cpus: 4
# queues: 4
# timeout: 240
# files: tests/vm/tuned.sh scripts/lapwing-tune.service
# sandbox: no, it has no daemon
. /job/lib.sh
. /job/tuned.sh

settings >/tmp/out/before
ok "it is applied, and persists" lapwing tune apply --allow-disruptive --persist
settings >/tmp/out/after
fails "something is different now" cmp -s /tmp/out/before /tmp/out/after
is "$(readlink /etc/systemd/system/multi-user.target.wants/lapwing-tune.service)" \
	/usr/lib/systemd/system/lapwing-tune.service "the unit is enabled"
tar -C / -cf /tmp/out/state.tar etc/sysctl.d/90-lapwing.conf var/lib/lapwing-tune \
	etc/systemd/system/multi-user.target.wants/lapwing-tune.service

# ---- irqbalance
# asked: which interrupts it leaves alone, as it says itself.
asked() {
	python3 -c '
import glob, os, re, socket, struct
s = socket.socket(socket.AF_UNIX)
s.connect(glob.glob("/run/irqbalance/*.sock")[0])
s.sendmsg([b"setup"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), 0, 0))])
print(*re.findall(r"IRQ (\d+)", s.recv(65536).decode()))'
}
ok "all is taken back" lapwing tune revert
nic=$(basename "$(readlink /sys/class/net/eth0/device)")
mapfile -t irqs < <(sed -n "s/^ *\([0-9]*\):.* $nic-\(input\|output\)\.[0-9]*$/\1/p" /proc/interrupts)
echo 'IRQBALANCE_ARGS="-t 1 --banirq=24"' >/etc/default/irqbalance
systemctl start irqbalance
is "$(wait_for 20 asked && asked)" 24 "irqbalance runs, and leaves one interrupt alone"
ok "the interrupts are spread, and it is told" lapwing tune apply --only irqbalance,irq
is "$(asked)" "24 ${irqs[*]}" "it leaves those of the NIC alone too"
pause 5
ok "so that they stay where they were put" lapwing tune verify
ok "revert" lapwing tune revert --force
is "$(asked)" 24 "tells it to leave none but the first"
ok "or it is stopped" lapwing tune apply --only irqbalance --irqbalance=stop
fails "by systemd" systemctl -q is-active irqbalance
ok "and revert" lapwing tune revert
ok "has it started again" systemctl -q is-active irqbalance
is "$(wait_for 20 asked && asked)" 24 "as it was"
finish

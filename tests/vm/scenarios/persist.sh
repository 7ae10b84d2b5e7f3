# shellcheck shell=bash source=tests/vm/lib.sh
# What `tune apply --persist` leaves for the next start of a host; the scenario that comes after is that start.
# init: systemd
# cpus: 4
# queues: 4
# timeout: 240
# files: tests/vm/tuned.sh scripts/lapwing-tune.service
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
finish

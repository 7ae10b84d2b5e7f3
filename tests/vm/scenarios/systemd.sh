# shellcheck shell=bash source=tests/vm/lib.sh
# systemd runs as the guest's init.
# init: systemd
. /job/lib.sh

is "$(</proc/1/comm)" systemd "systemd is the first process"
ok "the system is up and no unit failed" systemctl is-system-running --wait
is "$(systemd-run --quiet --pipe --wait -p User=lapwing id -un)" lapwing "units run as the daemon's user"

finish

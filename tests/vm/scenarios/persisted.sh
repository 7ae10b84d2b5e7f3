# shellcheck shell=bash source=tests/vm/lib.sh
# A host starts anew with what `tune apply --persist` has left: sysctl(8) and the unit bring everything back; and `revert`
# takes it away, for this start and the next.
# after: persist
# timeout: 240
# files: tests/vm/tuned.sh scripts/lapwing.service scripts/lapwing-tune.service scripts/lapwing-tune@.service scripts/90-lapwing-tune.rules
# sandbox: no, it has no daemon
. /job/lib.sh
. /job/tuned.sh

same() { # FILE DESCRIPTION
	settings >/tmp/now
	ok "$2" diff "/job/out/$1" /tmp/now
}

same before "the host has started as it always does"
tar -C / -xf /job/out/state.tar
systemctl daemon-reload
sysctl --quiet --system
settings | grep '^net\.' >/tmp/now
ok "sysctl brings back what it can" diff <(grep '^net\.' /job/out/after) /tmp/now
ok "the unit brings back the rest" systemctl start lapwing-tune.service
systemctl status --no-pager lapwing-tune.service | sed 's/^/# /'
same after "all is as it was before the start"
ok "and as verify wants it" lapwing tune verify
ok "a second run of it" systemctl restart lapwing-tune.service
same after "changes nothing"
ok "revert" lapwing tune revert
same before "takes all of it back, also what the start before has set"
fails "the sysctl file is gone" test -e /etc/sysctl.d/90-lapwing.conf
fails "the unit is disabled" test -L /etc/systemd/system/multi-user.target.wants/lapwing-tune.service
fails "and nothing else is left" test -e /var/lib/lapwing-tune/originals.json

# ---- As lapwing.json says: the interface of the tunnels is made anew, and nobody but the rule and the unit does anything
install -D -m 644 /job/lapwing-tune@.service /usr/lib/systemd/system/lapwing-tune@.service
install -D -m 644 /job/90-lapwing-tune.rules /usr/lib/udev/rules.d/90-lapwing-tune.rules
mkdir -p /etc/lapwing
echo '{"tune": {"apply_on_start": true, "only": ["rps"]}}' >/etc/lapwing/lapwing.json
systemctl daemon-reload
udevadm control --reload
steered() { [ "$(cat /sys/class/net/wt0/queues/rx-0/rps_cpus)" = f ]; }
renew() {
	ip link del wt0
	ip link add wt0 type wireguard
	ip link set wt0 up mtu 1280
}
renew
within 20 "packets of an interface that has appeared are steered" steered
wait_for 20 not systemctl -q is-active lapwing-tune@wt0.service
systemctl status --no-pager lapwing-tune@wt0.service | sed 's/^/# /' || true
is "$(systemctl show -P Result lapwing-tune@wt0.service)" success "by its unit"
is "$(cat /sys/class/net/wt0/mtu), $(sysctl -n net.core.netdev_max_backlog)" "1280, 1000" "and nothing else is changed"
renew
within 20 "so it is when the interface appears again" steered

# ---- The daemon's unit, here without a daemon in it, has the settings of the whole host made
systemctl stop lapwing-tune.service
{
	sed '/^\[Service\]/,$d' /job/lapwing.service
	printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n'
} >/usr/lib/systemd/system/lapwing.service
echo '{"tune": {"apply_on_start": true, "only": ["backlog"]}}' >/etc/lapwing/lapwing.json
systemctl daemon-reload
systemctl start lapwing.service
made() { [ "$(sysctl -n net.core.netdev_max_backlog)" = 10000 ]; }
within 60 "apply_on_start needs no unit enabled but the daemon's" made
ok "and that is taken back" lapwing tune revert --only backlog

echo '{"tune": {"apply_on_start": false, "only": ["rps"]}}' >/etc/lapwing/lapwing.json
renew
pause 5
fails "unless it is not to be" steered
finish

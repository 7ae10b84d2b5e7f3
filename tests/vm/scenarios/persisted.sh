# shellcheck shell=bash source=tests/vm/lib.sh
# A host starts anew with what `tune apply --persist` has left: sysctl(8) and the unit bring everything back; and `revert`
# takes it away, for this start and the next.
# after: persist
# timeout: 240
# files: tests/vm/tuned.sh scripts/lapwing-tune.service
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
finish

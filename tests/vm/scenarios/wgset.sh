# shellcheck shell=bash source=tests/vm/lib.sh
# WireGuard's own settings, for whose changes the kernel has no event: compared each minute.
# timeout: 180
. /job/lib.sh

# What peers always up have; sleeping ones are told of elsewhere.
mesh_members='"lazy": {"enabled": false}, "interface": {"name": "wt0", "listen_port": 51820}'

host a b c d e
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24 d=10.0.0.4/24 e=10.0.0.5/24
mesh a b c d e
up a b c d # nobody has a session with e
key() { cat "/tmp/$1/key.pub"; }
for i in 2 3 4; do reaches a 100.64.0.$i 3 >/dev/null; done
settings() { on a wg show wt0 "$1"; }
of() { settings "$1" | grep "^$(key "$2")" | cut -f 2 | xargs -n 1 | sort | xargs; }
whole() {
	[ "$(settings listen-port)" = 51820 ] && [ "$(settings fwmark)" = 0xca6c ] &&
		[ "$(settings public-key)" = "$(key a)" ] &&
		[ "$(of allowed-ips b)" = "100.64.0.2/32 fd00:6c::2/128" ] &&
		[ "$(of allowed-ips c)" = "100.64.0.3/32 fd00:6c::3/128" ] &&
		[ "$(of allowed-ips d)" = "100.64.0.4/32 fd00:6c::4/128" ] &&
		[ "$(of endpoints e)" = 10.0.0.5:51820 ] &&
		[ "$(of persistent-keepalive d)" = off ]
}
ok "all is in place" whole
# Looks often at first, then once a minute: what is healed here is healed by that.
pause 40
foreign=$(wg genkey | wg pubkey)
on a wg set wt0 listen-port 4444 fwmark 7 private-key <(wg genkey)
on a wg set wt0 peer "$(key b)" remove peer "$(key c)" allowed-ips 100.64.0.99/32 \
	peer "$(key d)" persistent-keepalive 9 peer "$(key e)" endpoint 10.0.0.55:1234 \
	peer "$foreign" allowed-ips 100.64.0.200/32
fails "the tunnels are broken" reaches a 100.64.0.2 1
within 61 "everything is healed within a minute" whole
for i in 2 3 4; do within 5 "100.64.0.$i is reached" reaches a 100.64.0.$i; done
for i in 2 3 4; do ok "and reaches it" reaches "$(echo . a b c d | cut -d ' ' -f $((i + 1)))" 100.64.0.1 3; done
is "$(settings allowed-ips | grep "^$foreign" | cut -f 2)" 100.64.0.200/32 "a peer that somebody added stays"
within 3 "and status lists it" says a "\"foreign_peers\":[\"$foreign\"]" status
ok "as one" says a '"foreign":1' status
ok "the log tells of the repair" logged a "repairing: peers were changed"
ok "and of the settings" logged a "repairing: WireGuard's key, port or mark"
fails "without its keys" grep -q -F -f /tmp/a/private.key /tmp/a/log

# Somebody who asks for it need not wait a minute.
on a wg set wt0 peer "$(key b)" remove
lw a up --wait >/dev/null
ok "up repairs at once" whole
within 5 "and b is reached" reaches a 100.64.0.2
mesh_file a b c d
within 2 "a peer that the file does not have any more goes" eval '! settings peers | grep -q "^$(key e)"'
ok "the foreign one stays" grep -q "^$foreign" <(settings peers)
lw a down >/dev/null
lw a up --wait >/dev/null
ok "a is ready" ready a

finish

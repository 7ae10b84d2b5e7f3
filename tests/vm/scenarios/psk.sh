# shellcheck shell=bash source=tests/vm/lib.sh
# Pre-shared keys: the mesh file's, those given on a host, and those that somebody else sets in the kernel, which stay.
# timeout: 240
. /job/lib.sh

host a b c
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24
keys a b c
for h in a b c; do
	install -d -o lapwing -m 755 /tmp/$h/psk
	mesh_extra[$h]="\"psk_file\": \"/tmp/SELF/psk/$h\""
done
mesh a b c
for h in a b c; do sed -i "s,/tmp/SELF,/tmp/$h,g" /tmp/$h/mesh.json; done
# file HOST OTHER KEY
file() { (umask 077 && echo "$3" >"/tmp/$1/psk/.$2" && chown lapwing "/tmp/$1/psk/.$2" && mv "/tmp/$1/psk/.$2" "/tmp/$1/psk/$2"); }
# all KEY: of all pairs.
all() { for h in a b c; do for o in a b c; do file $h $o "$1"; done; done; }
key() { cat "/tmp/$1/key.pub"; }
# kernel HOST OTHER: the key that is there.
kernel() { on "$1" wg show wt0 preshared-keys | grep "^$(key "$2")" | cut -f 2; }
has() { [ "$(kernel "$1" "$2")" = "$3" ]; }
whose() { lw "$1" peers "$2" --json | grep -o '"psk":"[a-z]*"' | cut -d '"' -f 4; }
is_whose() { [ "$(whose "$1" "$2")" = "$3" ]; }
# rosenpass HOST OTHER KEY
rosenpass() { on "$1" wg set wt0 peer "$(key "$2")" preshared-key <(echo "$3"); }
first=$(wg genpsk) second=$(wg genpsk) given=$(wg genpsk) outside=$(wg genpsk) next=$(wg genpsk)

all "$first"
up a b c
ok "the mesh file's key is in the kernel" has a b "$first"
ok "and works" reaches a 100.64.0.2
is "$(whose a b)" mesh "status says whose it is"

# Somebody else's.
rosenpass a b "$outside"
rosenpass b a "$outside"
lw a up --wait >/dev/null
ok "a key from outside is not overwritten when all is compared" has a b "$outside"
within 5 "and told as such" is_whose a b outside
fails "no peer was repaired" logged a "repairing: peers"
lw a idle b >/dev/null
within 5 "who is parked keeps it" eval 'has a b "$outside" && lw a peers b | grep -q parked'
ok "who is woken too" reaches a 100.64.0.2
ok "with that key" has a b "$outside"
stop_daemon a KILL || true
up a
within 5 "it outlasts kill -9" eval 'is_whose a b outside && has a b "$outside"'
stop_daemon a
up a
within 5 "and a clean restart" eval 'is_whose a b outside && has a b "$outside"'
sed -i 's,"mesh": "test","mesh": "other",; s,fd00:6c::3/128,fd00:6c::33/128,' /tmp/a/mesh.json
within 5 "and another mesh file" eval 'on a wg show wt0 allowed-ips | grep -q fd00:6c::33'
ok "it is still there" has a b "$outside"
rosenpass a b "$next"
rosenpass b a "$next"
pause 1
ok "the next one too" has a b "$next"
on a wg set wt0 peer "$(key c)" preshared-key /dev/null
lw a up --wait >/dev/null
within 5 "where there is none any more the mesh file's is set again" has a c "$first"
ok "beside the other's" has a b "$next"

# Rotation, by those who know of it.
all "$second"
for h in a b; do lw $h up --wait >/dev/null; done
within 5 "another key in the file is set, also in place of somebody else's" eval 'has a b "$second" && has b a "$second"'
ok "it works" reaches a 100.64.0.2
stop_daemon a
all "$first"
up a
lw b up --wait >/dev/null
within 5 "also what was written while nobody ran" eval 'has a b "$first" && has b a "$first"'

# Given on a host.
echo "$given" >/tmp/given
chmod 600 /tmp/given
is "$(lw a psk set b --file /tmp/given)" "b: pre-shared key set" "a key is given"
within 5 "it is in the kernel" has a b "$given"
is "$(whose a b)" set "status says where it comes from"
ok "also by standard input" lw b psk set a --file - <<<"$given"
within 5 "on the other side" has b a "$given"
ok "and works" reaches a 100.64.0.2
is "$(lw a psk set b --file=/tmp/given)" "b: pre-shared key was already set" "once is enough"
is "$(stat -c %a:%U /tmp/a/state/psks)" 600:lapwing "it is kept for nobody else to read"
stop_daemon a KILL || true
ip -n a link del wt0
up a
ok "it outlasts kill -9 and the interface" has a b "$given"
all "$second"
lw a up --wait >/dev/null
within 5 "the mesh file's rotation concerns others" has a c "$second"
ok "not that one" has a b "$given"
rosenpass a b "$outside"
lw a up --wait >/dev/null
ok "it gives way to somebody else's" has a b "$outside"
ok "until it is given again" lw a psk set b --file /tmp/given
within 5 "then it is there" has a b "$given"
is "$(lw a psk clear b)" "b: cleared; that of the mesh holds" "it is taken back"
within 5 "and the mesh file's holds" has a b "$second"
fails "a key of zeros is none" lw a psk set b --file <(head -c 32 /dev/zero | base64)
fails "nor is a typing error" lw a psk set b --file <(echo "$given"x)
fails "there is no such peer" lw a psk set nobody --file /tmp/given
for text in "$given" "$first" "$second" "$outside"; do
	fails "no key is told" grep -qrF "${text%?}" /tmp/a/log /tmp/b/log /tmp/a/state <(lw a status -d --json) <(lw a peers b)
done
hex=$(base64 -d <<<"$given" | od -An -v -tx1 | tr -d ' \n')
fails "one that was taken back is kept nowhere" grep -q "$hex" <(od -An -v -tx1 /tmp/a/state/psks | tr -d ' \n')

finish

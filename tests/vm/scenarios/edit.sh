# shellcheck shell=bash source=tests/vm/lib.sh
# Edits of the mesh file while traffic runs between two hosts that no edit is about.
# timeout: 240
. /job/lib.sh

# What peers always up have; sleeping ones are told of elsewhere.
mesh_members='"lazy": {"enabled": false}, "interface": {"name": "wt0", "listen_port": 51820}'

host a b c d
lan net a=10.0.0.1/24 b=10.0.0.2/24 c=10.0.0.3/24 d=10.0.0.4/24
mesh a b c d
for h in a b c d; do cp /tmp/$h/mesh.json /tmp/$h/four; done
mesh_file a b c
key() { cat "/tmp/$1/key.pub"; }
peers() { on a wg show wt0 peers | sort | xargs; }
has_peer() { [[ " $(peers) " == *" $(key "$1") "* ]]; }
allowed() { on a wg show wt0 allowed-ips | grep "^$(key "$1")" | cut -f 2; }
allows() { [[ " $(allowed "$1") " == *" $2 "* ]]; }
endpoint() { on a wg show wt0 endpoints | grep "^$(key "$1")" | cut -f 2; }
has_endpoint() { [ "$(endpoint "$1")" = "$2" ]; }
handshake() { on a wg show wt0 latest-handshakes | grep "^$(key "$1")" | cut -f 2; }
mesh=/tmp/a/mesh.json
up a b c
ok "a reaches b" reaches a 100.64.0.2
index=$(ip -n a -o link show wt0 | cut -d : -f 1)
shaken=$(handshake b)

# The witness: 20 packets a second from a to b, from now until the end.
ip netns exec a ping -n -i 0.05 100.64.0.2 >/tmp/witness &
witness=$!

before=$(peers)
cp /tmp/a/four /tmp/a/next && mv /tmp/a/next $mesh
within 2 "a file moved over the old one adds a host" has_peer d
is "$(on a wg show wt0 peers | wc -l)" 3 "and keeps the others"
ok "with its route" [ -n "$(ip -n a route get 100.64.0.4 | grep 'dev wt0')" ]
cp /tmp/a/four /tmp/d/mesh.json
start_daemon d
cp /tmp/a/four /tmp/b/mesh.json
within 15 "which is reached when it begins" reaches a 100.64.0.4

sed 's/10.0.0.3:51820/10.0.0.33:51820/' $mesh >/tmp/a/next
cat /tmp/a/next >$mesh
within 2 "a file written in place changes an endpoint" has_endpoint c 10.0.0.33:51820
sed -i 's/10.0.0.33:51820/10.0.0.3:51820/; s,"fd00:6c::3/128"\],&\, "routes": ["10.33.0.0/16"],' $mesh
within 2 "a route is added" allows c 10.33.0.0/16
within 1 "also to the routing table" eval '[[ $(ip -n a route get 10.33.1.1) == *"dev wt0"* ]]'
ok "the endpoint is back" has_endpoint c 10.0.0.3:51820
sed -i 's,10.33.0.0/16,10.34.0.0/16,' $mesh
within 2 "a route is changed" allows c 10.34.0.0/16
within 1 "and the old one gone" eval '[[ $(ip -n a route get 10.33.1.1 2>&1) != *"dev wt0"* ]]'
sed -i 's/"10.34.0.0\/16"//; s,"fd00:6c::3/128"\],"fd00:6c::33/128"],' $mesh
within 2 "an address of a peer is changed" eval '[ "$(allowed c | xargs -n 1 | sort | xargs)" = "100.64.0.3/32 fd00:6c::33/128" ]'

cp $mesh /tmp/a/good
rm $mesh
within 3 "a deleted file is told" says a '"error":"/tmp/a/mesh.json: ' status
is "$(on a wg show wt0 peers | wc -l)" 3 "and changes nothing"
cp /tmp/a/good $mesh
within 3 "a file that is there again is read" says a '"error":null' status

wrong() { # DESCRIPTION TEXT SED
	sed -e "$3" /tmp/a/good >$mesh
	within 2 "$1 is told by status" says a "$2" status
	ok "and by the log" logged a "$2"
	is "$(on a wg show wt0 | grep -v -e handshake -e transfer)" "$installed" "and changes nothing"
}
installed=$(on a wg show wt0 | grep -v -e handshake -e transfer)
sed 's/,/,\n/g' /tmp/a/good >/tmp/a/lines && mv /tmp/a/lines /tmp/a/good # one member per line
line=$(grep -n 'fd00:6c::33/128' /tmp/a/good | cut -d : -f 1)
wrong "an address that is none" "$mesh: line $line: hosts[2].addresses[1]" 's,fd00:6c::33/128,fd00:6c::33/129,'
wrong "an unknown key" "$mesh: line $((line - 3)): hosts[2]" 's/"name": "c"/"nane": "c"/'
wrong "half a file" "$mesh: line" '5q'
wrong "an empty file" "$mesh: " d
ok "status says that something is wrong" says a '"state":"degraded"' status
cp /tmp/a/good $mesh
within 2 "a good file ends it" ready a
ok "with no error left" says a '"error":null' status

cp $mesh /tmp/a/next
chmod 666 $mesh
echo >>$mesh
within 2 "a file that others may write is refused" says a "$mesh: " status
mv /tmp/a/next $mesh
within 2 "and taken when they may not" ready a

mesh_file a b c
within 2 "a host is removed" not has_peer d
is "$(peers)" "$before" "and no other"
fails "its address has no route" grep -q wt0 <(ip -n a route get 100.64.0.4)
ok "c is still reached" reaches a 100.64.0.3

kill -INT $witness
wait $witness || true
is "$(unanswered /tmp/witness)" "" "no packet between the others was lost"
ok "and there were many" has_answers /tmp/witness 101
is "$(handshake b)" "$shaken" "their session is the same"
is "$(ip -n a -o link show wt0 | cut -d : -f 1)" "$index" "and the interface"
fails "nothing was repaired" logged a repairing

finish

# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh
# The hub itself in a guest: another host joins over TLS and in cleartext and gets its maps, also of a hub that was killed.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh
# timeout: 240
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh

host hub a
lan net hub=10.0.0.1/24 a=10.0.0.2/24
hub_certificate hub 10.0.0.1
begin=${EPOCHREALTIME/./}
ok "the hub starts" start_hub hub
echo "# in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
key=$(hubctl hub add-key reusable=false)

# client PROGRAM: Python on a, with a client `c` of the hub over TLS and `plain` without, with the same key.
client() {
	on a env PYTHONPATH=/job/hub python3 - "$key" <<-END
		import sys, grpc
		from client import *
		key = bytes(range(31)) + b'\x60'
		c = Client('10.0.0.1:443', key, grpc.ssl_channel_credentials(open('/tmp/hub/hub.crt', 'rb').read()))
		plain = Client('10.0.0.1:33073', key)
		${1//$'\t'/}
	END
}
ok "a host joins over TLS and follows in cleartext" client "
		print(c.login(sys.argv[1], hostname='a').at(2, 1))
		first = plain.next_map(plain.sync())
		assert first.at(2, 1) == b'100.64.0.1/16', first.fields"
ok "which the hub has seen" eval '[[ $(hubctl hub peer peer=a) == *\"label\":\ \"a\"* ]]'
kill_hub hub
ok "killed, it starts again" start_hub hub
ok "and still knows the host" client "
		assert c.login(hostname='a').at(2, 4) == b'a.netbird.selfhosted'"
ok "the proxy starts" start_fault_proxy hub 33074
hubctl hub.proxy mode name=refuse
fails "and refuses" client "
		Client('10.0.0.1:33074', key).get_key(timeout=10)"
finish

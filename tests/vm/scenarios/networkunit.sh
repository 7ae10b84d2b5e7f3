# shellcheck shell=bash source=tests/vm/lib.sh
# The unit that we ship joins a network of a server in its sandbox, by name and TLS, and follows it over restarts.
# init: systemd
# timeout: 300
# files: scripts/lapwing.service scripts/lapwing-enroll.service scripts/sysusers.conf tests/hub build/gen/management_pb2.py
# sandbox: no, starts the unit itself
# shellcheck disable=SC2016,SC2317 # expanded by eval
. /job/lib.sh

userdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/passwd
groupdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/group
install -Dm 644 /job/sysusers.conf /usr/lib/sysusers.d/lapwing.conf
systemd-sysusers
install -m 755 /job/lapwingd /job/lapwing /usr/sbin/
ln -s ../sbin/lapwing /usr/bin/lapwing
install -m 644 /job/lapwing.service /job/lapwing-enroll.service /etc/systemd/system/
systemctl daemon-reload
install -d -m 755 /etc/lapwing
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=hub" \
	-addext "subjectAltName=DNS:hub.test" -keyout /tmp/hub.key -out /etc/lapwing/ca.pem 2>/dev/null
install -o lapwing -m 600 /tmp/hub.key /etc/lapwing/client.key # the same for both sides
install -d /etc/lapwing/ca && cp /etc/lapwing/ca.pem /etc/lapwing/ca/ && openssl rehash /etc/lapwing/ca
echo '127.0.0.1 hub.test' >>/etc/hosts
python3 /job/hub/hub.py --control /tmp/hub.sock --listen 127.0.0.1:33073 --tls 127.0.0.1:443 --cert /etc/lapwing/ca.pem --key /tmp/hub.key \
	--client-ca /etc/lapwing/ca.pem >/tmp/hub.ready 2>/tmp/hub.log </dev/null &
ok "the hub starts" wait_for 60 test -s /tmp/hub.ready
hubctl() { python3 /job/hub/hubctl -s /tmp/hub.sock "$@"; }
(umask 077 && mkdir -p /etc/credstore && hubctl add-key >/etc/credstore/lapwing.setup-key)
member() { lapwing status --json | python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }
is_member() { [ "$(member "$1")" = "$2" ]; }

echo '{"management": {"ca_dir": "/etc/lapwing/ca"}}' >/etc/lapwing/lapwing.json
ok "the unit starts with nothing to do" systemctl enable --now lapwing
is "$(member "['state']")" waiting "and waits"
ok "status --check=ready says that it is not enrolled" eval 'lapwing status --check=ready >/dev/null; [ $? = 4 ]'
status=0
lapwing enroll --management-url https://hub.test --setup-key-file /etc/credstore/lapwing.setup-key 2>/tmp/err || status=$?
is "$status $(cat /tmp/err)" "16 lapwing: the server wants a certificate, and there is none to show" "a server that wants a certificate is told apart"
cat >/etc/lapwing/lapwing.json <<-'END'
	{"management": {"ca_dir": "/etc/lapwing/ca", "client_cert": "/etc/lapwing/ca.pem", "client_key": "/etc/lapwing/client.key"}}
END
systemctl restart lapwing
echo 'MANAGEMENT_URL=https://hub.test' >/etc/lapwing/enroll.conf
ok "with one it joins in its sandbox, asked by a unit that has one, too" systemctl start lapwing-enroll
fails "and the setup key is gone" test -e /etc/credstore/lapwing.setup-key
ok "joining again, without it, is refused" eval '! systemctl start lapwing-enroll 2>/dev/null'
is "$(member "['control']['management']['state']")" connected "the server is connected"
is "$(stat -c %U:%a /var/lib/lapwing/private.key /var/lib/lapwing/network.json /var/lib/lapwing/map | sort -u)" lapwing:600 "what it keeps is its own"
ok "the key is bound to the machine" test -s /var/lib/lapwing/identity
ok "the firewall stands" nft list table inet lapwing-wt0-acl
systemctl restart lapwing
within 20 "a restart follows again" is_member "['control']['management']['state']" connected
systemctl kill -s KILL lapwing
within 30 "the service manager brings it back" is_member "['control']['management']['state']" connected
hubctl set lazy=true >/dev/null
within 10 "and it follows" is_member "['lazy']['enabled']" True
ok "no complaint in the journal but of the missing peers" eval '! journalctl -u lapwing --no-pager -p err -o cat | grep .'
is "$(lapwing deregister | cut -d : -f 1)" deregistered "it leaves"
fails "with the interface" ip link show wt0

finish

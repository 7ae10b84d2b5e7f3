# shellcheck shell=bash source=tests/vm/lib.sh
# The life of the Debian package under systemd: disk full, install, upgrade under traffic, remove, purge. `make check-package`.
# init: systemd
# timeout: 600
# files: build/lapwing.deb
# long: yes
# sandbox: no, starts the unit itself
# shellcheck disable=SC2015,SC2016,SC2034,SC2317 # the last word may fail; expanded by eval
. /job/lib.sh

userdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/passwd
groupdel lapwing 2>/dev/null || sed -i /^lapwing:/d /etc/group
# Some libraries are in the guest without their packages.
package() { DEBIAN_FRONTEND=noninteractive dpkg --force-depends "$@"; }
version() { dpkg-query -W -f '${db:Status-Status} ${Version}' lapwing; }
# Everything on the disk that is not the business of dpkg, systemd or the kernel; ldconfig's cache has libraries of /job.
files() { find / -xdev \( -path /tmp -o -path /job -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /var/tmp \
	-o -path /var/lib/systemd -o -name 'passwd*' -o -name 'group*' -o -name '*shadow*' -o -name '.pwd.lock' \) -prune -o -print | sort; }
mkdir -p /var/lib/prometheus/node-exporter /usr/share/fish/others
files >/tmp/files.before

# ---- A peer in a namespace, behind a veth; the host is the guest itself.
ip netns add peer
ip link add host0 type veth peer name eth0 netns peer
ip address add 10.0.0.1/24 dev host0
ip link set host0 up
ip -n peer address add 10.0.0.2/24 dev eth0
ip -n peer link set eth0 up
ip -n peer link set lo up
kernel() { # what lapwing may leave there
	ip -o link show type wireguard
	{ ip rule && ip -6 rule; } | grep -v 'lookup \(local\|main\|default\)$' || true
	ip route show table all | grep 'dev wt' || true
	nft list tables
}

# ---- Disk full: this place takes one file of a page, and has it.
disk() { # full|empty
	if [ "$1" = full ]; then
		mount -t tmpfs -o size=4k tmpfs /usr/share/fish
		head -c 4096 /dev/zero >/usr/share/fish/fill
	else
		umount /usr/share/fish
	fi
}
disk full
fails "without room it is not installed" eval 'package -i /job/lapwing.deb >/tmp/said 2>&1'
ok "and the reason is said" grep -q 'No space left' /tmp/said
is "$(find /usr /lib /etc -xdev \( -name '*lapwing*' -o -name '*.dpkg-new' \) -printf '%p ')" "" "with nothing left half way"
disk empty

# ---- Install
ok "with room it is" package -i /job/lapwing.deb
is "$(version)" "installed 0.1.0" "as a whole"
is "$(getent passwd lapwing | cut -d : -f 1,6)" lapwing:/var/lib/lapwing "its user is there"
is "$(stat -c %U:%a /var/lib/lapwing /etc/lapwing /etc/credstore | xargs)" "lapwing:700 root:755 root:700" "and its directories"
is "$(systemctl is-enabled lapwing lapwing-tune lapwing-metrics.timer | xargs)" "enabled disabled disabled" "the daemon starts with the host, the rest by hand"
is "$(systemctl is-active lapwing)" inactive "and waits for a configuration"
is "$(</proc/sys/net/ipv4/conf/all/src_valid_mark)" 1 "the sysctl is in effect"
units=$(dpkg -L lapwing | grep '/systemd/system/.')
for unit in $units; do
	# Names that no instance can have are links to nothing.
	[ ! -L "$unit" ] || continue
	name=${unit##*/}
	is "$(systemd-analyze verify --man=no "${name/@./@x.}" 2>&1 | grep -F lapwing)" "" "$name: nothing is to be said about it"
	case $name in *.timer) continue ;; esac
	# Tuning writes what ProtectKernelTunables would protect; metrics tell of it and so see the network.
	case $name in lapwing-tune*) limit=2.7 ;; lapwing-metrics*) limit=2.0 ;; *) limit=1.6 ;; esac
	score=$(systemd-analyze security --offline=yes "$unit" --no-pager | sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p')
	ok "$name: its exposure is at most $limit (it is $score)" awk "BEGIN { exit !(\"$score\" != \"\" && $score <= $limit) }"
done

# ---- Used: two instances, routes with rules, a firewall, metrics.
own=$(lapwing genkey)
(umask 077 && wg genkey >/tmp/peer.key)
peer=$(wg pubkey </tmp/peer.key)
cat >/etc/lapwing/mesh.json <<-END
	{"mesh": "test", "hosts": [
	  {"name": "one", "public_key": "$own", "addresses": ["100.64.0.1/32"], "endpoints": ["10.0.0.1:51820"]},
	  {"name": "two", "public_key": "$peer", "addresses": ["100.64.0.2/32"], "endpoints": ["10.0.0.2:51820"], "routes": ["0.0.0.0/0"]}
	]}
END
config='{"mesh_file": "/etc/lapwing/mesh.json", "policy": {"default_route": true}}'
echo "$config" >/etc/lapwing/lapwing.json
ip -n peer link add wg0 type wireguard
ip netns exec peer wg set wg0 listen-port 51820 private-key /tmp/peer.key peer "$own" endpoint 10.0.0.1:51820 allowed-ips 100.64.0.1/32
ip -n peer address add 100.64.0.2/24 dev wg0
ip -n peer link set wg0 up
install -d -o lapwing -g lapwing -m 700 /var/lib/lapwing-blue
blue=$(lapwing genkey /var/lib/lapwing-blue/private.key)
chown lapwing:lapwing /var/lib/lapwing-blue/private.key
cat >/etc/lapwing/blue-mesh.json <<-END
	{"mesh": "blue", "interface": {"name": "wt1", "listen_port": 51999}, "hosts": [
	  {"name": "one", "public_key": "$blue", "addresses": ["100.99.0.1/32"], "endpoints": ["10.0.0.1:51999"]}]}
END
echo '{"mesh_file": "/etc/lapwing/blue-mesh.json", "private_key_file": "/var/lib/lapwing-blue/private.key"}' >/etc/lapwing/blue.json
ok "it starts, and so does an instance" systemctl start lapwing lapwing@blue
is "$(lapwing --run /run/lapwing-blue status --json --timeout=60 | python3 -c 'import json, sys; print(json.load(sys.stdin)["interface"]["name"])')" wt1 "which has files of its own"
fails "none can have the files of lapwing tune" systemctl start lapwing@tune
ok "a ping through the tunnel" wait_for 10 ping -c 1 -W 10 100.64.0.2
systemctl enable -q --now lapwing-metrics.timer
within 10 "the timer writes metrics" grep -q '^lapwing_up 1' /var/lib/prometheus/node-exporter/lapwing.prom
systemctl enable -q lapwing@blue lapwing-tune
kernel >/tmp/kernel.used
ok "there are rules to lose" grep -q proto.108 <(ip rule)
if systemctl start systemd-networkd; then
	systemctl restart systemd-networkd
	ok "networkd leaves the interface alone" eval 'networkctl --no-pager list wt0 | grep -q unmanaged'
	is "$(kernel)" "$(</tmp/kernel.used)" "and what is not its own"
	systemctl stop -q systemd-networkd.socket systemd-networkd
fi

# ---- Upgrade under traffic
dpkg-deb -R /job/lapwing.deb /tmp/next
sed -i 's/^Version: .*/Version: 0.1.1/' /tmp/next/DEBIAN/control
dpkg-deb -Znone -b /tmp/next /tmp/next.deb >/dev/null
pid() { systemctl show -P MainPID "$1"; }
kept() { cat /sys/class/net/wt[01]/ifindex; }
handshake() { wg show wt0 latest-handshakes | cut -f 2; }
# All of a way are one flow, as conntrack drops what comes in one go with the first packet of a new one.
pings() { # NAME COMMAND...
	"${@:2}" -n -e 7 -c 1 -W 10 >/dev/null
	exec "${@:2}" -n -e 7 -i 0.02 >"/tmp/ping.$1" 2>&1
}
before=$(kept) session=$(handshake) daemon=$(pid lapwing) instance=$(pid lapwing@blue)
pings out ping 100.64.0.2 &
pings in ip netns exec peer ping 100.64.0.1 &
streams=$(jobs -p)
for way in out in; do wait_for 10 test -s /tmp/ping.$way && more_answers /tmp/ping.$way 10; done
ok "an upgrade" package -i /tmp/next.deb
for way in out in; do
	ok "there are answers on the way $way after it" more_answers /tmp/ping.$way 100
done
# shellcheck disable=SC2086 # words
kill -INT $streams
wait
for way in out in; do
	is "$(unanswered /tmp/ping.$way)" "" "no packet is lost on the way $way, of $(answers /tmp/ping.$way | tail -n 1)"
done
is "$(version)" "installed 0.1.1" "it is the new version"
is "$(kept)" "$before" "the interfaces are those of before"
age=$(($(handshake) - session))
# WireGuard itself makes a new one after two minutes, which an upgrade may take here.
ok "the session is, too, or has lived its time ($age s)" test "$age" = 0 -o "$age" -ge 115
ok "the daemon and the instance are new" eval '[ "$(pid lapwing)" != "$daemon" ] && [ "$(pid lapwing@blue)" != "$instance" ]'
is "$(systemctl is-active lapwing lapwing@blue lapwing-metrics.timer | xargs)" "active active active" "and run"

disk full
fails "an upgrade without room" package -i /job/lapwing.deb
disk empty
is "$(systemctl is-active lapwing lapwing@blue | xargs),$(version)" "active active,installed 0.1.1" "leaves the old one as it was"
ok "with its tunnels" ping -c 1 -W 10 100.64.0.2
ok "a second run finishes it" package -i /job/lapwing.deb
is "$(version)" "installed 0.1.0" "which is a way back, too"

# ---- Remove: the kernel is clean, the files of the administrator and the key stay.
ok "it is removed" package -r lapwing
is "$(kernel)" "" "no interface, rule, route or table is left"
is "$(systemctl is-active lapwing lapwing@blue lapwing-metrics.timer | sort -u | xargs)" inactive "no unit runs"
is "$(pgrep -a lapwing)" "" "nor a process"
ok "the key stays" test -s /var/lib/lapwing/private.key
fails "metrics that nobody writes any more do not" test -e /var/lib/prometheus/node-exporter/lapwing.prom
ok "installed again" package -i /job/lapwing.deb
ok "all is back" wait_for 20 ping -c 1 -W 2 100.64.0.2

# ---- Purge, with a configuration that no longer is one, and another that is gone.
systemctl start lapwing@blue
echo nonsense >/etc/lapwing/lapwing.json
rm /etc/lapwing/blue.json
ok "it is purged" package -P lapwing
is "$(kernel)" "" "no interface, rule, route or table is left"
is "$(diff /tmp/files.before <(files))" "" "no file"
is "$(find /var/lib/systemd /var/lib/dpkg/info /etc -name '*lapwing*')" "" "nor what others kept for it"
is "$(systemctl --failed --no-legend | grep lapwing)" "" "and no failed unit"

finish

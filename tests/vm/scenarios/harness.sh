# shellcheck shell=bash source=tests/vm/lib.sh
# The harness itself, judged with the kernel's own tools.
# kernels: 6.1 6.12
. /job/lib.sh

host a b
lan net a=10.0.0.1/24,2001:db8::1/64 b=10.0.0.2/24,2001:db8::2/64
ok "hosts of a lan reach each other" on a ping -c 1 -W 2 10.0.0.2
ok "IPv6 works at once" on a ping -c 1 -W 2 2001:db8::2

mesh a b
ok "mesh and configuration are JSON" python3 -c 'import json
for name in "a", "b":
	config = json.load(open(f"/tmp/{name}/lapwing.json"))
	assert len(json.load(open(config["mesh_file"]))["hosts"]) == 2'

n=0
for name in a b; do
	n=$((n + 1))
	peer=$([ $name = a ] && echo b || echo a)
	ip -n $name -batch - <<-END
		link add wt0 type wireguard
		address add 100.64.0.$n/24 dev wt0
		link set wt0 up
	END
	on $name wg set wt0 listen-port 51820 private-key /tmp/$name/private.key \
		peer "$(<"/tmp/$peer/key.pub")" endpoint 10.0.0.$((3 - n)):51820 allowed-ips 100.64.0.0/24
done
ok "WireGuard carries packets" on a ping -c 1 -W 5 100.64.0.2
ok "and shows a handshake" test "$(on b wg show wt0 latest-handshakes | cut -f 2)" -gt 0

on b nft -f - <<-END
	table inet filter {
		chain input {
			type filter hook input priority 0;
			iifname "wt0" icmp type echo-request counter drop
		}
	}
END
fails "nftables drops in the tunnel" on a ping -c 1 -W 1 100.64.0.2
ok "and counts" grep -q 'packets 1 ' <(on b nft list ruleset)

# shellcheck disable=SC2016 # expanded by the inner shell
status=$(on a "${confined[@]}" bash -c 'id -un; grep -E "^(Cap|NoNewPrivs)" /proc/self/status')
is "$status" "lapwing
CapInh:	0000000000003000
CapPrm:	0000000000003000
CapEff:	0000000000003000
CapBnd:	0000000000003000
CapAmb:	0000000000003000
NoNewPrivs:	1" "the daemon's rights are two capabilities"
ok "which can configure the network" on a "${confined[@]}" ip link add d0 type dummy
fails "but not /proc/sys" on a "${confined[@]}" bash -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
fails "nor /sys" on a "${confined[@]}" bash -c 'echo 1 >/sys/class/net/wt0/gro_flush_timeout'
is "$(on a "${confined[@]}" ls /sys/class/net | sort | xargs)" "d0 eth0 lo wt0" "it sees its own network in /sys"

# A stand-in that takes the daemon's arguments, listens where the daemon would and fails when it is told to end.
cat >/usr/local/sbin/lapwingd <<-'END'
	#!/usr/bin/python3
	import signal, socket, sys
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
	listener = socket.socket(socket.AF_UNIX)
	listener.bind(sys.argv[sys.argv.index("--run") + 1] + "/control")
	listener.listen()
	print("ready", flush=True)
	signal.pause()
END
chmod +x /usr/local/sbin/lapwingd
PATH=/usr/local/sbin:$PATH # before the real one in /job
ok "a daemon starts" start_daemon a
is "$(</tmp/a/log)" ready "and has its log"
is "$(cd "/proc/$(</tmp/a/pid)/fd" && echo *)" "0 1 2 3" "and no descriptors but its own"
status=0
stop_daemon a || status=$?
is $status 3 "and its status"
fails "a daemon that cannot listen has not started" start_daemon a
# shellcheck disable=SC2016 # expanded by eval
ok "nothing is left after a reset" eval 'net_reset && [ -z "$(ip netns list)" ] && [ ! -e /tmp/a ]'

finish

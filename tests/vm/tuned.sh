# shellcheck shell=bash
# A host with a NIC of four queues and a WireGuard interface, as tune finds it after a start; for scenarios.
wait_for 60 test -e /sys/class/net/eth1
systemctl stop irqbalance
modprobe -a wireguard tcp_bbr sch_fq
install -D -m 755 /job/lapwing /usr/bin/lapwing
install -D -m 644 /job/lapwing-tune.service /usr/lib/systemd/system/lapwing-tune.service
ip link set eth0 up
ip address add 10.9.0.1/24 dev eth0
ip route add default via 10.9.0.2
ip link add wt0 type wireguard
ip link set wt0 up mtu 1280
ethtool -L eth0 combined 2
ethtool -G eth0 rx 256 tx 256

# settings: everything that may be changed here, as tools of others say it.
settings() {
	local file
	sysctl net.core.netdev_max_backlog net.core.netdev_budget net.core.netdev_budget_usecs net.core.rps_sock_flow_entries \
		net.core.rmem_max net.core.wmem_max net.ipv4.tcp_rmem net.ipv4.tcp_wmem net.core.default_qdisc \
		net.ipv4.tcp_congestion_control
	ethtool -l eth0
	ethtool -g eth0
	ethtool -x eth0 | grep -v '^[0-9a-f][0-9a-f]:' # the hash key is drawn at each start
	ethtool -n eth0 rx-flow-hash udp4
	tc qdisc show dev eth0 | sed 's/ [0-9a-f]*: / /' | sort
	for file in /sys/class/net/{eth0,wt0}/{mtu,queues/*/{rps_cpus,rps_flow_cnt,xps_cpus}}; do
		[ ! -e "$file" ] || echo "$file $(cat "$file" 2>&1)"
	done
	for file in /sys/class/net/eth0/device/../msi_irqs/*; do
		file=${file##*/}
		echo "irq $file $(<"/proc/irq/$file/smp_affinity")"
	done
}

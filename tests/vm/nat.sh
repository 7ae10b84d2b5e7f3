# shellcheck shell=bash # sourced after lib.sh
# Hosts and routers that let in only what was asked for, and NATs.

# firewall HOST [RULE]: what is established may come in.
firewall() {
	on "$1" nft -f - <<-END
		table inet host {
			chain input {
				type filter hook input priority 0; policy drop
				ct state established,related accept
				iif lo accept
				meta l4proto { icmp, ipv6-icmp } accept
				${2-}
			}
		}
	END
}

# behind_nat HOST ROUTER NETWORK [WORDS]: the host is NETWORK.2, the router NETWORK.1 on eth0; its eth1 is outside. WORDS are
# of the masquerading: "random" takes another port for each connection.
behind_nat() {
	ip -n "$1" route add default via "$3.1"
	on "$2" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	firewall "$2"
	on "$2" nft -f - <<-END
		table ip nat {
			chain forward {
				type filter hook forward priority 0; policy drop
				ct state established,related accept
				iifname eth0 accept
			}
			chain postrouting {
				type nat hook postrouting priority srcnat
				oifname eth1 masquerade ${4-}
			}
		}
	END
}

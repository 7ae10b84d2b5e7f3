# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154 # sourced after lib.sh, which has what is not here
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

# neighbours HOST: what ufw and Docker bring along: strict reverse paths, nothing that conntrack calls invalid, translations
# of their own, a bridge.
neighbours() {
	on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter'
	ip -n "$1" link add docker0 type bridge
	ip -n "$1" address add 172.17.0.1/16 dev docker0
	ip -n "$1" link set docker0 up
	on "$1" nft -f - <<-END
		table ip filter {
			chain INPUT { type filter hook input priority filter; ct state invalid drop; }
			chain FORWARD { type filter hook forward priority filter; policy drop; }
			chain OUTPUT { type filter hook output priority filter; ct state invalid drop; }
		}
		table ip nat {
			chain DOCKER { iifname docker0 return; }
			chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local jump DOCKER; }
			chain OUTPUT { type nat hook output priority -100; ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER; }
			chain POSTROUTING { type nat hook postrouting priority srcnat; oifname != docker0 ip saddr 172.17.0.0/16 masquerade; }
		}
	END
}

# ---- Two members of a network, each at an access of some kind, and whether they find a direct path. After hub.sh.
#   # files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# open    an address of its own, WireGuard's port open, also IPv6
# cone    behind a NAT that leads WireGuard's port to it, whoever sends
# port    behind a NAT that keeps ports, and lets in who was sent to
# sym     behind a NAT that takes another port for each destination
# double  behind two of kind port
# block   behind a NAT without UDP
# six     IPv6 only
access_kinds=(open cone port sym double block six)

# expected KIND KIND: direct or none, for kinds in the order above.
expected() {
	case $1-$2 in
	*block*) echo none ;;
	open-* | cone-cone | cone-port | cone-sym | cone-double | port-port | port-double | double-double | six-six) echo direct ;;
	*) echo none ;;
	esac
}

# access HOST KIND N: connects the host, and routers of it, to the lan net, which must be the only one outside.
access() {
	local h=$1 r=r$1 n=$3
	case $2 in
	open) outside+=("$h=203.0.113.1$n/24,2001:db8::1$n/64") ;;
	six) outside+=("$h=2001:db8::1$n/64") ;;
	double)
		host "$r" "$r$r"
		lan "l$h" "$r=10.$n.0.1/24" "$h=10.$n.0.2/24"
		lan "m$h" "$r$r=10.$n.1.1/24" "$r=10.$n.1.2/24"
		outside+=("$r$r=203.0.113.1$n/24")
		;;
	*)
		host "$r"
		lan "l$h" "$r=10.$n.0.1/24" "$h=10.$n.0.2/24"
		outside+=("$r=203.0.113.1$n/24")
		;;
	esac
}

# rules HOST KIND N: what its routers and its firewall do, when the lans are there.
rules() {
	local h=$1 r=r$1 n=$3
	case $2 in
	open) firewall "$h" 'iifname wt0 accept; udp dport 51820 accept' && return ;;
	six) firewall "$h" 'iifname wt0 accept' && return ;;
	sym) behind_nat "$h" "$r" "10.$n.0" random,fully-random ;;
	double)
		behind_nat "$h" "$r" "10.$n.0"
		behind_nat "$r" "$r$r" "10.$n.1"
		;;
	*) behind_nat "$h" "$r" "10.$n.0" ;;
	esac
	case $2 in
	cone) on "$r" nft 'add chain ip nat pre { type nat hook prerouting priority dstnat; }; add rule ip nat pre iifname eth1 udp dport 51820 dnat to '"10.$n.0.2"'; insert rule ip nat forward ip daddr '"10.$n.0.2"' udp dport 51820 accept' ;;
	block) on "$r" nft insert rule ip nat forward meta l4proto udp drop ;;
	esac
	firewall "$h" "iifname wt0 accept$([ "$2" = cone ] && echo '; udp dport 51820 accept')"
}

# members_behind_nats: a and b are members of a network, each behind a NAT that keeps ports, which is ra or rb.
members_behind_nats() {
	host hub a b ra rb
	lan la ra=10.1.0.1/24 a=10.1.0.2/24
	lan lb rb=10.2.0.1/24 b=10.2.0.2/24
	lan net ra=203.0.113.1/24 rb=203.0.113.2/24 hub=203.0.113.9/24
	behind_nat a ra 10.1.0
	behind_nat b rb 10.2.0
	firewall a 'iifname wt0 accept'
	firewall b 'iifname wt0 accept'
	stun_server hub 203.0.113.9
	start_hub hub
	hubctl hub services signal=203.0.113.9:33073 'stuns=["stun:203.0.113.9:3478"]' >/dev/null
	hubctl hub set lazy=true >/dev/null
	joins http://203.0.113.9:33073 "$(hubctl hub add-key)" a b
}

# pair KIND KIND [a|b]: whether they find a direct path as expected when that one begins, judged by ping and wg.
pair() {
	local want at ms outside=(hub=203.0.113.9/24,2001:db8::9/64)
	want=$(expected "$1" "$2")
	grep -q ' hub$' /etc/hosts || printf '203.0.113.9 hub\n2001:db8::9 hub\n' >>/etc/hosts
	host hub a b
	access a "$1" 1
	access b "$2" 2
	lan net "${outside[@]}"
	rules a "$1" 1
	rules b "$2" 2
	neighbours a
	stun_server hub 203.0.113.9 2001:db8::9
	start_hub hub --listen '[::]:33073'
	hubctl hub services signal=hub:33073 'stuns=["stun:hub:3478"]' >/dev/null
	hubctl hub set lazy=true >/dev/null
	joins http://hub:33073 "$(hubctl hub add-key)" a b
	ms=$(on "${3:-a}" ping -n -c 12 -i 1 -w 13 "100.64.0.$([ "${3:-a}" = a ] && echo 2 || echo 1)" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | head -n 1) || true
	at=$(endpoint_of a b)
	if [ "$want" = direct ]; then
		ok "$1 and $2 find a direct path, ${3:-a} begins (first answer after ${ms:-never} ms, at $at)" test -n "$ms"
	else
		ok "$1 and $2 have none" test -z "$ms"
	fi
	net_reset
}

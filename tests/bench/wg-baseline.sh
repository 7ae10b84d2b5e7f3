# shellcheck shell=bash
# Runs in the guest: what the kernel and wg(8) need to program many peers, the floor for our own netlink code.
#   tests/vm/run -c icount -m 2048 -t 600 tests/bench/wg-baseline.sh
# Virtual time at 2 ns per instruction, so the figures are instruction counts and the same on every machine.
set -euo pipefail
cd /tmp

# peers N: N peers with made-up but distinct public keys, an endpoint and one allowed IP.
peers() {
	awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "[Peer]\nPublicKey = %s%06dAAAA=\nEndpoint = 10.%d.%d.%d:51820\nAllowedIPs = 100.%d.%d.%d/32\n",
				"lapwingLAPWINGlapwingLAPWINGlapwi", i, i / 65536, i / 256 % 256, i % 256, 64 + i / 65536, i / 256 % 256, i % 256
	}'
}

# elapsed COMMAND...: sets us to the virtual microseconds it took.
elapsed() {
	local start=${EPOCHREALTIME/./}
	"$@"
	us=$((${EPOCHREALTIME/./} - start))
}

modprobe wireguard
printf '[Interface]\nPrivateKey = %s\n' "$(wg genkey)" >key
printf '[Interface]\n' >nokey
printf '%-9s %-8s %6s %12s %10s\n' command key peers total_us us_per_peer
for key in key nokey; do
	for command in setconf syncconf; do
		base=
		for n in 1 1000 10000; do
			cat $key <(peers $n) >conf
			sed '0,/Endpoint = .*/s//Endpoint = 192.0.2.1:51820/' conf >changed
			ip link add wg0 type wireguard
			if [ $command = setconf ]; then
				elapsed wg setconf wg0 conf
			else
				wg setconf wg0 conf
				elapsed wg syncconf wg0 changed
			fi
			[ "$(wg show wg0 peers | sort -u | wc -l)" = $n ]
			base=${base:-$us}
			awk "BEGIN { printf \"%-9s %-8s %6d %12d %10.1f\n\", \"$command\", \"$key\", $n, $us, ($n > 1 ? ($us - $base) / ($n - 1) : 0) }"
			# A device with peers is slow to remove.
			wg setconf wg0 $key
			ip link del wg0
		done
	done
done

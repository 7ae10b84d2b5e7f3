# shellcheck shell=bash source=tests/vm/lib.sh
# `tune measure --each-knob` with every knob that a NIC of four queues has: what is kept stays, all else is as it was.
# long: yes
# guest: own
# cpus: 4
# queues: 4
# timeout: 1500
# files: tests/vm/tunnel.sh
# sandbox: no, it has no daemon
. /job/lib.sh
# shellcheck source=tests/vm/tunnel.sh
. /job/tunnel.sh

field() { python3 -c 'import json, sys; print(eval(sys.argv[1], {"d": json.load(sys.stdin)}))' "$1"; }

modprobe -a virtio_net wireguard tcp_bbr sch_fq
wire eth0 eth1
ip route add default via 10.9.0.2
tunnel 1280
serve_iperf
ethtool -L eth0 combined 2

lapwing tune plan --json >/tmp/before
ok "every knob is tried" eval \
	'lapwing tune measure --peer 100.64.0.2 --each-knob --seconds 2 --allow-disruptive --json >/tmp/each'
echo "# noise $(field 'd["noise_percent"]' </tmp/each) %"
field '"\n".join("# %s: %s, %d %d %d kbit/s" % (k["knob"], k["verdict"],
	*(k[w]["bits_per_second"] / 1000 for w in ("before", "with", "after"))) for k in d["knobs"])' </tmp/each
lapwing tune plan --json >/tmp/left
# A new number of queues sets what belongs to each of them right, too: that needs no trying.
is "$(python3 - <<'END'
import json
def differ(name): return {i["knob"] for i in json.load(open(name))["items"] if i["state"] == "differs"}
tried = {k["knob"] for k in json.load(open("/tmp/each"))["knobs"]}
print(sorted(tried - differ("/tmp/before")), sorted(differ("/tmp/before") & differ("/tmp/left") - tried))
END
)" "[] []" "all that differed, and went on to"
is "$(field 'sorted({i["knob"] for i in d["items"] if i["state"] == "differs"})' </tmp/left)" \
	"$(field 'sorted(k["knob"] for k in d["knobs"] if k["verdict"] != "kept")' </tmp/each)" "what was not kept differs again"
ok "all is taken back" lapwing tune revert
lapwing tune plan --json >/tmp/after
is "$(field '[(i["id"], i["current"]) for i in d["items"]]' </tmp/after)" \
	"$(field '[(i["id"], i["current"]) for i in d["items"]]' </tmp/before)" "to what it was"
finish

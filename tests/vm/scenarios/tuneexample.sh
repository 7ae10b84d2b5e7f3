# shellcheck shell=bash source=tests/vm/lib.sh
# The worked example of lapwing-tune(8) as one session: every command of it, in its order, and what the page shows of it.
# long: yes
# guest: own
# cpus: 4
# queues: 4
# timeout: 1200
# files: man/lapwing-tune.8 scripts/lapwing-tune.service tests/vm/tunnel.sh
# sandbox: no, it has no daemon
. /job/lib.sh
# shellcheck source=tests/vm/tunnel.sh
. /job/tunnel.sh

modprobe -a virtio_net wireguard tcp_bbr sch_fq
wire eth0 eth1
ip route add default via 10.9.0.2
tunnel 1280
serve_iperf
ethtool -L eth0 combined 1
mkdir -p /usr/lib/systemd/system
cp /job/lapwing-tune.service /usr/lib/systemd/system/

lapwing tune plan --json >/tmp/before

# What the page shows: a file of commands, and one of the lines below each.
python3 - <<'END_OF_SCRIPT'
import re
text = open("/job/lapwing-tune.8").read().split(".Sh EXAMPLES")[1].split(".Sh SEE ALSO")[0]
n = 0
for block in re.findall(r"\.Bd -literal\n(.*?)\.Ed", text, re.S):
    block = block.replace("\\e\n", "").replace("\\(->", "→")
    for command, shown in re.findall(r"^# (lapwing .*)\n((?:(?!# ).*\n)*)", block, re.M):
        n += 1
        open(f"/tmp/command{n:02}", "w").write(command)
        open(f"/tmp/shown{n:02}", "w").write(shown)
END_OF_SCRIPT

# The lines that are shown and were not said; the page leaves out where it has three dots.
cat >/tmp/missing.py <<'END_OF_SCRIPT'
import re, sys
def lines(name): return [" ".join(line.split()) for line in open(f"/tmp/{name}{sys.argv[1]}")]
said = lines("said")
for line in filter(None, lines("shown")):
    pattern = re.sub(r"\S*\\\.\\\.\\\.", ".*", re.escape(line))
    if not any(re.search(pattern, s) for s in said):
        print(line)
END_OF_SCRIPT

# During the page's `diagnose` something is transferred.
for file in /tmp/command??; do
	n=${file#/tmp/command} command=$(<"$file")
	load=
	case $command in *diagnose*) iperf3 -c 100.64.0.2 -t 12 </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- & load=$! ;; esac
	[ -z "$load" ] || sleep 2
	ok "$command" eval "$command >/tmp/said$n 2>&1"
	[ -z "$load" ] || wait "$load"
	sed 's/^/#   /' "/tmp/said$n"
	# Figures differ from run to run; objects, values and sentences do not.
	case $command in *measure*|*diagnose*) continue ;; esac
	is "$(python3 /tmp/missing.py "$n")" "" "... which says what the page shows"
done
lapwing tune plan --json >/tmp/after
items() { python3 -c 'import json, sys; print([(i["id"], i["current"]) for i in json.load(sys.stdin)["items"]])' <"$1"; }
is "$(items /tmp/after)" "$(items /tmp/before)" "all is as it was before"
finish

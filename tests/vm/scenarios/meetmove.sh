# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh source=tests/vm/nat.sh
# Hosts behind NATs whose addresses change while they talk: another path is found within seconds, without anything being
# taken down for it; monitors are told each step.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# timeout: 600
# waits: often
# shellcheck disable=SC2016,SC2317 # expanded by eval; called by ok
. /job/lib.sh
. /job/hub.sh
. /job/nat.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id

members_behind_nats
name=.netbird.selfhosted
for h in a b; do
	lw $h monitor --json >>/tmp/$h/events {tap}>&- {never}<&- &
	lw $h monitor >>/tmp/$h/told {tap}>&- {never}<&- &
done
# It listens, and has two callers.
for h in a b; do within 10 "$h has monitors" eval '[ "$(on $h ss -Hxa | grep -c "/tmp/$h/run/control.sock")" -ge 3 ]'; done

# events HOST: the steps of its negotiation since, as one line.
events() {
	sed -n '/"event":"negotiation"/ { s/.*"state":"\([^"]*\)".*"local_type":\([^,]*\),"remote_type":\([^,]*\),.*/\1 \2>\3/; s/ null>null//; s/"//g; p }' \
		"/tmp/$1/events" | paste -sd ,
}
forget_events() { for h in a b; do : >/tmp/$h/events; done; }
saw() { [[ $(events "$1") == *"$2"* ]]; }

# ---- Each step is told
within 30 "the first packets find the way" reaches a 100.64.0.2 8
for h in a b; do within 10 "$h tells that it is up" saw $h up; done
echo "# a: $(events a)"
echo "# b: $(events b)"
ok "a tells that it has asked and was answered" saw a offered,answered,checking
ok "b tells that it was asked" saw b asked,checking
ok "for people it is a line" grep -q "  *negotiation b$name: offered\$" /tmp/a/told
within 10 "nothing is being looked for any more" eval '[ "$(on a ss -Hlun sport ge :61000 | wc -l)" -le 2 ]'
sent_to_b() { on a wg show wt0 transfer | cut -f 3; }
sent=$(sent_to_b)

# ---- Another address of its own: its NAT gives it another port, which b's does not let in
forget_events
ip -n a address flush dev eth0
ip -n a address add 10.1.0.7/24 dev eth0
ip -n a route add default via 10.1.0.1
changed=$EPOCHSECONDS
within 4 "a asks at once" saw a offered
within 15 "and is heard from its new address" reaches a 100.64.0.2 2
echo "# after $((EPOCHSECONDS - changed)) s; a: $(events a)"
within 15 "there was another path" saw a "path found"
ok "b was not removed for it" [ "$(sent_to_b)" -gt "$sent" ]

# ---- The interface is gone, and comes back
forget_events
ip -n a link set eth0 down
pause 3
ok "from nowhere nobody is asked" not saw a offered
ip -n a link set eth0 up
ip -n a route replace default via 10.1.0.1
within 8 "back again, a asks" saw a offered
within 15 "and is heard" reaches a 100.64.0.2 2

# ---- Another public address: neither host sees it; what is sent is not answered any more
forget_events
ip netns exec b ping -n -q -i 0.5 100.64.0.1 >/dev/null {tap}>&- {never}<&- &
pids[traffic]=$!
ip -n rb address del 203.0.113.2/24 dev eth1
ip -n rb address add 203.0.113.22/24 dev eth1
on rb conntrack -D -p udp >/dev/null 2>&1 || true
changed=$EPOCHSECONDS
within 60 "b finds another path" is_at a b 203.0.113.22:51820
echo "# after $((EPOCHSECONDS - changed)) s; b: $(events b)"
within 20 "and is heard" reaches b 100.64.0.1 2
kill "${pids[traffic]}"

# ---- Not needed any more
forget_events
ok "a parks b" lw a idle b$name
within 5 "and tells that it has forgotten it" saw a forgotten
finish

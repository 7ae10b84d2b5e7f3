# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh source=tests/vm/nat.sh
# Every pair of accesses to the net, either side beginning in turn.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# timeout: 2400
# guest: own
# long: yes
. /job/lib.sh
. /job/hub.sh
. /job/nat.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
begins=a
for ((i = 0; i < ${#access_kinds[@]}; i++)); do
	for ((j = i; j < ${#access_kinds[@]}; j++)); do
		pair "${access_kinds[i]}" "${access_kinds[j]}" "$begins"
		begins=$([ $begins = a ] && echo b || echo a)
	done
done
finish

# shellcheck shell=bash source=tests/vm/scenarios/networkrules.sh
# The same as networkrules, with a hundred kills.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/scenarios/networkrules.sh
# timeout: 1500
# long: yes
# shellcheck disable=SC2034 # for networkrules
kills=100
. /job/networkrules.sh

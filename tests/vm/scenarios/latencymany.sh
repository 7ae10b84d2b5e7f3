# shellcheck shell=bash source=tests/vm/scenarios/latency.sh
# `latency` with 10,000 peers.
# memory: 2048
# timeout: 600
# files: tests/vm/scenarios/latency.sh
# long: yes
# shellcheck disable=SC2034 # used there
peers=10000
. /job/latency.sh

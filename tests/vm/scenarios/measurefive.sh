# shellcheck shell=bash source=tests/vm/scenarios/measure.sh
# `measure` with five rounds of knobs.
# guest: own
# timeout: 600
# files: tests/vm/scenarios/measure.sh tests/vm/tunnel.sh
# long: yes
# sandbox: no, it has no daemon
# shellcheck disable=SC2034 # used there
rounds=5
. /job/measure.sh

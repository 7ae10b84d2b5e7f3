# shellcheck shell=bash source=tests/vm/lib.sh source=tests/vm/hub.sh source=tests/vm/nat.sh
# Eight pairs of accesses to the net, and which find a direct path to each other; natall has all of them.
# files: tests/hub build/gen/management_pb2.py tests/vm/hub.sh tests/vm/nat.sh
# timeout: 600
# guest: own
. /job/lib.sh
. /job/hub.sh
. /job/nat.sh

echo fedcba9876543210fedcba9876543210 >/etc/machine-id
pair open sym a
pair open six b
pair cone sym b
pair port port a
pair port sym b
pair port double a
pair sym sym a
pair open block b
finish

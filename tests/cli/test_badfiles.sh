#!/bin/bash
# tests/cli/test_badfiles.sh - malformed configurations, mesh files and keys: at a start, and in both checks.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}"
tmp=$(mktemp -d /tmp/badfiles.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
dir=$tmp/a failed=0
mkdir "$dir" "$tmp/state" "$tmp/run"
key_a=$("$BUILD/lapwing" genkey "$dir.key")
key_b=$("$BUILD/lapwing" genkey "$tmp/b.key")
. tests/cli/badfiles.sh

# test_that DESCRIPTION COMMAND...
test_that() {
	local description=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok - $description"
	else
		printf 'not ok - %s\n%s\n' "$description" "$output"
		failed=1
	fi
}

# ask WHAT COMMAND...
ask() {
	local what=$1 status=0
	shift
	timeout -s KILL 30 "$@" </dev/null >"$tmp/said.$what" 2>&1 || status=$?
	echo $status >"$tmp/said.$what.status"
}

# judge I WHAT DESCRIPTION
judge() { test_that "${names[$1]}: $3" said "${patterns[$1]}" "$tmp/said.$2" "$(<"$tmp/said.$2.status")"; }

for i in "${!names[@]}"; do
	good
	(cd "$dir" && eval "${makes[i]}")
	ask start "$BUILD/lapwingd" --config "$dir/lapwing.json" --state "$tmp/state" --run "$tmp/run" &
	ask daemon "$BUILD/lapwingd" --check-config --config "$dir/lapwing.json" &
	ask cli "$BUILD/lapwing" check-config "$dir/lapwing.json" &
	wait
	judge "$i" start "no start"
	[ "${whos[i]}" != start ] || continue
	judge "$i" daemon "lapwingd --check-config agrees"
	judge "$i" cli "lapwing check-config agrees"
done
good
test_that "the good files are good" "$BUILD/lapwingd" --check-config --config "$dir/lapwing.json"
test_that "also for the command line tool" "$BUILD/lapwing" check-config "$dir/lapwing.json"
exit $failed

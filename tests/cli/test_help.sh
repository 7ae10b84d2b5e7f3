#!/bin/bash
# tests/cli/test_help.sh - help.txt is what --help says, and the manual pages, the completion and the exit codes say the same.
# With UPDATE=1 help.txt is written anew.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}"
lapwing=$BUILD/lapwing golden=tests/cli/help.txt failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# same DESCRIPTION WANTED ACTUAL: files, or texts
same() {
	if diff -u "$2" "$3" >"$tmp/diff"; then echo "ok - $1"; else
		failed=1
		echo "not ok - $1"
		sed 's/^/#   /' "$tmp/diff"
	fi
}

offered() { "$lapwing" __complete "$@" | cut -f 1; }
commands() { offered ''; }
subcommands() { offered tune ''; }
options() { sed -nE 's/^  (-., )?--([a-z-]+).*/\2/p' | sort -u; }

every_help() {
	local command
	printf '$ lapwingd --help\n' && "$BUILD/lapwingd" --help
	printf '\n$ lapwing --help\n' && "$lapwing" --help
	for command in $(commands) $(subcommands | sed 's/^/tune:/'); do
		printf '\n$ lapwing %s --help\n' "${command/:/ }"
		# shellcheck disable=SC2086 # two words
		"$lapwing" ${command/:/ } --help
	done
}

every_help >"$tmp/help"
[ -z "${UPDATE-}" ] || cp "$tmp/help" $golden
same "--help of every command is as in $golden" $golden "$tmp/help"
"$lapwing" --help | awk 'length > 80 || NR > 24' >"$tmp/long"
same "that of all fits a screen" /dev/null "$tmp/long"

best=1000000
for _ in {1..50}; do
	begin=${EPOCHREALTIME/./}
	"$lapwing" --help >/dev/null
	took=$((${EPOCHREALTIME/./} - begin))
	best=$((took < best ? took : best))
done
echo $((best < 5000)) >"$tmp/fast"
same "it takes less than 5 ms ($best us)" <(echo 1) "$tmp/fast"

# The list of all tells of some in pairs, and of each once.
"$lapwing" --help | sed -nE 's/^  ([a-z-]+)(, ([a-z-]+))? .*/\1 \3/p' | xargs -n 1 | sort >"$tmp/listed"
commands | sort >"$tmp/commands"
same "it lists every command" "$tmp/commands" "$tmp/listed"

# ---- Every option is in the manual page and in the completion.
pages() { # PAGE: the options that it knows
	sed -E 's/\\&//g' "$1" | grep -oE 'Fl (. , )?-[a-z-]+' | sed 's/.* -//' | sort -u
}
drift() { # NAME PAGE COMMAND...: its help against both
	local name=$1 page=$2
	shift 2
	"$lapwing" "$@" --help | options >"$tmp/options"
	offered "$@" -- | sed 's/^--//; s/=$//' | sort -u >"$tmp/offered"
	same "$name: the completion offers its options" "$tmp/options" "$tmp/offered"
	pages "$page" | comm -13 - "$tmp/options" >"$tmp/missing"
	same "$name: they are in $page" /dev/null "$tmp/missing"
}
for command in $(commands); do
	[ "$command" = tune ] || drift "lapwing $command" man/lapwing.8 "$command"
	grep -qE "^\.(It )?Cm $command( |\$)" man/lapwing.8 || echo "$command" >>"$tmp/unknown"
done
for command in $(subcommands); do
	drift "lapwing tune $command" man/lapwing-tune.8 tune "$command"
	grep -qE "^\.(It|Ss|Sx) .*\b$command\b" man/lapwing-tune.8 || echo "tune $command" >>"$tmp/unknown"
done
touch "$tmp/unknown"
same "every command has its place in a manual page" /dev/null "$tmp/unknown"
"$BUILD/lapwingd" --help | grep -oE -- '--[a-z-]+' | sed 's/^--//' | sort -u >"$tmp/options"
pages man/lapwingd.8 | comm -13 - "$tmp/options" >"$tmp/missing"
same "lapwingd: its options are in man/lapwingd.8" /dev/null "$tmp/missing"

# ---- Exit codes: their numbers and names never change.
cat >"$tmp/codes" <<-END
	0 ok
	1 failed
	2 usage
	3 not_running
	4 not_enrolled
	5 permission
	6 changes_pending
	7 partial
	8 drift
	9 not_applicable
	10 timeout
	11 unreachable
	12 refused
	13 config
	14 in_use
	15 setup_key
	16 tls
	17 protocol
END
while read -r name number; do
	printf '%d %s\n' "$number" "$(sed -nE "s/.*\[$name\] = \"([a-z_]+)\".*/\1/p" agent/base/exitcode.c)"
done < <(sed -nE 's/^\t(EXIT_[A-Z_]+) = ([0-9]+),.*/\1 \2/p' agent/base/exitcode.h) >"$tmp/known"
same "the exit codes are those of ever" "$tmp/codes" "$tmp/known"
cut -d ' ' -f 1 "$tmp/codes" >"$tmp/numbers"
for page in man/lapwingd.8 man/lapwing.8; do
	sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/s/^\.It \([0-9]*\)$/\1/p' $page >"$tmp/told"
	same "$page tells of each" "$tmp/numbers" "$tmp/told"
done

exit $failed

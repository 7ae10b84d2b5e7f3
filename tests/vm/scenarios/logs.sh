# shellcheck shell=bash source=tests/vm/lib.sh
# Where the log goes, how much of it, and what foreign bytes become in it.
# timeout: 120
# shellcheck disable=SC2015,SC2016 # the last word may fail; expanded by eval
. /job/lib.sh

host a
lan net a=10.0.0.1/24
keys a
mesh a

# ---- A file, and moving it away
install -d -o lapwing /tmp/a/logs
host_config a '"log": {"target": "file", "file": "/tmp/a/logs/log"}'
ok "it starts with a log file" start_daemon a
ok "and writes to it" wait_for 10 grep -q 'made interface wt0' /tmp/a/logs/log
is "$(<"/tmp/a/log")" "" "and not to standard error"
is "$(stat -c %a /tmp/a/logs/log | cut -c 3)" 0 "not everybody reads it"
ok "each line has time and level" eval '! grep -vE "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} (error|warn|info|debug): " /tmp/a/logs/log'
mv /tmp/a/logs/log /tmp/a/logs/log.1
kill -HUP "${pids[a]}"
ok "moved away, it is made again on SIGHUP" wait_for 10 grep -qs 'read again' /tmp/a/logs/log
size=$(stat -c %s /tmp/a/logs/log.1)
before=$(grep -c . /tmp/a/logs/log)
kill -HUP "${pids[a]}"
ok "the new one grows" wait_for 10 eval '[ "$(grep -c . /tmp/a/logs/log)" -gt '"$before"' ]'
is "$(stat -c %s /tmp/a/logs/log.1)" "$size" "and the old one does not"

# ---- A file that cannot be written: the one before stays, the daemon lives.
host_config a '"log": {"target": "file", "file": "/proc/none/log"}'
kill -HUP "${pids[a]}"
ok "a file that cannot be opened is told to the one before" wait_for 10 grep -q 'warn: cannot log to /proc/none/log: ' /tmp/a/logs/log
ok "and the daemon lives" lw a status
stop_daemon a
ok "also at a start" start_daemon a
ok "where standard error has it" wait_for 10 grep -q 'cannot log to /proc/none/log: ' /tmp/a/log
stop_daemon a

# ---- The journal, where there is none
: >/tmp/a/log
host_config a '"log": {"target": "journal"}'
mkdir -p /run/systemd/journal
mount -t tmpfs -o mode=755 none /run/systemd/journal
ok "without a journal it starts" start_daemon a
ok "and says so on standard error" wait_for 10 grep -q 'cannot log to the journal: ' /tmp/a/log
ok "where the rest goes, too" wait_for 10 grep -q 'mesh test' /tmp/a/log
stop_daemon a

# A journal of our own: it gets level and text in fields of their own.
chmod 755 /run/systemd
python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/systemd/journal/socket")
os.chmod("/run/systemd/journal/socket", 0o666)
out = open("/tmp/journal", "wb", 0)
while True:
    out.write(s.recv(65536) + b"\n--\n")' </dev/null >/dev/null 2>&1 {tap}>&- {never}<&- &
journal=$!
wait_for 10 test -S /run/systemd/journal/socket
pause 0.5
ok "with one it starts" start_daemon a
ok "and the journal has priority, name and text" wait_for 10 grep -Pzoq '(?s)PRIORITY=6\nSYSLOG_IDENTIFIER=lapwingd\nMESSAGE=mesh test: [^\n]*\n' /tmp/journal
kill $journal
wait $journal || true
lw a log-level debug >/dev/null
ok "a journal that ends does not end the daemon" lw a status
stop_daemon a
umount /run/systemd/journal

# ---- A pipe that nobody reads, and one whose reader has gone
host_config a '"log": {"level": "debug"}'
mkfifo /tmp/a/pipe
exec {pipe}<>/tmp/a/pipe
log=/tmp/a/pipe
ok "it starts with a pipe that nobody reads" start_daemon a
unset log
for ((i = 0; i < 400; i++)); do kill -HUP "${pids[a]}"; pause 0.01; done
ok "and lives when that is full" lw a status
exec {pipe}>&-
kill -HUP "${pids[a]}"
pause 0.3
kill -HUP "${pids[a]}"
pause 0.3
ok "and when the reader is gone" lw a status
kill "${pids[a]}"
wait_for 10 stopped a || true
exec {pipe}<>/tmp/a/pipe # systemd opens it once more, for what it runs after the daemon
ok "it ends well" reap a
exec {pipe}>&-

# ---- Levels
: >/tmp/a/log
host_config a '"log": {"level": "warn"}'
ok "at level warn it starts" start_daemon a
is "$(grep -cE ' (info|debug): ' /tmp/a/log || true)" 0 "and says nothing less"
is "$(lw a log-level)" warn "it knows its level"
kill -HUP "${pids[a]}"
pause 0.5
is "$(lw a log-level info)" info "which changes at run time"
kill -HUP "${pids[a]}"
pause 0.5
is "$(lw a log-level)" warn "until the configuration is read again"
stop_daemon a
: >/tmp/a/log
ok "the option wins over the configuration" start_daemon a --log-level info
kill -HUP "${pids[a]}"
ok "also when it is read again" wait_for 10 grep -q 'info: configuration read again' /tmp/a/log

# ---- Foreign bytes: nothing that a terminal would obey, and no line that looks like another.
cp /tmp/a/mesh.json /tmp/a/good.json
: >/tmp/a/log
python3 -c '
text = open("/tmp/a/good.json").read()
open("/tmp/a/new", "w").write(text.replace("\"name\": \"a\"", "\"na\\u001b[2J\\u000aerror: fake\\u009b\\u202eme\": \"a\""))'
mv /tmp/a/new /tmp/a/mesh.json
ok "a key with control characters is refused" wait_for 10 grep -q ' error: .*mesh.json: line 1' /tmp/a/log
is "$(grep -c . /tmp/a/log)" 1 "in one line"
fails "without a control character in it" grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' /tmp/a/log
lw a status >/tmp/a/status
fails "nor in the status" grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' /tmp/a/status
ok "which has the message" grep -q 'not taken: .*line 1' /tmp/a/status
ok "and the JSON is valid" eval 'lw a status --json | python3 -m json.tool >/dev/null'
cp /tmp/a/good.json /tmp/a/new
mv /tmp/a/new /tmp/a/mesh.json
python3 -c '
text = open("/tmp/a/good.json").read()
open("/tmp/a/new", "w").write(text.replace("\"name\": \"a\"", "\"" + "n" * 900 + "\": 1, \"name\": \"a\""))'
mv /tmp/a/new /tmp/a/mesh.json
ok "a very long key is cut" wait_for 10 eval 'tail -n 1 /tmp/a/log | grep -q " error: .*nnn" && [ "$(tail -n 1 /tmp/a/log | wc -c)" -lt 1200 ]'
stop_daemon a

finish

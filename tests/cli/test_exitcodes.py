#!/usr/bin/python3
"""tests/cli/test_exitcodes.py - each exit status that a manual page names is really had from the program, and there are no others.

What of them takes WireGuard in the kernel, or other users, is for the scenarios: privileges, ports, control, network, measure,
pathmtu."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

from host import BUILD, check, main

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/hub"))
LIMIT = 30  # seconds, for a daemon that is to end by itself
SETUP_KEY = "11111111-2222-3333-4444-555555555555"
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


class Skip(Exception):
    """This machine cannot do that."""


# -- what there is: each takes a new host -----------------------------------------------------------


def write(path, content):
    with open(path, "w", encoding="utf8") as f:
        f.write(content if isinstance(content, str) else json.dumps(content))


def nothing(host):
    os.mkdir(host.dir + "/etc")


def files(host):
    nothing(host)
    document = host.document()
    write(host.mesh, document.pop("mesh"))
    write(host.config, document)


def waiting(host):
    """A daemon that has neither a mesh nor a network."""
    nothing(host)
    write(host.config, "{}")
    check(ip("link", "set", "lo", "up"), True)
    host.start()


def down(host):
    waiting(host)
    check(host.run("down").returncode, 0)
    check(host.apply(host.document())[0], 0)


def ip(*words):
    return subprocess.run(["ip", *words], stderr=subprocess.DEVNULL, check=False).returncode == 0


def can_make(host, kind):
    host.ends = lambda: ip("link", "delete", "wt0")
    return ip("link", "add", "wt0", "type", kind)


def no_wireguard(host):
    files(host)
    if can_make(host, "wireguard"):
        raise Skip("this kernel has WireGuard")


def name_taken(host, before=files):
    """By an interface of another kind."""
    before(host)
    if not any(can_make(host, kind) for kind in ("dummy", "bridge", "veth")):
        raise Skip("no interface can be made")


def server(host):
    """A management server, and a daemon that does not know it yet."""
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError as e:
        raise Skip("no python3-grpcio") from e
    from running import Program  # pylint: disable=import-outside-toplevel
    waiting(host)
    host.hub = Program("hub.py", "--listen", "127.0.0.1:0")
    host.ends = host.hub.process.kill


def joined(host):
    server(host)
    check(enroll(host, "http://" + host.hub.target, key=host.hub.add_key(reusable=True)), 0)


def silent(host):
    """A server that takes connections and says nothing."""
    waiting(host)
    host.socket = socket.create_server(("127.0.0.1", 0))
    host.url = f"://127.0.0.1:{host.socket.getsockname()[1]}"
    host.ends = host.socket.close


def made_up(host, words="nic=virtio cpus=4 queues=4 wireguard=kernel peers=2"):
    nothing(host)
    host.root = host.dir + "/made-up"
    subprocess.run([BUILD + "/tests/live_fakehost", host.root, *words.split()], check=True, stdout=subprocess.DEVNULL)


def without_devices(host):
    made_up(host, "nic=none")


def meddled(host):
    """Tuned, and then somebody else sets one of the settings."""
    made_up(host)
    check(tune(host, "apply"), 0)
    write(host.root + "/proc/sys/net/core/netdev_budget", "7\n")


def damaged(host):
    """What the originals are kept in is no such file."""
    made_up(host)
    check(tune(host, "apply"), 0)
    write(host.root + "/var/lib/lapwing-tune/originals.json", "{")


def bad_config(host):
    made_up(host)
    os.makedirs(host.root + "/etc/lapwing")
    write(host.root + "/etc/lapwing/lapwing.json", "{")


# -- what is done: each answers with the exit status ------------------------------------------------


def lapwing(host, *words, before=(), text=None):
    command = [*before, BUILD + "/lapwing", "--run", host.dir + "/run", *words]
    return subprocess.run(command, text=True, input=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                          timeout=60).returncode


def lapwingd(host, *words, before=(), state="/state", run="/run"):
    command = [*before, BUILD + "/lapwingd", "--config", host.config, "--state", host.dir + state, "--run", host.dir + run, *words]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=LIMIT).returncode


def tune(host, *words, before=()):
    return lapwing(host, "tune", *words, "--root=" + host.root, before=before)


def enroll(host, url, *words, key=SETUP_KEY):
    return lapwing(host, "enroll", "--management-url", url, "--setup-key-stdin", *words, text=key)


def plan(host, *words, command="plan", **more):
    return lapwing(host, command, "--config", host.config, "-f", host.write(host.document(**more)), *words)


def hang(host):
    host.daemon.send_signal(signal.SIGSTOP)
    try:
        return lapwing(host, "status", "--timeout=0.3")
    finally:
        host.daemon.send_signal(signal.SIGCONT)


def while_enrolling(host, scheme, meanwhile):
    """Enrols at the silent server, and does something once that has been asked."""
    command = [BUILD + "/lapwing", "--run", host.dir + "/run", "enroll", "--management-url", scheme + host.url, "--setup-key-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as enrolling:
        enrolling.stdin.write(SETUP_KEY.encode())
        enrolling.stdin.close()
        host.socket.settimeout(LIMIT)
        with host.socket.accept()[0] as connection:
            connection.settimeout(LIMIT)
            meanwhile(connection)
        return enrolling.wait(LIMIT)


def taken_over(host):
    return while_enrolling(host, "http", lambda _: enroll(host, "http" + host.url, "--timeout=0.3"))


def no_tls(host):
    return while_enrolling(host, "https", lambda connection: (connection.recv(1), connection.sendall(b"nonsense" * 9)))


def senseless(host):
    host.hub.fault(method="GetServerKey", kind="garbage", count=-1)
    return lapwing(host, "deregister")


def server_gone(host):
    host.hub.finish(kill=True)
    return lapwing(host, "deregister")


def forbidden_key(host):
    os.chmod(host.dir + "/state/private.key", 0)
    return lapwing(host, "pubkey", host.dir + "/state/private.key", before=POWERLESS)


def forbidden_originals(host):
    check(tune(host, "apply"), 0)
    os.chmod(host.root + "/var/lib/lapwing-tune", 0)
    return tune(host, "apply", before=POWERLESS)


def stopped(host):
    host.daemon.terminate()
    return host.daemon.wait(LIMIT)


def no_peer_answers(host):
    """There is no iperf3 on the other side."""
    if not shutil.which("iperf3"):
        raise Skip("no iperf3")
    return lapwing(host, "tune", "measure", "--peer=127.0.0.1", "--seconds=1")


# -- the table --------------------------------------------------------------------------------------

DAEMON, CLI, TUNE = "lapwingd", "lapwing", "lapwing tune"
ROWS = [
    (DAEMON, 0, nothing, lambda host: lapwingd(host, "--version"), "says its version"),
    (DAEMON, 0, files, lambda host: lapwingd(host, "--check-config"), "finds the configuration good"),
    (DAEMON, 0, waiting, stopped, "is stopped"),
    (DAEMON, 1, files, lambda host: lapwingd(host, run="/etc/mesh.json/run"), "cannot make its directory"),
    (DAEMON, 2, files, lambda host: lapwingd(host, "--nonsense"), "has no such option"),
    (DAEMON, 2, files, lambda host: lapwingd(host, "--log-level=loud"), "has no such log level"),
    (DAEMON, 2, files, lambda host: lapwingd(host, "nonsense"), "takes no words"),
    (DAEMON, 5, files, lambda host: lapwingd(host, before=POWERLESS), "may not make an interface"),
    (DAEMON, 9, no_wireguard, lapwingd, "needs a kernel with WireGuard"),
    (DAEMON, 12, name_taken, lapwingd, "leaves an interface of another kind alone"),
    (DAEMON, 13, nothing, lapwingd, "has no configuration"),
    (DAEMON, 13, nothing, lambda host: lapwingd(host, "--check-config"), "has none to check"),
    (DAEMON, 14, waiting, lambda host: lapwingd(host, run="/run2"), "does not share its state directory"),
    (DAEMON, 14, waiting, lambda host: lapwingd(host, state="/state2"), "does not share its socket"),
    (CLI, 0, nothing, lambda host: lapwing(host, "version"), "says its version"),
    (CLI, 0, waiting, lambda host: lapwing(host, "status", "--check=live"), "finds the daemon alive"),
    (CLI, 1, down, lambda host: lapwing(host, "status", "--check=ready"), "finds the daemon not ready"),
    (CLI, 2, nothing, lambda host: lapwing(host, "nonsense"), "has no such command"),
    (CLI, 2, waiting, lambda host: lapwing(host, "wake", "nobody"), "knows no such peer"),
    (CLI, 3, nothing, lambda host: lapwing(host, "status"), "finds no daemon"),
    (CLI, 3, waiting, hang, "does not wait for ever"),
    (CLI, 4, waiting, lambda host: lapwing(host, "status", "--check=ready"), "finds no mesh and no network"),
    (CLI, 4, waiting, lambda host: lapwing(host, "up", "--wait"), "waits for neither"),
    (CLI, 5, nothing, forbidden_key, "may not read the key"),
    (CLI, 6, nothing, lambda host: plan(host, "--exit-diff"), "would make the files"),
    (CLI, 7, lambda host: name_taken(host, waiting), lambda host: plan(host, command="apply"), "writes what the daemon cannot do"),
    (CLI, 9, down, lambda host: lapwing(host, "idle", "p0"), "cannot park a peer of what is down"),
    (CLI, 10, silent, lambda host: enroll(host, "http" + host.url, "--timeout=0.5"), "waits no longer for the server"),
    (CLI, 11, joined, server_gone, "cannot ask the server"),
    (CLI, 12, nothing, lambda host: lapwing(host, "genkey", host.dir + "/state/private.key"), "keeps the key that is there"),
    (CLI, 13, nothing, lambda host: lapwing(host, "check-config", host.config), "has no configuration to check"),
    (CLI, 13, nothing, lambda host: lapwing(host, "pubkey", "/dev/null"), "finds no key"),
    (CLI, 14, silent, taken_over, "gives way to another enrolment"),
    (CLI, 15, waiting, lambda host: enroll(host, "http://127.0.0.1:1", key="secret"), "is given what is no setup key"),
    (CLI, 15, server, lambda host: enroll(host, "http://" + host.hub.target), "has a setup key that the server does not know"),
    (CLI, 16, silent, no_tls, "speaks TLS with what does not"),
    (CLI, 17, joined, senseless, "is told nonsense by the server"),
    (TUNE, 0, made_up, lambda host: tune(host, "plan"), "plans"),
    (TUNE, 0, without_devices, lambda host: tune(host, "revert"), "has nothing to take back"),
    (TUNE, 1, nothing, lambda host: lapwing(host, "tune", "plan", "--root", host.dir), "finds no processors"),
    (TUNE, 2, nothing, lambda host: lapwing(host, "tune", "nonsense"), "has no such subcommand"),
    (TUNE, 2, made_up, lambda host: tune(host, "plan", "--only=nonsense"), "has no such knob"),
    (TUNE, 5, made_up, forbidden_originals, "may not read the originals"),
    (TUNE, 6, made_up, lambda host: tune(host, "plan", "--exit-diff"), "would change something"),
    (TUNE, 7, made_up, lambda host: tune(host, "apply", "--persist"), "cannot do it at each start"),
    (TUNE, 7, meddled, lambda host: tune(host, "revert"), "leaves what somebody else has set"),
    (TUNE, 8, meddled, lambda host: tune(host, "verify"), "finds what somebody else has set"),
    (TUNE, 9, without_devices, lambda host: tune(host, "plan"), "finds no device that carries tunnels"),
    (TUNE, 11, waiting, no_peer_answers, "finds no iperf3 on the other side"),
    (TUNE, 12, damaged, lambda host: tune(host, "apply"), "does not lose the originals"),
    (TUNE, 13, bad_config, lambda host: tune(host, "apply", "--on-start"), "finds the configuration bad"),
]


def row_test(program, status, setting, command, words):
    def test(host):
        host.ends = None
        try:
            setting(host)
            check(command(host), status)
        except Skip as e:
            return str(e)
        finally:
            if host.ends:
                host.ends()
        return None
    test.__name__ = f"{program} {words}: {status}"
    return test


# -- the lists --------------------------------------------------------------------------------------


def listed(page):
    """Those of a manual page."""
    text = (TOP / "man" / page).read_text(encoding="utf8")
    return [int(number) for number in re.findall(r"^\.It (\d+)$", text.split(".Sh EXIT STATUS\n")[1].split("\n.Sh ")[0], re.M)]


def of_rows(*programs):
    return sorted({row[1] for row in ROWS if row[0] in programs})


def test_lists(_host):
    """The table, the manual pages, the numbers in the sources and their names in JSON documents."""
    header = (TOP / "agent/base/exitcode.h").read_text(encoding="utf8")
    codes = {int(number): name.lower() for name, number in re.findall(r"\bEXIT_(\w+) = (\d+),", header)}
    check(listed("lapwing.8"), sorted(codes))
    check(listed("lapwingd.8"), sorted(codes))
    check(of_rows(CLI, TUNE), sorted(codes))
    check(of_rows(TUNE), listed("lapwing-tune.8"))
    text = (TOP / "man/lapwingd.8").read_text(encoding="utf8")
    ends = re.search(r"share these; the daemon ends with ([\d,\n ]+ or\s\d+)\.$", text, re.M)
    check(of_rows(DAEMON), [int(number) for number in re.findall(r"\d+", ends.group(1))])
    names = re.findall(r'\[EXIT_(\w+)\] = "(\w+)"', (TOP / "agent/base/exitcode.c").read_text(encoding="utf8"))
    check([name for _, name in names], [codes[number] for number in sorted(codes)])
    check([name.lower() for name, _ in names], [name for _, name in names])
    classes = json.loads((TOP / "scripts/schemas/common.json").read_text(encoding="utf8"))["$defs"]["class"]["enum"]
    check(sorted(classes), sorted(codes.values()))


# -- a directory that is somebody else's -------------------------------------------------------------


def test_state_of_tune(host):
    """An instance called tune would have the directory in which root keeps originals: it is refused before anything is done."""
    nothing(host)
    write(host.config, "{}")
    folder = "/var/lib/lapwing-tune"
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/lib"], check=True)
    try:
        for state in folder, folder + "/", folder + "///":
            for more in (), ("--check-config",), ("--take-down",):
                done = subprocess.run([BUILD + "/lapwingd", "--config", host.config, "--state", state, "--run", host.dir + "/run",
                                       *more], text=True, stderr=subprocess.PIPE, check=False, timeout=LIMIT)
                check((done.returncode, os.listdir("/var/lib")), (2, []))
                check(done.stderr, f"lapwingd: {state} belongs to lapwing tune: give the instance another name\n")
    finally:
        subprocess.run(["umount", "/var/lib"], check=True)
    for name in "lapwing", "lapwing-tuned", "lapwing-tun":
        check(lapwingd(host, "--check-config", "--state=/var/lib/" + name), 0)


main([row_test(*row) for row in ROWS] + [test_lists, test_state_of_tune])

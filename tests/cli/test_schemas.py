#!/usr/bin/python3
"""tests/cli/test_schemas.py - every document that programs read is as scripts/schemas says: nothing more, nothing less.

Where that needs WireGuard in the kernel, its place is taken by the model that simulations have (peers that are up, negotiations),
or the program's writer is called with what would have been measured (tune mtu)."""
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import warnings

from host import BUILD, KEYS, check, main

try:
    import jsonschema
except ImportError:
    jsonschema = None

warnings.simplefilter("ignore", DeprecationWarning)  # RefResolver: newer ones have another, Debian 12 not
TOP = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {path.name[:-5]: json.loads(path.read_text(encoding="utf8")) for path in (TOP / "scripts/schemas").glob("*.json")}
NAMELESS = {"common"}
OURS = {"tune.options.1", "tune.originals.1"}  # files that only lapwing itself reads
SEEN = set()


@functools.lru_cache(None)
def validator(name):
    base = (TOP / "scripts/schemas").as_uri() + "/"
    store = {f"{base}{other}.json": schema for other, schema in SCHEMAS.items()}
    resolver = jsonschema.RefResolver(f"{base}{name}.json", SCHEMAS[name], store=store)
    return jsonschema.Draft202012Validator(SCHEMAS[name], resolver=resolver)


def judge(document, wanted=None):
    """Names the member that is wrong, as deep as it is known."""
    if not document.get("schema", "").startswith("lapwing."):
        raise AssertionError(f"no schema: {document}")
    name = document["schema"].removeprefix("lapwing.").replace("/", ".")
    if wanted and name != wanted:
        raise AssertionError(f"{wanted} is wanted: {document}")
    error = jsonschema.exceptions.best_match(validator(name).iter_errors(document))
    if error:
        raise AssertionError(f"{name}: {error.json_path}: {error.message[:300]}")
    SEEN.add(name)
    return document


def ask(host, wanted, *args, text=None):
    result = host.run(*args, "--json", text=text)
    if not result.stdout:
        raise AssertionError(f"{args}: {result.returncode} {result.stderr}")
    return judge(json.loads(result.stdout), wanted)


def ask_socket(host, wanted, command):
    """What only the control socket tells; wanted None: an error, which there is in an envelope as answers are."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(host.dir + "/run/control.sock")
        sock.sendall(json.dumps({"v": 1, "command": command}).encode() + b"\n")
        with sock.makefile() as file:
            reply = json.loads(file.readline())
    check(reply.pop("v"), 1)
    check(reply.pop("ok"), wanted is not None)
    if wanted:
        return judge(reply["result"], wanted)
    return judge({"schema": "lapwing.error/1", "generated_at": "2026-01-01T00:00:00Z", **reply})


def start(host):
    """Down, for without WireGuard in the kernel a daemon that is up ends."""
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    host.start()
    return ask(host, "change.1", "down")


def look(host):
    """Whatever does not change anything."""
    ask(host, "status.1", "status")
    ask(host, "status.1", "status", "--detail")
    ask(host, "peers.1", "peers")
    ask(host, "runtime.1", "debug", "runtime")
    ask(host, "version.1", "version")
    for command in ("recent", "samples", "version"):
        ask_socket(host, command + ".1", command)
    ask_socket(host, "events.1", "monitor")


def parts(schema):
    """All schemas inside one."""
    yield schema
    for value in schema.values():
        for inner in [value] if isinstance(value, dict) else value if isinstance(value, list) else []:
            if isinstance(inner, dict):
                yield from parts(inner)


def test_files(_host):
    """Each name in the sources has its file, and each file its name; all are valid, strict and explained."""
    text = "".join(path.read_text(encoding="utf8") for path in (TOP / "agent").rglob("*.c"))
    named = {name.replace("/", ".") for name in re.findall(r'"lapwing\.([a-z._-]+/[0-9]+)\\?"', text)}
    check(sorted(SCHEMAS.keys() - NAMELESS), sorted(named - OURS))
    for name, schema in SCHEMAS.items():
        if name not in NAMELESS:
            check(schema["properties"]["schema"]["const"].removeprefix("lapwing.").replace("/", "."), name)
        for part in parts(schema):
            for key, value in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
                if "description" not in value and "$ref" not in value:
                    raise AssertionError(f"{name}: {key} is not explained")
            if isinstance(part.get("properties"), dict) and "type" in part and "required" in part:
                check((name, part["additionalProperties"]), (name, False))
    if not jsonschema:
        return "no python3-jsonschema"
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    return None


def test_strict(host):
    """A member that is added, gone, or of another type is noticed, also deep inside."""
    if not jsonschema:
        return "no python3-jsonschema"
    os.mkdir(host.dir + "/etc")
    start(host)
    check(host.apply(host.document())[0], 0)
    document = ask(host, "status.1", "status", "--detail")
    objects = [document, document["counts"], document["mesh"], document["peers"][0], document["peers"][0]["wakes"]]
    for part in objects:
        for key, value in list(part.items()):
            if key in ("peers", "schema"):
                continue
            for wrong in (None, "added", [value]):
                if wrong is None:
                    del part[key]
                elif wrong == "added":
                    part["x_" + key] = 1
                else:
                    part[key] = wrong
                try:
                    judge(document)
                except AssertionError:
                    pass
                else:
                    raise AssertionError(f"{key}: {wrong} was not noticed")
                part.pop("x_" + key, None)
                part[key] = value
    return None


def with_mesh(host, document):
    look(host)
    ask(host, "change.1", "up")
    look(host)
    ask(host, "change.1", "down")
    ask(host, "apply.1", "apply", "--config", host.config, "-f", host.write(document))
    for args in (("wake", "p0"), ("idle", "p0"), ("pin", "p0"), ("unpin", "p0"), ("peers", "nobody"), ("psk", "clear", "p0")):
        judge(json.loads(host.run(*args, "--json").stdout))
    look(host)
    ask(host, "why.1", "why", "p0")
    ask(host, "log-level.1", "log-level", "debug")
    ask(host, "log-level.1", "log-level")
    ask(host, "doctor.1", "doctor")
    ask(host, "report.1", "report", "--config", host.config, "-o", host.dir + "/report.tar")
    ask(host, "apply.1", "apply", "--diff", "--config", host.config, "-f", host.write(host.document(peers=1)))
    with open(host.mesh, "w", encoding="utf8") as f:
        f.write("{")
    ask_socket(host, None, "reload")
    look(host)
    ask(host, "error.1", "check-config", host.config)
    with open(host.mesh, "w", encoding="utf8") as f:
        json.dump(document["mesh"], f)
    ask_socket(host, "reload.1", "reload")


def test_mesh(host):
    """Without a daemon, without a mesh, with one; up, down, and with files that are bad."""
    if not jsonschema:
        return "no python3-jsonschema"
    os.mkdir(host.dir + "/etc")
    ask(host, "error.1", "status")
    ask(host, "version.1", "version")
    ask(host, "key.1", "genkey", host.dir + "/new.key")
    ask(host, "error.1", "genkey", host.dir + "/new.key")
    ask(host, "key.1", "pubkey", host.dir + "/new.key")
    for args in (("plan",), ("plan", "--diff"), ("apply", "--diff")):
        ask(host, "apply.1", *args, "--config", host.config, "-f", host.write(host.document(peers=2, policy={"max_peers": 9})))
    ask(host, "check-config.1", "check-config", host.config)
    document = host.document(peers=2)
    start(host)
    ask(host, "check-config.1", "check-config", host.config)
    with subprocess.Popen([BUILD + "/lapwing", "--run", host.dir + "/run", "monitor", "--json"], text=True,
                          stdout=subprocess.PIPE) as monitor:
        try:
            time.sleep(0.2)
            with_mesh(host, document)
        finally:
            monitor.terminate()
        lines = monitor.stdout.read().splitlines()
    check(len(lines) > 0, True)
    for line in lines:
        judge(json.loads(line), "event.1")
    return None


def open_hub():
    """None: there is no Python library for it."""
    sys.path.insert(0, str(TOP / "tests/hub"))
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
        from running import Program  # pylint: disable=import-outside-toplevel
    except ImportError:
        return None
    return Program("hub.py", "--listen", "127.0.0.1:0")


def start_bare(host):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.mkdir(host.dir + "/etc")
    with open(host.config, "w", encoding="utf8") as f:
        f.write("{}")
    host.start()


def test_network(host):
    """Joining the network of a server, being there, and leaving it."""
    if not jsonschema:
        return "no python3-jsonschema"
    start_bare(host)
    hub = open_hub()
    if not hub:
        return "no python3-grpcio"
    try:
        url = "http://" + hub.target
        ask(host, "error.1", "enroll", "--management-url", url, "--setup-key-stdin", text="11111111-2222-3333-4444-555555555555")
        look(host)
        key = hub.add_key(reusable=True)
        ask(host, "enroll.1", "enroll", "--management-url", url, "--setup-key-stdin", text=key)
        hub.add_peer(key=KEYS[0], hostname="other")
        hub.set(routes=[{"id": "r1", "peer": "other", "network": "10.7.0.0/16", "metric": 9, "masquerade": True}],
                dns={"enabled": True, "zones": [], "groups": [{"servers": ["192.0.2.1:53"], "primary": True}]},
                checks=[["/usr/bin/true"]])
        for _ in range(100):
            if json.loads(host.run("peers", "--json").stdout)["peers"]:
                break
            time.sleep(0.05)
        look(host)
        ask(host, "why.1", "why", "other")
        ask(host, "export.1", "export-netbird")
        ask(host, "export.1", "export-netbird", host.dir + "/profile.json")
        hub.finish(kill=True)
        time.sleep(0.3)
        look(host)
        ask(host, "import.1", "import-netbird", host.dir + "/profile.json")
        judge(json.loads(host.run("deregister", "--purge", "--json", "--timeout=5").stdout))
        look(host)
    finally:
        hub.process.kill()
    return None


def reload_metrics(host, ingest, number, mode, **members):
    """Another server of metrics, as far as the daemon knows: the first request is made at once."""
    with open(host.dir + "/mode", "w", encoding="utf8") as f:
        json.dump(mode, f)
    metrics = {"push": "on", "config_url": ingest + "/config", "interval_seconds": 600 + number, **members}
    with open(host.config, "w", encoding="utf8") as f:
        json.dump({"metrics": metrics}, f)
    ask_socket(host, "reload.1", "reload")


def wait_for_push(host, wanted):
    for _ in range(200):
        metrics = ask(host, "status.1", "status")["control"]["metrics"]
        if wanted.items() <= metrics.items():
            return metrics
        time.sleep(0.05)
    raise AssertionError(f"{wanted}, not {metrics}")


def push(host, url):
    """All that may become of what is pushed, but for "nameless", which no program is that has a version."""
    forced = {"server_url": url + "/write", "force": True}
    for number, (mode, members, wanted) in enumerate((
            ({"config": "never"}, {}, {"state": "asking", "url": None}),
            ({"config": "page"}, {}, {"state": "unconfigured", "configurations_failed": 1}),
            ({"config": {"version-since": "99.0.0"}}, {}, {"state": "excluded", "configurations_failed": 0}),
            ({"push": "never"}, {}, {"state": "sending", "configurations": 1}),
            ({"push": 503}, forced, {"state": "waiting", "pushes_failed": 1, "error": "HTTP status 503"}),
            ({}, {}, {"state": "waiting", "pushes": 1, "error": None}))):
        reload_metrics(host, url, number, mode, **members)
        metrics = wait_for_push(host, wanted)
    check(metrics["samples"] > 0, True)


def test_pushes(host):
    """Samples for a server of metrics, on good and bad days."""
    if not jsonschema:
        return "no python3-jsonschema"
    start_bare(host)
    hub = open_hub()
    if not hub:
        return "no python3-grpcio"
    with subprocess.Popen([sys.executable, str(TOP / "tests/hub/ingest.py"), host.dir], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as ingest:
        try:
            ask(host, "enroll.1", "enroll", "--management-url", "http://" + hub.target, "--setup-key-stdin",
                text=hub.add_key(reusable=True))
            push(host, f"http://127.0.0.1:{int(ingest.stdout.readline())}")
        finally:
            hub.process.kill()
            ingest.kill()
    return None


def kinds(documents):
    """What is the case in at least one of them."""
    found = set()
    for document in documents:
        if "event" in document:
            found.add(("event", document["event"], document.get("state")))
        for peer in document.get("peers", ()):
            negotiation = peer["negotiation"] or {"phase": None, "path": None}
            found |= {("state", peer["state"]), ("lazy", peer["lazy"]), ("woken by", peer["wakes"]["cause"]),
                      ("phase", negotiation["phase"]), ("path", negotiation["path"] is not None)}
    return found


def test_lives(host):
    """Networks whose kernel is a model: peers that are up, asleep, woken or negotiated with, and what monitors are told."""
    if not jsonschema:
        return "no python3-jsonschema"
    os.mkdir(host.dir + "/etc")
    start(host)
    of_daemon = ask(host, "status.1", "status", "--detail")
    lives = subprocess.run([BUILD + "/tests/sim_paths", "--documents", "6"], text=True, stdout=subprocess.PIPE, check=True)
    documents = [json.loads(line) for line in lives.stdout.splitlines() if line.startswith("{")]
    for document in documents:
        # What the engine does not know of itself is the daemon's.
        judge({**of_daemon, **document} if document["schema"] == "lapwing.status/1" else document)
    wanted = {("state", "up"), ("state", "parked"), ("state", "unreachable"), ("state", "connecting"), ("lazy", "active"),
              ("lazy", "permanent"), ("woken by", "traffic"), ("woken by", "remote"), ("phase", "up"), ("phase", "checking"),
              ("phase", None), ("path", True), ("event", "negotiation", "up"), ("event", "negotiation", "failed"),
              ("event", "lazy", "active"), ("event", "lazy", "parked")}
    check(wanted - kinds(documents), set())
    return None


# The five scenarios here, and two knobs of a host that is made up: nothing of this one is to be set.
MEASURE = """
"$1" --run "$2" tune measure --peer=127.0.0.1 --seconds=1 --json
mount --bind "$3/sys" /sys && mount --bind "$3/proc" /proc && mount -t tmpfs none /var/lib &&
"$1" --run "$2" tune measure --peer=127.0.0.1 --seconds=1 --each-knob --only=budget,rmem --json
"""


def make_up(root, words):
    subprocess.run([BUILD + "/tests/live_fakehost", root, *words.split()], check=True, stdout=subprocess.DEVNULL)


def begin_measuring(host):
    """Some seconds, while the rest of the test goes on."""
    root = host.dir + "/measured"
    make_up(root, "nic=virtio cpus=4 queues=4")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1"], stdout=subprocess.DEVNULL)
    while ":1451 " not in pathlib.Path("/proc/net/tcp").read_text(encoding="utf8"):  # port 5201
        time.sleep(0.05)
    client = subprocess.Popen(["unshare", "-m", "sh", "-c", MEASURE, "sh", BUILD + "/lapwing", host.dir + "/run", root], text=True,
                              stdout=subprocess.PIPE)
    return server, client


def end_measuring(server, client):
    said = client.communicate(timeout=120)[0].splitlines()
    server.kill()
    server.wait()
    scenarios, knobs = [judge(json.loads(line), "tune.measure.1") for line in said]
    check((len(scenarios["runs"]), scenarios["noise_percent"], scenarios["knobs"]), (5, None, []))
    check([(trial["knob"], trial["settings"]) for trial in knobs["knobs"]], [("budget", 1), ("rmem", 1)])


def test_tune(host):
    """A host that is made up, and the loopback of this one."""
    if not jsonschema:
        return "no python3-jsonschema"
    measuring = begin_measuring(host) if shutil.which("iperf3") else None
    for i, words in enumerate(("nic=virtio cpus=4 queues=4 wireguard=kernel peers=2", "nic=mlx5 cpus=16 queues=8")):
        root = f"{host.dir}/made-up{i}"
        make_up(root, words)
        at = f"--root={root}"
        for command in (("show",), ("plan",), ("verify",), ("apply", "--check"), ("apply", "--persist"), ("apply",), ("verify",),
                        ("show",), ("revert", "--check"), ("revert",), ("diagnose", "--duration=1")):
            judge(json.loads(host.run("tune", *command, "--json", at).stdout), f"tune.{command[0]}.1")
    judge(json.loads(host.run("tune", "mtu", "--json", at).stdout), "error.1")
    for line in subprocess.run([BUILD + "/tests/live_mtu"], stdout=subprocess.PIPE, check=True).stdout.splitlines():
        judge(json.loads(line), "tune.mtu.1")
    judge(json.loads(host.run("tune", "diagnose", "--duration=1", "--json").stdout))
    if measuring:
        end_measuring(*measuring)
    return None


def test_all(_host):
    """Nothing but what this machine cannot make."""
    if not jsonschema:
        return "no python3-jsonschema"
    unseen = {"common"}
    if not shutil.which("iperf3"):
        unseen.add("tune.measure.1")
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        unseen |= {"enroll.1", "export.1", "import.1"}
    check(sorted(SCHEMAS.keys() - SEEN), sorted(unseen))
    return None


main([test_files, test_strict, test_mesh, test_network, test_pushes, test_lives, test_tune, test_all])

#!/usr/bin/python3
"""tests/ansible/test_members.py - the filter that makes the hosts of a mesh file."""
import importlib.util
import os
import sys

PATH = "/../../scripts/ansible/ansible_collections/lapwing/mesh/plugins/filter/members.py"
HOSTS = {"a": {"lapwing_host": {"addresses": ["100.64.0.1"]}, "lapwing_key": "A"},
         "b": {"lapwing_host": {"addresses": ["100.64.0.2"], "endpoints": ["192.0.2.2:51820"]}, "lapwing_key": "B"}}


def load():
    spec = importlib.util.spec_from_file_location("members", os.path.dirname(os.path.abspath(__file__)) + PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(check=False, **hosts):
    """The message where it is refused."""
    known = {**HOSTS, **hosts}
    try:
        return MODULE.members(list(known), known, check)
    except MODULE.AnsibleFilterError as e:
        return str(e)


def b(**host):
    return {"lapwing_host": {"addresses": ["100.64.0.2"], **host}, "lapwing_key": "B"}


A = {"name": "a", "addresses": ["100.64.0.1"], "public_key": "A"}
C = {"lapwing_host": {"addresses": ["100.64.0.3"]}}


def tests():
    """Each with what it is to be."""
    full = [A, {"name": "b", "addresses": ["100.64.0.2"], "endpoints": ["192.0.2.2:51820"], "public_key": "B"}]
    yield "all", made(), full
    yield "one that is absent", made(b={**HOSTS["b"], "lapwing_state": "absent"}), [A]
    yield "a name and a key of its own", made(b=b(name="db", public_key="D"))[1], {"name": "db", "addresses": ["100.64.0.2"], "public_key": "D"}
    yield "no address", made(b={"lapwing_host": {"name": "b"}}), "b: lapwing_host.addresses is missing"
    yield "no variable", made(b={}), "b: lapwing_host.addresses is missing"
    yield "one name", made(b=b(name="a")), "a and b have the same name: a"
    yield "one key", made(b=b(public_key="A")), "a and b have the same public_key: A"
    yield "no key", made(c=C)[:30], "no public key is known of c: l"
    yield "no key yet", made(check=True, c=C)[2], {"name": "c", "addresses": ["100.64.0.3"]}
    found = {"lapwing_found": {"members": {"c": "C", "a": "old"}}}
    yield "known elsewhere", made(a={**HOSTS["a"], **found}, c=C), full + [{"name": "c", "addresses": ["100.64.0.3"], "public_key": "C"}]


if os.path.isdir("/usr/lib/python3/dist-packages/ansible"):
    MODULE = load()
    failed = 0
    for n, (what, got, wanted) in enumerate(tests(), 1):
        failed += got != wanted
        print(f"ok {n} {what}" if got == wanted else f"not ok {n} {what}: {got!r}, not {wanted!r}")
    print(f"1..{n}")
    sys.exit(failed > 0)
print("1..1\nok 1 # SKIP no ansible-core")

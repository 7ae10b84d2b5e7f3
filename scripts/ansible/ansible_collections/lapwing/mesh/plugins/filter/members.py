"""The hosts of a mesh file, from what the inventory and this run know of them."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: members
short_description: The hosts of a mesh file, from the inventory and the keys that were collected
description:
  - Every host that is named becomes a member, whether this run has reached it or not, unless its C(lapwing_state) is
    C(absent). What the mesh file says of it is its C(lapwing_host).
  - Its public key is that of C(lapwing_host), or what this run has got from the host (C(lapwing_key)), or, where the host
    was not reached, what the mesh file of a host that was reached has under its name.
options:
  _input:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable of that name.
    type: dict
    required: true
  check:
    description: Whether keys may be missing, as it is this run that would make them; they are left out then.
    type: bool
    default: false
"""

EXAMPLES = r"""
hosts: "{{ groups['lapwing'] | lapwing.mesh.members(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The hosts of a mesh file.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError


def found_elsewhere(names, hostvars):
    """What hosts that were reached have in their mesh files."""
    keys = {}
    for name in names:
        for member, key in (hostvars[name].get("lapwing_found") or {}).get("members", {}).items():
            keys.setdefault(member, key)
    return keys


def member(name, known):
    """One host, without a key when it has none."""
    host = known.get("lapwing_host")
    if not isinstance(host, dict) or not host.get("addresses"):
        raise AnsibleFilterError("%s: lapwing_host.addresses is missing" % name)
    host = dict(host)
    host.setdefault("name", name)
    host.setdefault("public_key", known.get("lapwing_key"))
    return host


def refuse_doubles(hosts):
    """Of what two hosts of the inventory may not share; which host it is says only the inventory."""
    for what in ("name", "public_key"):
        seen = {}
        for name, host in hosts:
            value = host[what]
            if value and seen.setdefault(value, name) != name:
                raise AnsibleFilterError("%s and %s have the same %s: %s" % (seen[value], name, what, value))


def members(names, hostvars, check=False):
    hosts = []
    for name in names:
        known = hostvars[name]
        if known.get("lapwing_state", "present") == "present":
            hosts.append((name, member(name, known)))
    if not all(host["public_key"] for name, host in hosts):
        elsewhere = found_elsewhere(names, hostvars)
        for name, host in hosts:
            host["public_key"] = host["public_key"] or elsewhere.get(host["name"])
    missing = [name for name, host in hosts if not host["public_key"]]
    if missing and not check:
        raise AnsibleFilterError(
            "no public key is known of %s: let the role see all hosts of the mesh once (its entry point keys), or set"
            " lapwing_host.public_key" % ", ".join(missing))
    refuse_doubles(hosts)
    return [{key: value for key, value in host.items() if value is not None} for name, host in hosts]


class FilterModule(object):
    def filters(self):
        return {"members": members}

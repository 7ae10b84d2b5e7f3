#!/usr/bin/python
"""lapwing_network - joins the network of a NetBird management server, and leaves whatever network there is."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lapwing_network
short_description: Joins the network of a management server, or leaves any network
description:
  - Joins with C(lapwing enroll). On a host that is in that network already nothing is done, and the setup key is not
    looked at. It goes from here to lapwing on its standard input.
  - Leaves with C(lapwing deregister --purge), or takes a mesh that comes from a file down.
author: lapwing (@lapwing)
options:
  state:
    description: What is wanted.
    type: str
    choices: [joined, left]
    default: joined
  management_url:
    description: The server of the network.
    type: str
  setup_key:
    description: The setup key.
    type: str
  setup_key_file:
    description: A file on the host with the setup key, used where there is no I(setup_key), and removed when the host has joined.
    type: path
    default: /etc/credstore/lapwing.setup-key
  force:
    description: Leave the network of another server for it.
    type: bool
    default: false
  timeout:
    description: For how many seconds the server is waited for.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    description: Nothing is changed, and what would be is told.
  diff_mode:
    support: full
    description: Tells which server was left and which was joined.
"""

EXAMPLES = r"""
- name: Join
  lapwing.mesh.lapwing_network:
    management_url: https://netbird.example.net
    setup_key: "{{ vault_setup_key }}"
"""

RETURN = r"""
message:
  description: What lapwing says.
  type: str
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.six.moves.urllib.parse import urlsplit
from ansible_collections.lapwing.mesh.plugins.module_utils.cli import CONFIG, NOT_RUNNING, OK, REFUSED, Cli, read_json

MEMBERSHIP = "/var/lib/lapwing/network.json"


def one_form(module, url):
    """As lapwing shows it."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts = None
    if not parts or parts.scheme not in ("https", "http") or not parts.hostname:
        module.fail_json(msg="management_url: https://HOST[:PORT] is wanted, not %s" % url)
    host = "[%s]" % parts.hostname if ":" in parts.hostname else parts.hostname
    return "%s://%s:%d" % (parts.scheme, host, port)


def look(cli):
    """The status, and the server whose network this host is in."""
    status = None
    if cli.path:
        code, answer = cli.ask("status", fine=(OK, NOT_RUNNING))
        status = answer if code == OK else None
    if status is None:
        return None, (read_json(MEMBERSHIP) or {}).get("url")
    management = (status["control"] or {}).get("management") or {}
    return status, management.get("url")


def is_known(status):
    """Unless the server has forgotten this host."""
    return status is None or status["control"]["management"]["state"] != "login_needed"


def join(module, cli, wanted):
    """With the key that is there; on standard input, so that nobody sees it."""
    key, path = module.params["setup_key"], module.params["setup_key_file"]
    options = ["--management-url=" + wanted, "--timeout=%d" % module.params["timeout"]]
    if module.params["force"]:
        options.append("--force")
    if key:
        return cli.ask("enroll", "--setup-key-stdin", *options, data=key)[1]
    if not os.path.exists(path):
        module.fail_json(msg="there is no setup key: neither setup_key nor %s" % path)
    answer = cli.ask("enroll", "--setup-key-file=" + path, *options)[1]
    os.unlink(path)
    return answer


def joined(module, cli):
    wanted = one_form(module, module.params["management_url"])
    status, present = look(cli)
    if present and present != wanted and not module.params["force"]:
        cli.fail(REFUSED, {"error": {"message": "this host is enrolled at %s, not %s" % (present, wanted), "hint": "--force"}})
    if present == wanted and is_known(status):
        return {"changed": False, "message": "already enrolled at " + wanted}, present, wanted
    answer = {"changed": True, "message": None} if module.check_mode else join(module, cli, wanted)
    return answer, present, wanted


def left(module, cli):
    status, present = look(cli)
    if status is None and cli.path and present:
        module.fail_json(msg="lapwingd does not run, so it cannot tell %s that this host leaves: start it" % present)
    if status is None and cli.path and os.path.exists(CONFIG):
        module.warn("lapwingd does not run: what it has made goes with the package, or by lapwingd --take-down")
    if status is None or (not present and (status["mesh"] is None or status["state"] == "down")):
        return {"changed": False, "message": None}, None, None
    there = present or "the mesh %s" % status["mesh"]["name"]
    if module.check_mode:
        return {"changed": True, "message": None}, there, None
    answer = cli.ask("deregister", "--purge")[1] if present else cli.ask("down")[1]
    return answer, there, None


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["joined", "left"], "default": "joined"},
            "management_url": {"type": "str"},
            "setup_key": {"type": "str", "no_log": True},
            "setup_key_file": {"type": "path", "no_log": False, "default": "/etc/credstore/lapwing.setup-key"},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 120},
        },
        required_if=[("state", "joined", ["management_url"])],
        supports_check_mode=True,
    )
    answer, before, after = (joined if module.params["state"] == "joined" else left)(module, Cli(module))
    module.exit_json(
        changed=answer["changed"], message=answer.get("message"),
        diff={"before": "%s\n" % before if before else "", "after": "%s\n" % after if after else ""})


if __name__ == "__main__":
    main()

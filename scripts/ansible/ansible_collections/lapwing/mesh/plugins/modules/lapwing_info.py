#!/usr/bin/python
"""lapwing_info - how lapwing is on a host; waits for it when asked to."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lapwing_info
short_description: Tells how lapwing is on a host, and waits until it is ready
description:
  - Never changes anything.
author: lapwing (@lapwing)
options:
  wait:
    description:
      - C(live) waits until the daemon answers, C(ready) until everything is in place; the module fails when that does not
        come about.
    type: str
    choices: ["no", live, ready]
    default: "no"
  timeout:
    description: For how many seconds.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: Go on when the mesh is up
  lapwing.mesh.lapwing_info:
    wait: ready
"""

RETURN = r"""
installed:
  description: Whether there is a lapwing.
  type: bool
  returned: always
public_key:
  description: Of this host; none where it has no private key.
  type: str
  returned: always
members:
  description: The mesh file of this host as public keys by names.
  type: dict
  returned: always
status:
  description: The document of C(lapwing status --json); none where no daemon answers.
  type: dict
  returned: always
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lapwing.mesh.plugins.module_utils.cli import CONFIG, NOT_RUNNING, OK, Cli, read_json

PRIVATE_KEY = "/var/lib/lapwing/private.key"


def public_key(module, cli, config):
    path = config.get("private_key_file", PRIVATE_KEY)
    if not cli.path or not os.path.exists(path):
        return None
    status, out, err = cli.run("pubkey", path)
    if status != OK:
        module.fail_json(msg=err.strip(), rc=status)
    return out.strip()


def members(config):
    mesh = read_json(config["mesh_file"]) if config.get("mesh_file") else None
    return {host["name"]: host["public_key"] for host in (mesh or {}).get("hosts", [])}


def ask_status(cli):
    """None where no daemon answers."""
    if not cli.path:
        return None
    status, answer = cli.ask("status", fine=(OK, NOT_RUNNING))
    return answer if status == OK else None


def is_there(wait, status):
    return wait == "no" or (status is not None and (wait == "live" or status["state"] == "ready"))


def wait_for(module, cli):
    wait, left = module.params["wait"], module.params["timeout"]
    end = time.time() + left
    status = ask_status(cli)
    while not is_there(wait, status):
        # Nothing but `lapwing up` ends this state.
        if time.time() >= end or (status and status["state"] == "down"):
            said = "%s: %s" % (status["state"], status["reason"]) if status else "lapwingd does not answer"
            module.fail_json(msg="not %s: %s" % (wait, said), status=status)
        time.sleep(0.5)
        status = ask_status(cli)
    return status


def main():
    module = AnsibleModule(
        argument_spec={
            "wait": {"type": "str", "choices": ["no", "live", "ready"], "default": "no"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    cli = Cli(module)
    config = read_json(CONFIG) or {}
    module.exit_json(
        changed=False, installed=cli.path is not None, status=wait_for(module, cli),
        public_key=public_key(module, cli, config), members=members(config))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""lapwing_config - makes configuration, mesh file and running mesh what a document says."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lapwing_config
short_description: Makes configuration and mesh of a host what a document says
description:
  - What C(lapwing apply) does. The document is checked as a whole, both files are replaced together or not at all, and a
    daemon that runs reads them and is waited for. Where none runs the files are for its next start.
  - What says the same in another form is left as it is.
author: lapwing (@lapwing)
options:
  document:
    description:
      - A lapwing.json(5), in which the content of the mesh file may stand as C(mesh).
      - In check mode hosts of the mesh may have no C(public_key) yet, where it is this run that would make it.
    type: dict
    required: true
  force:
    description: Also replace the mesh by one of another name.
    type: bool
    default: false
  timeout:
    description: For how many seconds a daemon is waited for. That it is still at work then is no failure, but a warning.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Nothing is changed, and what would be is told.
  diff_mode:
    support: full
    description: Names each setting and each host that differs.
"""

EXAMPLES = r"""
- name: Accept only these routes
  lapwing.mesh.lapwing_config:
    document:
      mesh_file: /etc/lapwing/mesh.json
      policy:
        routes: [10.0.0.0/8]
      mesh: "{{ lookup('ansible.builtin.file', 'mesh.json') | from_json }}"
"""

RETURN = r"""
state:
  description: The state of the daemon, or C(not_running).
  type: str
  returned: always
reason:
  description: Why the state is so.
  type: str
  returned: always
items:
  description: What was, or would be, done to each file and to the daemon.
  type: list
  elements: dict
  returned: always
mesh_difference:
  description: How many hosts of the mesh were added, removed and changed, and which.
  type: dict
  returned: when there is a mesh
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lapwing.mesh.plugins.module_utils.cli import CONFIG, OK, PARTIAL, TIMED_OUT, Cli, read_json

SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def split_keyless(document):
    """The document without the hosts that have no key yet, and the names of those."""
    mesh = document.get("mesh")
    if not isinstance(mesh, dict) or not isinstance(mesh.get("hosts"), list):
        return document, []
    hosts = [h for h in mesh["hosts"] if not isinstance(h, dict) or h.get("public_key")]
    keyless = [str(h.get("name")) for h in mesh["hosts"] if isinstance(h, dict) and not h.get("public_key")]
    return dict(document, mesh=dict(mesh, hosts=hosts)), keyless


def foresee(document):
    """What an apply does on a host where lapwing is still to be installed."""
    wanted = {key: value for key, value in document.items() if key != "mesh"}
    changed = read_json(CONFIG) != wanted
    if "mesh" in document:
        changed = changed or read_json(wanted.get("mesh_file", "/etc/lapwing/mesh.json")) != document["mesh"]
    return {"changed": changed, "state": "not_running", "reason": None, "items": [], "mesh_difference": None}


def describe(answer, keyless):
    """What --diff shows."""
    settings = answer.get("settings") or []
    difference = answer.get("mesh_difference") or {}
    lines = ["mesh: %s differs" % part for part in difference.get("mesh", [])]
    for host in difference.get("hosts", []):
        parts = ": " + ", ".join(host["parts"]) if host["parts"] else ""
        lines.append("%s %s%s" % (SIGNS.get(host["change"], "?"), host["name"], parts))
    lines += ["+ %s: its key is still to be made" % name for name in keyless]
    if difference.get("left_out"):
        lines.append("and %d more" % difference["left_out"])
    shown = []
    if settings:
        shown.append({
            "before_header": CONFIG, "after_header": CONFIG,
            "before": {s["key"]: s["before"] for s in settings if s["before"] is not None},
            "after": {s["key"]: s["after"] for s in settings if s["after"] is not None},
        })
    if lines:
        shown.append({"prepared": "".join(line + "\n" for line in lines)})
    return shown


def main():
    module = AnsibleModule(
        argument_spec={
            "document": {"type": "dict", "required": True},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    cli = Cli(module)
    document, keyless = split_keyless(module.params["document"])
    if keyless and not module.check_mode:
        module.fail_json(msg="no public key is known of " + ", ".join(keyless))
    text = json.dumps(document, indent=1, sort_keys=True)
    options = ["--file=-", "--diff", "--timeout=%d" % module.params["timeout"]]
    if module.params["force"]:
        options.append("--force")

    if module.check_mode and not cli.path:
        answer = foresee(document)
    else:
        answer = cli.ask("plan", *options, data=text)[1]
    if answer["changed"] and not module.check_mode:
        status, done = cli.ask("apply", *options, data=text, fine=(OK, PARTIAL, TIMED_OUT))
        if status == TIMED_OUT:
            module.warn(done["error"]["message"])
        else:
            answer = done
    module.exit_json(
        changed=answer["changed"] or bool(keyless), diff=describe(answer, keyless), state=answer["state"],
        reason=answer["reason"], items=answer["items"], mesh_difference=answer["mesh_difference"])


if __name__ == "__main__":
    main()

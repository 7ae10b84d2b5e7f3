#!/usr/bin/python
"""lapwing_tune - tunes a host for WireGuard, and takes it back."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: lapwing_tune
short_description: Tunes a host for WireGuard, or puts the originals back
description:
  - What C(lapwing tune apply) and C(lapwing tune revert) do, see lapwing-tune(8).
author: lapwing (@lapwing)
options:
  state:
    description: C(absent) puts the originals back, and removes what persists.
    type: str
    choices: [present, absent]
    default: present
  only:
    description: Only these knobs.
    type: list
    elements: str
    default: []
  skip:
    description: Not these knobs.
    type: list
    elements: str
    default: []
  underlay:
    description: The device that carries the tunnels, where it is not found by itself.
    type: str
  irqbalance:
    description: What becomes of irqbalance.
    type: str
    choices: [ban, stop, keep]
    default: ban
  allow_disruptive:
    description: Also change what resets a link in use.
    type: bool
    default: false
  persist:
    description: Also after the next start of the host.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Nothing is changed, and what would be is told.
  diff_mode:
    support: full
    description: Names each setting with its values before and after.
"""

EXAMPLES = r"""
- name: Tune
  lapwing.mesh.lapwing_tune:
    skip: [bbr, fq]

- name: Back to what it was
  lapwing.mesh.lapwing_tune:
    state: absent
"""

RETURN = r"""
items:
  description: What became, or would become, of each setting.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lapwing.mesh.plugins.module_utils.cli import OK, PARTIAL, Cli


def options_of(params):
    """Those of the command line."""
    if params["state"] == "absent":
        return "revert", []
    options = ["--irqbalance=" + params["irqbalance"]]
    for name in ("only", "skip"):
        if params[name]:
            options.append("--%s=%s" % (name, ",".join(params[name])))
    if params["underlay"]:
        options.append("--underlay=" + params["underlay"])
    if params["allow_disruptive"]:
        options.append("--allow-disruptive")
    if params["persist"]:
        options.append("--persist")
    return "apply", options


def trouble(answer):
    """What could not be done, in words; what somebody else has set since and was left is none."""
    failed = ["%s: %s" % (i["id"], i["error"] or i["reason"]) for i in answer["items"] if i["result"] == "failed"]
    return "; ".join(failed + ([answer["files_error"]] if answer["files_error"] else []))


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "only": {"type": "list", "elements": "str", "default": []},
            "skip": {"type": "list", "elements": "str", "default": []},
            "underlay": {"type": "str"},
            "irqbalance": {"type": "str", "choices": ["ban", "stop", "keep"], "default": "ban"},
            "allow_disruptive": {"type": "bool", "default": False},
            "persist": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    cli = Cli(module)
    verb, options = options_of(module.params)
    if module.check_mode and not cli.path:
        module.exit_json(changed=module.params["state"] == "present", items=[], diff={"before": {}, "after": {}})
    if module.check_mode:
        options.append("--check")
    status, answer = cli.ask("tune", verb, *options, fine=(OK, PARTIAL))
    wrong = trouble(answer)
    changed = [i for i in answer["items"] if i["result"] == "changed"]
    diff = {
        "before": {i["id"]: i["before"] for i in changed}, "after": {i["id"]: i["after"] for i in changed},
    }
    if answer["files_changed"]:
        diff["before"]["at the next start"] = diff["after"]["at the next start"] = "changed"
        diff["before"]["at the next start"] = "as before"
    if wrong:
        module.fail_json(msg=wrong, rc=status, changed=answer["changed"], items=answer["items"], diff=diff)
    for item in answer["items"]:
        if item["result"] == "drifted":
            module.warn("%s was left: %s" % (item["id"], item["reason"]))
    module.exit_json(changed=answer["changed"], items=answer["items"], diff=diff)


if __name__ == "__main__":
    main()

"""module_utils/cli.py - asks the command line of lapwing, which answers with one JSON object."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

# Exit statuses of lapwing(8).
OK, NOT_RUNNING, PARTIAL, TIMED_OUT, REFUSED = 0, 3, 7, 10, 12

CONFIG = "/etc/lapwing/lapwing.json"


class Cli:
    """The lapwing of this host; `path` is None where there is none."""

    def __init__(self, module):
        self.module = module
        self.path = module.get_bin_path("lapwing", opt_dirs=["/usr/local/bin"])

    def run(self, *args, **more):
        """Exit status, standard output and standard error."""
        if not self.path:
            self.module.fail_json(msg="lapwing is not installed on this host")
        return self.module.run_command([self.path] + list(args), **more)

    def ask(self, *args, **more):
        """Exit status and answer. With one that is not in `fine` the module ends."""
        fine = more.pop("fine", (OK,))
        status, out, err = self.run(*(args + ("--json",)), **more)
        try:
            answer = json.loads(out)
        except ValueError:
            self.module.fail_json(msg="lapwing %s: %s" % (args[0], (err or out).strip()), rc=status)
        if status not in fine:
            self.fail(status, answer)
        return status, answer

    def fail(self, status, answer, **more):
        """With what lapwing says of it."""
        error = answer.get("error") or {}
        message = error.get("message") or answer.get("reason") or answer.get("state")
        hint = error.get("hint")
        if status == REFUSED and "--force" in (hint or ""):
            hint = "lapwing_allow_migration allows it"
        if hint:
            message += " (%s)" % hint
        self.module.fail_json(msg=message, rc=status, **more)


def read_json(path):
    """None where there is no such file, or no JSON object in it."""
    try:
        with open(path) as f:
            value = json.load(f)
    except (IOError, OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None

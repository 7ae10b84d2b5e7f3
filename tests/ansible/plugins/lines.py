"""plugins/lines.py - a callback that prints a JSON object for what became of each task on each host."""
import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lines
type: stdout
short_description: a JSON object a line
description: For programs that compare runs.
"""


class CallbackModule(CallbackBase):
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lines"

    def say(self, result, became):
        said = result._result
        became = "changed" if became == "ok" and said.get("changed") else became
        self._display.display(json.dumps({
            "host": result._host.get_name(), "task": result._task.get_name().split(" : ")[-1], "became": became,
            "said": said.get("module_stderr") or said.get("msg"), "diff": said.get("diff"),
            "errors": said.get("argument_errors") or said.get("stderr") if became == "failed" else None,
            "all": said if self._display.verbosity > 2 else None}, default=str))

    def v2_runner_on_ok(self, result, **kwargs):
        if not result._task.action.endswith("include_tasks"):
            self.say(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.say(result, "failed")

    def v2_runner_on_unreachable(self, result):
        self.say(result, "unreachable")

"""plugins/fakehost.py - a connection into the namespaces of a host that hosts.py has made."""
import os
import shutil
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: fakehost
short_description: into the namespaces of a fake host
description: There is a file with the number of its first process; a file HOST.left says how many more commands it answers.
options:
  hosts:
    description: The folder of those files.
    type: path
    vars: [{name: fakehosts}]
"""


class Connection(ConnectionBase):
    transport = "fakehost"
    has_pipelining = True

    def _connect(self):
        self.path = os.path.join(self.get_option("hosts"), self._play_context.remote_addr)
        with open(self.path, encoding="utf8") as f:
            self.first = int(f.read())
        self._connected = True
        return self

    def answer(self):
        """Does it still?"""
        if not os.path.exists(self.path + ".left"):
            return
        with open(self.path + ".left", "r+", encoding="utf8") as f:
            left = int(f.read())
            if not left:
                raise AnsibleConnectionFailure("No route to host")
            f.seek(0)
            f.write(str(left - 1))

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self.answer()
        done = subprocess.run(["nsenter", f"-t{self.first}", "-a", "-r", "-w", "/bin/sh", "-c", cmd], input=in_data or b"",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr

    def inside(self, path):
        return f"/proc/{self.first}/root{path}"

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(in_path)
        shutil.copyfile(in_path, self.inside(out_path))

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        shutil.copyfile(self.inside(in_path), out_path)

    def close(self):
        self._connected = False

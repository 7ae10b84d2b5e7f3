"""plugins/fakehost.py - a connection into the namespaces of a host that hosts.py has made."""
import os
import shutil
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: fakehost
short_description: into the namespaces of a fake host
description: There is a file with the number of its first process, unless the host is down.
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
        try:
            with open(os.path.join(self.get_option("hosts"), self._play_context.remote_addr), encoding="utf8") as f:
                self.first = int(f.read())
        except OSError as e:
            raise AnsibleConnectionFailure("No route to host") from e
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
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

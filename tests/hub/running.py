"""Starts hub.py and fault_proxy.py for tests, and tells them what to do."""
import json
import os
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))


class Program:
    """Told by methods of any name: hub.add_key(reusable=False)."""

    def __init__(self, name, *arguments, control=None):
        self.directory = tempfile.TemporaryDirectory()
        self.control = control or os.path.join(self.directory.name, 'control')
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, name), '--control', self.control, *arguments],
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{name} ended with {self.process.wait()}')
        self.ready = json.loads(line)
        self.target = f'127.0.0.1:{self.ready["port"]}'

    def tell(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.control)
            sock.sendall(json.dumps({'do': command, **arguments}).encode() + b'\n')
            reply = json.loads(sock.makefile('rb').readline())
        if not reply['ok']:
            raise RuntimeError(reply['error'])
        return reply['result']

    def __getattr__(self, name):
        if name.startswith('_') or name == 'process':
            raise AttributeError(name)
        return lambda **arguments: self.tell(name, **arguments)

    def finish(self, kill=False):
        """Its exit status."""
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.stdout.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.directory.cleanup()

"""What the tests of the hub are made of."""
import base64
import os
import subprocess
import sys
import unittest

import grpc
from nacl.public import PrivateKey

from client import Client
from running import Program

# Fields.
MAP, CHECKS, PEER_CONFIG, SERVERS = 5, 6, 2, 1
SERIAL, REMOTE, REMOTE_EMPTY, ROUTES, DNS, OFFLINE, RULES, RULES_EMPTY, ROUTE_RULES, ROUTE_RULES_EMPTY = 1, 3, 4, 5, 6, 7, 8, 9, 10, 11


def random_key():
    return base64.b64encode(bytes(PrivateKey.generate().public_key)).decode()


def certificate(directory):
    cert, key = os.path.join(directory, 'cert'), os.path.join(directory, 'key')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj',
                    '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2', '-keyout', key, '-out', cert],
                   check=True, capture_output=True)
    return cert, key


class HubCase(unittest.TestCase):
    """A hub for all tests of a class."""
    arguments = ('--group-ms', '300')

    @classmethod
    def setUpClass(cls):
        cls.hub = Program('hub.py', *cls.arguments)
        cls.clients = []

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        assert cls.hub.finish() == 0

    def client(self, *arguments, **more):
        self.clients.append(Client(self.hub.target, *arguments, **more))
        return self.clients[-1]

    def joined(self, **more):
        """A registered client."""
        client = self.client()
        client.login(self.hub.add_key(), **more)
        return client

    def tearDown(self):
        self.hub.unfault()
        for peer in self.hub.peers(fake=True):
            self.hub.remove(peer=peer['key'])
        self.hub.forget()

    def refused(self, code, text, call, *arguments, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **more)
        self.assertEqual((caught.exception.code().name, caught.exception.details()), (code, text))


class Tap(unittest.TextTestResult):
    """One line for each test, what went wrong as comments."""
    count = 0

    def line(self, test, error=None):
        Tap.count += 1
        print(f'{"not ok" if error else "ok"} {Tap.count} {test.id().replace("__main__.", "")}', flush=True)
        for text in (error or '').splitlines():
            print(f'# {text}')

    def addSuccess(self, test):
        self.line(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.line(test, self.errors[-1][1])


def main():
    """Of a test program: all of its tests, or those that its arguments name."""
    names = [f'__main__.{name}' for name in sys.argv[1:]] or ['__main__']
    tests = unittest.defaultTestLoader.loadTestsFromNames(names)
    with open(os.devnull, 'w', encoding='utf-8') as nothing:
        result = unittest.TextTestRunner(stream=nothing, resultclass=Tap).run(tests)
    print(f'1..{Tap.count}')
    sys.exit(not result.wasSuccessful())

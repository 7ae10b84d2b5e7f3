#!/usr/bin/python3
"""Asserts each error that the protocol's description knows of a server, by the bytes of the answer: no message, and the
status and its text in the trailers."""
import urllib.parse

import testcase
from client import encode, login_request, meta
from raw import RawClient
from testcase import HubCase

UNKNOWN, INVALID, NOT_FOUND, DENIED, EXHAUSTED, PRECONDITION, UNIMPLEMENTED, INTERNAL, UNAUTHENTICATED = 2, 3, 5, 7, 8, 9, 12, 13, 16
NAMES = {UNKNOWN: 'UNKNOWN', DENIED: 'PERMISSION_DENIED', EXHAUSTED: 'RESOURCE_EXHAUSTED', PRECONDITION: 'FAILED_PRECONDITION',
         INTERNAL: 'INTERNAL', UNAUTHENTICATED: 'UNAUTHENTICATED', INVALID: 'INVALID_ARGUMENT'}
SEALED = 'Login', 'Sync', 'SyncMeta', 'Logout', 'Job', 'GetDeviceAuthorizationFlow', 'GetPKCEAuthorizationFlow'
SYNC = encode((1, meta()))
INVALID_KEY = "couldn't add peer: setup key is invalid"


class Rows(HubCase):
    def setUp(self):
        self.raw = RawClient(self.hub.ready['port'])

    def tearDown(self):
        self.raw.close()
        for peer in self.hub.peers():
            self.hub.remove(peer=peer['key'])
        super().tearDown()

    def says(self, status, text, method, client, plain=b'', envelope=None):
        """`text` is the beginning of it."""
        client.get_key()
        headers, data, trailers = self.raw.answer(self.raw.request(method, client.seal(plain) if envelope is None else envelope))
        self.assertEqual((data, int(trailers['grpc-status']), headers[':status']), (b'', status, '200'))
        self.assertEqual(urllib.parse.unquote(trailers.get('grpc-message', ''))[:len(text)], text)

    def would_say(self, status, text, method, client, plain):
        """What this hub never comes to by itself."""
        self.hub.fault(method=method, kind='fail', code=NAMES[status], text=text)
        self.says(status, text, method, client, plain)

    def test_envelope(self):
        client = self.client()
        for method in SEALED:
            self.says(INVALID, 'provided wgPubKey short is invalid', method, client, envelope=encode((1, 'short'), (2, bytes(64))))
            self.says(INVALID, 'invalid request message', method, client, envelope=encode((1, client.public), (2, bytes(64))))

    def test_stale_server_key(self):
        client = self.joined()
        client.get_key()
        envelope = client.seal(SYNC)
        self.hub.new_key()
        self.says(INVALID, 'invalid request message', 'Sync', client, envelope=envelope)

    def test_login(self):
        client = self.client()
        self.says(PRECONDITION, 'peer system meta has to be provided', 'Login', client)
        self.says(DENIED, 'no peer auth method provided, please use a setup key or interactive SSO login', 'Login', client,
                  login_request())
        self.says(INVALID, 'invalid jwt token', 'Login', client, encode((1, self.hub.add_key()), (2, meta()), (3, 'token')))
        self.would_say(UNAUTHENTICATED, 'token was used', 'Login', client, login_request())

    def test_setup_key(self):
        client, once = self.client(), self.hub.add_key(reusable=False)
        self.client().login(once)
        for key in ('11111111-2222-3333-4444-555555555555', self.hub.add_key(ttl=-1), once):
            self.says(NOT_FOUND, INVALID_KEY, 'Login', client, login_request(key))
        for status in (INTERNAL, PRECONDITION):
            self.would_say(status, INVALID_KEY, 'Login', client, login_request(once))
        key = self.hub.add_key()
        self.says(PRECONDITION, "couldn't add peer: setup key doesn't allow extra DNS labels", 'Login', client,
                  login_request(key, labels=['web']))
        self.would_say(PRECONDITION, 'peer has been already registered', 'Login', client, login_request(key))

    def test_people(self):
        client = self.joined()
        for mark, text, methods in (('expired', 'peer login has expired, please log in once more', ('Login', 'Sync')),
                                    ('blocked', 'user is blocked', ('Login', 'Sync')),
                                    ('other_owner', 'peer is already registered by a different User or a Setup Key', ('Login',))):
            self.hub.mark(peer='srv1', **{mark: True})
            for method in methods:
                self.says(DENIED, text, method, client, login_request() if method == 'Login' else SYNC)
            self.hub.mark(peer='srv1', **{mark: False})
        self.would_say(DENIED, 'user pending approval cannot add peers', 'Login', client, login_request())

    def test_streams(self):
        client = self.client()
        for method, plain in (('Sync', SYNC), ('Job', encode((1, 'hello')))):
            self.says(DENIED, 'peer is not registered', method, client, plain)
        self.hub.fault(method='Job', kind='fail', code='UNIMPLEMENTED', text='no jobs', peer=client.public)
        self.says(UNIMPLEMENTED, 'no jobs', 'Job', client, encode((1, 'hello')))
        self.would_say(EXHAUSTED, 'too many concurrent sync requests', 'Sync', client, SYNC)
        for method, plain in (('Login', login_request()), ('Sync', SYNC)):
            for status in (UNKNOWN, DENIED):
                self.would_say(status, 'peer with the same public key is already logged in', method, client, plain)

    def test_rest(self):
        client = self.client()
        self.says(PRECONDITION, 'peer system meta has to be provided', 'SyncMeta', client)
        self.says(NOT_FOUND, 'peer not found', 'Logout', client)
        for flow in ('GetDeviceAuthorizationFlow', 'GetPKCEAuthorizationFlow'):
            self.says(NOT_FOUND, '', flow, client)
        self.says(UNIMPLEMENTED, '', 'ExtendAuthSession', client)
        self.would_say(INTERNAL, 'failed handling request', 'SyncMeta', client, SYNC)


if __name__ == '__main__':
    testcase.main()

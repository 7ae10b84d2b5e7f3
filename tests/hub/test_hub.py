#!/usr/bin/python3
"""Asserts who may join the hub and with which words it refuses the others, and the vectors of the protocol's description."""
import base64
import time
import uuid

import grpc
from nacl.public import Box, PrivateKey, PublicKey

import testcase
from client import Message, encode, login_request, meta
from crypto import ServerKey, key_bytes
from messages import from_dict, pb
from testcase import HubCase

# Vectors of the protocol's description.
CLIENT_PRIVATE = 'AAIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH2A='
CLIENT_PUBLIC = 'B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw='
SERVER_PRIVATE = 'ICIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A='
SERVER_PUBLIC = 'WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns='
SHARED = 'ec88f6e13b22bf9f04d480e0d8525c08ac7e2f48e212742bcbcafa104a74b08d'
NONCE = '000102030405060708090a0b0c0d0e0f1011121314151617'
LOGIN_PLAIN = ('0a2431313131313131312d323232322d333333332d343434342d35353535353535353535353512190a047372763112056c696e75783a06302e'
               '36302e3092010101')
LOGIN_BODY = (NONCE + '7bc67b30380afd599037138e91b1935418d1ea686b0c4ce3c8c36c31cd702390463927354e879b01dab77ead976138761c790206'
              '115a5648f4910dae316123be2516072e46824aa0b65e745d97f0e64fc8')
EMPTY_BODY = NONCE + 'bdc4c48134fd88418f8116ec3e760fc1'
LOGIN_RESPONSE = ('0a151a130a0f3132372e302e302e313a3130303030100212280a0d3130302e36342e302e312f31362217737276312e6e6574626972642e'
                  '73656c66686f73746564')
SYNC_RESPONSE = ('12280a0d3130302e36342e302e312f31362217737276312e6e6574626972642e73656c66686f7374656420012a32080112280a0d3130302e'
                 '36342e302e312f31362217737276312e6e6574626972642e73656c66686f73746564200148015801')


class Vectors(HubCase):
    arguments = ('--server-key', SERVER_PRIVATE)

    def test_box(self):
        key = ServerKey(SERVER_PRIVATE)
        self.assertEqual(key.public, SERVER_PUBLIC)
        box = Box(PrivateKey(key_bytes(CLIENT_PRIVATE)), PublicKey(key_bytes(SERVER_PUBLIC)))
        self.assertEqual(box.shared_key().hex(), SHARED)
        self.assertEqual(key.open(CLIENT_PUBLIC, bytes.fromhex(LOGIN_BODY)).hex(), LOGIN_PLAIN)
        self.assertEqual(key.open(CLIENT_PUBLIC, bytes.fromhex(EMPTY_BODY)), b'')
        self.assertEqual(key.seal(CLIENT_PUBLIC, b'', bytes.fromhex(NONCE)).hex(), EMPTY_BODY)
        self.assertEqual(key.seal(CLIENT_PUBLIC, bytes.fromhex(LOGIN_PLAIN), bytes.fromhex(NONCE)).hex(), LOGIN_BODY)

    def test_definition(self):
        config = {'address': '100.64.0.1/16', 'fqdn': 'srv1.netbird.selfhosted'}
        login = from_dict(pb.LoginResponse, {'netbirdConfig': {'signal': {'uri': '127.0.0.1:10000', 'protocol': 'HTTP'}},
                                             'peerConfig': config})
        self.assertEqual(login.SerializeToString().hex(), LOGIN_RESPONSE)
        sync = from_dict(pb.SyncResponse, {'peerConfig': config, 'remotePeersIsEmpty': True, 'NetworkMap': {
            'Serial': 1, 'peerConfig': config, 'remotePeersIsEmpty': True, 'firewallRulesIsEmpty': True,
            'routesFirewallRulesIsEmpty': True}})
        self.assertEqual(sync.SerializeToString().hex(), SYNC_RESPONSE)

    def test_over_the_wire(self):
        self.hub.add_key(key='11111111-2222-3333-4444-555555555555')
        client = self.client(key_bytes(CLIENT_PRIVATE))
        self.assertEqual(client.get_key(), SERVER_PUBLIC)
        envelope = encode((1, CLIENT_PUBLIC), (2, bytes.fromhex(LOGIN_BODY)))
        call = client.channel.unary_unary('/management.ManagementService/Login')
        self.hub.fault(method='Login', kind='raw', hex=LOGIN_RESPONSE)
        answer = call(envelope, timeout=5)
        self.assertEqual(Message(answer)[1].decode(), SERVER_PUBLIC)
        self.assertEqual(client.open(answer).hex(), LOGIN_RESPONSE)
        said = self.hub.requests(method='Login', last=1)[0]
        self.assertEqual((said['plain'], said['envelope']), (LOGIN_PLAIN, envelope.hex()))
        self.assertEqual(said['message']['setupKey'], '11111111-2222-3333-4444-555555555555')
        peer = self.hub.peer(peer='srv1')
        self.assertEqual((peer['key'], peer['address'], peer['version']), (CLIENT_PUBLIC, '100.64.0.1', '0.60.0'))

        stream = client.sync()
        next(stream)
        self.hub.push_raw(peer='srv1', hex=SYNC_RESPONSE)
        self.assertEqual(client.open(next(stream)).hex(), SYNC_RESPONSE)
        stream.cancel()
        logout = client.channel.unary_unary('/management.ManagementService/Logout')
        self.assertEqual(logout(encode((1, CLIENT_PUBLIC), (2, bytes.fromhex(EMPTY_BODY))), timeout=5), b'')
        self.assertEqual(self.hub.peers(), [])


class Errors(HubCase):
    """Codes and texts of the protocol."""

    def test_envelope(self):
        client = self.client()
        client.get_key()
        for method in ('Login', 'Sync', 'SyncMeta', 'Logout', 'GetDeviceAuthorizationFlow', 'GetPKCEAuthorizationFlow'):
            call = client.channel.unary_unary('/management.ManagementService/' + method)
            for key in ('', 'x', client.public[:-1], client.public + '=', base64.b64encode(bytes(31)).decode()):
                self.refused('INVALID_ARGUMENT', f'provided wgPubKey {key} is invalid', call,
                             encode((1, key), (2, bytes(64))), timeout=5)
            for body in (b'', bytes(39), bytes(64)):
                self.refused('INVALID_ARGUMENT', 'invalid request message', call,
                             encode((1, client.public), (2, body)), timeout=5)

    def test_stale_server_key(self):
        client = self.joined()
        client.get_key()
        self.hub.new_key()
        call = client.channel.unary_unary('/management.ManagementService/Login')
        self.refused('INVALID_ARGUMENT', 'invalid request message', call, client.seal(login_request()), timeout=5)
        client.login()

    def test_unknown(self):
        client = self.client()
        self.refused('PERMISSION_DENIED', 'no peer auth method provided, please use a setup key or interactive SSO login',
                     client.login)
        for call in (lambda: next(client.sync()), lambda: client.call('SyncMeta', encode((1, meta())))):
            self.refused('PERMISSION_DENIED', 'peer is not registered', call)
        self.refused('NOT_FOUND', f'peer not found: {client.public}', client.call, 'Logout')
        for flow in ('GetDeviceAuthorizationFlow', 'GetPKCEAuthorizationFlow'):
            with self.assertRaises(grpc.RpcError) as caught:
                client.call(flow)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        with self.assertRaises(grpc.RpcError) as caught:
            client.call('ExtendAuthSession')
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(client.call('isHealthy'), b'')

    def test_meta_missing(self):
        client = self.joined()
        for plain in (b'', encode((2, b'')), encode((1, self.hub.add_key()))):
            with self.assertRaises(grpc.RpcError) as caught:
                client.call('Login', plain)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            self.assertIn('peer system meta has to be provided', caught.exception.details())
        with self.assertRaises(grpc.RpcError) as caught:
            client.call('SyncMeta')
        self.assertIn('peer system meta has to be provided', caught.exception.details())

    def test_marks(self):
        client = self.joined()
        for mark, text, sync in (('expired', 'peer login has expired, please log in once more', True),
                                 ('blocked', 'user is blocked', True),
                                 ('other_owner', 'peer is already registered by a different User or a Setup Key', False)):
            self.hub.mark(peer='srv1', **{mark: True})
            self.refused('PERMISSION_DENIED', text, client.login)
            if sync:
                self.refused('PERMISSION_DENIED', text, lambda: next(client.sync()))
            self.hub.mark(peer='srv1', **{mark: False})
        client.login()

    def test_token(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client().call('Login', encode((1, self.hub.add_key()), (2, meta()), (3, 'token')))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertTrue(caught.exception.details().startswith('invalid jwt token'))


class SetupKeys(HubCase):
    arguments = ('--group-ms', '300', '--ephemeral-s', '1')
    INVALID = ('NOT_FOUND', "couldn't add peer: setup key is invalid")

    def enrol(self, key, **more):
        client = self.client()
        client.login(key, **more)
        return client

    def test_bad(self):
        expired, revoked = self.hub.add_key(ttl=-1), self.hub.add_key(name='r')
        self.hub.revoke_key(key='r')
        removed = self.hub.add_key(name='gone')
        self.hub.remove_key(key='gone')
        for key in (str(uuid.uuid4()), 'no-uuid', expired, revoked, removed):
            self.refused(*self.INVALID, self.enrol, key)
        self.assertEqual(self.hub.peers(), [])

    def test_good(self):
        key = self.hub.add_key(ttl=60)
        self.enrol(key)
        self.enrol(key.upper())
        self.assertEqual([k['used'] for k in self.hub.keys() if k['key'] == key], [2])

    def test_one_off_and_limit(self):
        once, thrice = self.hub.add_key(reusable=False), self.hub.add_key(limit=3)
        client = self.enrol(once)
        self.refused(*self.INVALID, self.enrol, once)
        client.login(once)  # known: the key does not matter
        client.login()
        for _ in range(3):
            self.enrol(thrice)
        self.refused(*self.INVALID, self.enrol, thrice)

    def test_groups_and_labels(self):
        self.refused('FAILED_PRECONDITION', "couldn't add peer: setup key doesn't allow extra DNS labels",
                     self.enrol, self.hub.add_key(), labels=['web'])
        key = self.hub.add_key(extra_labels=True, groups=['www'])
        self.enrol(key, labels=['web', '*.api', '_x'])
        peer = self.hub.peers()[0]
        self.assertEqual((peer['labels'], peer['groups']), (['web', '*.api', '_x'], ['www']))
        for labels in (['A'], ['a b'], ['x.*'], [f'l{i}' for i in range(33)]):
            self.refused('INTERNAL', 'failed handling request', self.enrol, key, labels=labels)

    def test_ephemeral(self):
        client = self.enrol(self.hub.add_key(ephemeral=True))
        self.assertEqual(self.hub.peers()[0]['label'], 'srv1-0-1')
        stream = client.sync()
        next(stream)
        time.sleep(1.5)
        self.assertEqual(len(self.hub.peers()), 1)
        stream.cancel()
        time.sleep(1.6)
        self.assertEqual(self.hub.peers(), [])
        with self.assertRaises(grpc.RpcError) as caught:
            client.login()
        self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)

    def test_names(self):
        for hostname, label in (('Web.Example.Net', 'web'), ('a_b c', 'a-b-c'), ('x' * 70, 'x' * 59), ('web', 'web-0-4'),
                                ('bücher', 'xn--bcher-kva')):
            client = self.enrol(self.hub.add_key(), hostname=hostname)
            answer = client.login(hostname='other')  # a later change does not matter
            self.assertEqual(answer.at(2, 4).decode(), label + '.netbird.selfhosted')


if __name__ == '__main__':
    testcase.main()

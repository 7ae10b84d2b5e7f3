#!/usr/bin/python3
"""Asserts what the hub and its proxy do, by the bytes that come from them; TAP. The numbers in brackets are fields of the
protocol's messages, told here once more and by hand."""
import base64
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import grpc  # noqa: E402
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame  # noqa: E402
from nacl.public import Box, PrivateKey, PublicKey  # noqa: E402

from client import Client, Message, encode, login_request, meta  # noqa: E402
from crypto import ServerKey, key_bytes  # noqa: E402
from messages import from_dict, pb  # noqa: E402
from raw import PREFACE, RawClient  # noqa: E402
from running import Program  # noqa: E402

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
# Fields.
MAP, CHECKS, PEER_CONFIG, SERVERS = 5, 6, 2, 1
SERIAL, REMOTE, REMOTE_EMPTY, ROUTES, DNS, OFFLINE, RULES, RULES_EMPTY, ROUTE_RULES, ROUTE_RULES_EMPTY = 1, 3, 4, 5, 6, 7, 8, 9, 10, 11


def random_key():
    return base64.b64encode(bytes(PrivateKey.generate().public_key)).decode()


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
        assert cls.hub.end() == 0

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


class Maps(HubCase):
    def connect(self, client, **more):
        """A stream and its first message."""
        stream = client.sync(encode((1, meta(**more))))
        first = client.next_map(stream)
        return stream, first

    def rules(self, message):
        return [Message(data) for data in Message(message[MAP]).all(RULES)]

    def test_login(self):
        self.hub.services(stuns=['stun:h:3478'], turns=['turn:h:3478?transport=udp'], relays=['rel://h:33080'])
        answer = self.joined().login()
        self.hub.services(stuns=[], turns=[], relays=[])
        self.assertEqual(answer.at(1, 3, 1), b'127.0.0.1:10000')
        self.assertEqual(answer.at(1, 3, 2), 2)  # HTTP
        self.assertEqual(answer.at(1, 1, 1), b'stun:h:3478')
        self.assertEqual([answer.at(1, 2, n) for n in (2, 3)], [b'user', b'password'])
        relay = answer.at(1, 4, 1), answer.at(1, 4, 2), base64.b64decode(answer.at(1, 4, 3))
        self.assertEqual((relay[0], len(relay[2])), (b'rel://h:33080', 32))
        self.assertAlmostEqual(int(relay[1]), time.time() + 12 * 3600, delta=60)
        self.assertEqual(answer.at(2, 1), b'100.64.0.1/16')
        self.assertEqual(answer.at(2, 8, 1), b'disabled')
        self.assertIn(3, Message(answer[2]))  # sshConfig, empty

    def test_alone(self):
        stream, first = self.connect(self.joined())
        self.assertIn(SERVERS, first)
        self.assertEqual(first[PEER_CONFIG], first.at(MAP, 2))
        own = Message(first[MAP])
        self.assertTrue(own[REMOTE_EMPTY] and own[RULES_EMPTY] and own[ROUTE_RULES_EMPTY] and first[REMOTE_EMPTY])
        self.assertEqual((own.all(REMOTE), own.all(RULES)), ([], []))
        stream.cancel()

    def test_two(self):
        a, b = self.joined(hostname='a'), self.joined(hostname='b', version='0.64.1')
        stream, first = self.connect(a, hostname='a')
        other = Message(first.at(MAP, REMOTE))
        self.assertEqual((other[1].decode(), other[2], other[4], other[5]),
                         (b.public, b'100.64.0.2/32', b'b.netbird.selfhosted', b'0.64.1'))
        # IN ACCEPT ALL: the zeros are not there; source in both forms.
        rules = [data.hex() for data in Message(first[MAP]).all(RULES)]
        address, policy = b'100.64.0.2'.hex(), b'default'.hex()
        self.assertEqual(rules, [f'0a0a{address}20013a07{policy}4a056440000220', f'0a0a{address}100120013a07{policy}4a056440000220'])
        zone = Message(first.at(MAP, DNS, 3))
        records = [(m[1].decode(), m[2], m[3].decode(), m[4], m[5].decode()) for m in map(Message, zone.all(2))]
        self.assertEqual(zone[1], b'netbird.selfhosted.')
        self.assertEqual(records, [('a.netbird.selfhosted.', 1, 'IN', 300, '100.64.0.1'), ('b.netbird.selfhosted.', 1, 'IN', 300, '100.64.0.2')])
        self.assertEqual(first.at(MAP, DNS, 4), 22054)
        self.assertNotIn(3, first)
        stream.cancel()

    def test_changes(self):
        client = self.joined()
        stream, first = self.connect(client)
        serial = first.at(MAP, SERIAL)
        begin = time.monotonic()
        keys = [random_key() for _ in range(4)]
        for key in keys:
            self.hub.add_peer(key=key, hostname='x')
        second = client.next_map(stream)
        self.assertLess(time.monotonic() - begin, 0.25)
        self.assertNotIn(SERVERS, second)
        self.assertGreater(second.at(MAP, SERIAL), serial)
        third = client.next_map(stream)
        self.assertGreater(time.monotonic() - begin, 0.3)
        self.assertEqual(len(Message(third[MAP]).all(REMOTE)), 4)
        # Nothing is lost of what is not a map, and nothing waits for it.
        self.hub.add_peer(key=random_key(), hostname='x')
        self.hub.refresh()
        self.hub.refresh(turn=True)
        told = [client.next_map(stream) for _ in range(3)]
        self.assertEqual([MAP in m for m in told].count(False), 2)
        stream.cancel()

    def test_refresh(self):
        self.hub.services(relays=['rel://h:1'], turns=['turn:h:1'], life_s=2)
        client = self.joined()
        stream, _ = self.connect(client)
        begin = time.monotonic()
        fresh = client.next_map(stream)  # by itself
        self.assertAlmostEqual(time.monotonic() - begin, 1.5, delta=0.4)
        self.assertEqual(list(fresh.fields), [SERVERS])
        self.assertEqual(fresh.at(SERVERS, 4, 1), b'rel://h:1')
        self.assertRegex(fresh.at(SERVERS, 2, 2).decode(), '^[0-9]+$')
        self.hub.services(life_s=43200)
        self.hub.refresh()
        only = client.next_map(stream)
        self.assertEqual(list(Message(only[SERVERS]).fields), [4])
        self.hub.services(relays=[], turns=[])
        stream.cancel()

    def test_removal(self):
        a, b = self.joined(hostname='a'), self.joined(hostname='b')
        first, _ = self.connect(a, hostname='a')
        second, _ = self.connect(b, hostname='b')
        self.hub.wait(peer='a')
        self.hub.remove(peer='b')
        farewell = b.next_map(second)
        while PEER_CONFIG in farewell:
            farewell = b.next_map(second)
        self.assertEqual(set(farewell.fields), {REMOTE_EMPTY, MAP})
        self.assertEqual(set(Message(farewell[MAP]).fields), {SERIAL, REMOTE_EMPTY, RULES_EMPTY})
        self.assertEqual(list(second), [])
        self.assertEqual(second.code(), grpc.StatusCode.OK)
        rest = a.next_map(first)
        while Message(rest[MAP]).all(REMOTE):
            rest = a.next_map(first)
        self.refused('PERMISSION_DENIED', 'peer is not registered', lambda: next(b.sync()))
        first.cancel()

    def test_second_stream(self):
        client = self.joined()
        old, _ = self.connect(client)
        new, _ = self.connect(client)
        self.assertEqual(list(old), [])
        self.assertEqual(old.code(), grpc.StatusCode.OK)
        self.hub.push()
        self.assertIn(MAP, client.next_map(new))
        new.cancel()

    def test_marks(self):
        client = self.joined()
        stream, _ = self.connect(client)
        self.hub.add_peer(key=random_key(), hostname='late', expired=True)
        gone = client.next_map(stream)
        while not Message(gone[MAP]).all(OFFLINE):
            gone = client.next_map(stream)
        self.assertEqual((gone.at(MAP, OFFLINE, 4), Message(gone[MAP]).all(REMOTE)), (b'late.netbird.selfhosted', []))
        self.hub.mark(peer='srv1', expired=True)
        list(stream)
        self.assertEqual(stream.code(), grpc.StatusCode.OK)
        self.hub.mark(peer='srv1', expired=False, pending=True)
        stream, first = self.connect(client)
        self.assertEqual(set(Message(first[MAP]).fields), {SERIAL, 2})
        stream.cancel()

    def test_ipv6(self):
        self.hub.set(network6='fd00:6c::/64')
        a, b = self.joined(hostname='a', capabilities=(1, 2)), self.joined(hostname='b', capabilities=(1, 2))
        old = self.joined(hostname='old', capabilities=())
        _, first = self.connect(a, hostname='a', capabilities=(1, 2))
        self.assertEqual(first.at(MAP, 2, 9).hex(), 'fd00006c' + '00' * 11 + '0140')
        self.assertEqual([m.all(2) for m in map(Message, Message(first[MAP]).all(REMOTE))],
                         [[b'100.64.0.2/32', b'fd00:6c::2/128'], [b'100.64.0.3/32']])
        six = [rule for rule in self.rules(first) if rule[1] == b'fd00:6c::2']
        self.assertEqual([rule[9].hex() for rule in six], ['fd00006c' + '00' * 11 + '0280'] * 2)
        _, first = self.connect(old, hostname='old', capabilities=())
        self.assertNotIn(9, Message(first.at(MAP, 2)))
        self.assertTrue(all(9 not in rule for rule in self.rules(first)))
        self.hub.set(network6='')
        self.assertTrue(b)

    def test_policies(self):
        a = self.joined(hostname='a')
        self.joined(hostname='b')
        default = self.hub.get()['policies']
        self.hub.set(policies=[
            {'id': 'p', 'sources': ['b'], 'destinations': ['a'], 'protocol': 'TCP', 'ports': [443], 'port_ranges': [[8000, 8080]]},
            {'id': 'q', 'sources': ['b'], 'destinations': ['a'], 'protocol': 'UDP', 'action': 'DROP'},
            {'id': 'r', 'sources': ['All'], 'destinations': ['a'], 'protocol': 'ICMP', 'any': True}])
        _, first = self.connect(a, hostname='a')
        by_policy = {}
        for rule in self.rules(first):
            self.assertEqual(2 in rule, rule[7] == b'r' and rule.fields.get(2) == [1])
            by_policy.setdefault(rule[7], []).append(rule)
        self.assertEqual([rule.fields.get(5, rule.fields.get(6)) for rule in by_policy[b'p']],
                         [[b'443'], [bytes.fromhex('120608c03e10903f')]])
        self.assertEqual(by_policy[b'q'][0].fields[6], [bytes.fromhex('1200')])  # TCP and UDP without ports: 0 to 0
        self.assertEqual(by_policy[b'q'][0].fields[3], [1])
        self.assertEqual((by_policy[b'r'][0][1], by_policy[b'r'][0][9].hex(), by_policy[b'r'][0][4]), (b'0.0.0.0', '0000000000', 4))
        _, first = self.connect(a, hostname='a', version='0.47.9')
        self.assertEqual([rule.fields.get(5) for rule in self.rules(first) if rule[7] == b'p'], [[b'443']])
        self.hub.set(policies=[])
        _, first = self.connect(a, hostname='a')
        self.assertTrue(first.at(MAP, REMOTE_EMPTY) and first.at(MAP, RULES_EMPTY))
        self.hub.set(policies=default)

    def test_old_agents(self):
        client = self.joined(version='0.29.2')
        self.hub.add_peer(key=random_key(), hostname='b', version='0.58.0')
        for version, duplicate in (('0.29.2', True), ('', True), ('0.29.3', False), ('development', False)):
            _, first = self.connect(client, version=version)
            self.assertEqual(3 in first, duplicate, version)
        self.assertEqual(first.at(MAP, DNS, 4), 5353)

    def test_routes(self):
        a, b = self.joined(hostname='a'), self.joined(hostname='b')
        self.hub.set(routes=[{'id': 'net', 'peer': 'b', 'network': '10.1.0.0/16', 'metric': 100, 'ports': [80, 80], 'protocol': 'TCP'},
                             {'id': 'dom', 'peer': 'b', 'domains': ['*.x.net'], 'keep': True},
                             {'id': 'exit', 'peer': 'b', 'network': '0.0.0.0/0', 'skip_auto': True}])
        _, first = self.connect(a, hostname='a')
        net, dom, exit_node = map(Message, Message(first[MAP]).all(ROUTES))
        self.assertEqual([net[n] for n in (1, 2, 3, 4, 5, 6, 7)],
                         [b'net:b', b'10.1.0.0/16', 1, b.public.encode(), 100, 1, b'net'])
        self.assertEqual([dom[n] for n in (2, 3, 8, 9)], [b'192.0.2.0/32', 3, b'*.x.net', 1])
        self.assertEqual(exit_node[10], 1)
        self.assertTrue(first.at(MAP, ROUTE_RULES_EMPTY))
        _, first = self.connect(b, hostname='b')
        rule = Message(Message(first[MAP]).all(ROUTE_RULES)[0])
        self.assertEqual([rule[n] for n in (1, 3, 4, 10)], [b'100.64.0.1/32', b'10.1.0.0/16', 2, b'net:b'])
        self.hub.set(routes=[])

    def test_switches_checks_and_patches(self):
        client = self.joined()
        self.hub.set(lazy=True, routing_dns=True, checks=[['/usr/sbin/sshd', '/bin/x']], dns={
            'enabled': True, 'groups': [{'servers': ['192.0.2.1:53', '[2001:db8::1]:5300'], 'primary': True}],
            'zones': [{'Domain': 'y.', 'NonAuthoritative': True}]})
        stream, first = self.connect(client)
        self.assertEqual([first.at(MAP, 2, n) for n in (5, 6)], [1, 1])
        self.assertEqual(Message(first[CHECKS]).all(1), [b'/usr/sbin/sshd', b'/bin/x'])
        self.assertEqual([(m[1], m[2], m[3]) for m in map(Message, Message(first.at(MAP, DNS, 2)).all(1))],
                         [(b'192.0.2.1', 1, 53), (b'2001:db8::1', 1, 5300)])
        self.assertEqual(len(client.login().all(3)), 1)
        self.hub.set(lazy=False, routing_dns=False, checks=[], dns={'enabled': False})
        second = client.next_map(stream)
        while CHECKS in second:
            second = client.next_map(stream)
        self.assertNotIn(6, Message(second.at(MAP, 2)))
        self.assertNotIn(1, Message(second.at(MAP, DNS)))
        self.hub.patch(peer='srv1', json={'NetworkMap': {'Serial': 7, 'remotePeersIsEmpty': None, 'FirewallRules': [{'PeerIP': '::'}]}})
        third = client.next_map(stream)
        while third.at(MAP, SERIAL) != 7:
            third = client.next_map(stream)
        self.assertNotIn(REMOTE_EMPTY, Message(third[MAP]))
        self.assertEqual(third.at(MAP, RULES, 1), b'::')
        self.hub.set(dns={'enabled': True})
        stream.cancel()

    def test_posture(self):
        a, b = self.joined(hostname='a'), self.joined(hostname='b')
        default = self.hub.get()['policies']
        self.hub.set(checks=[['/bin/x']], policies=[{'id': 'p', 'sources': ['b'], 'destinations': ['a'], 'posture': True}])
        stream, first = self.connect(a, hostname='a')
        self.assertTrue(first.at(MAP, REMOTE_EMPTY))
        good = encode((1, '/bin/x'), (2, 1), (3, 1))
        self.assertEqual(b.call('SyncMeta', encode((1, meta(hostname='b', f16=good)))), b'')
        second = a.next_map(stream)
        self.assertEqual(second.at(MAP, REMOTE, 1).decode(), b.public)
        self.assertEqual(second.at(MAP, SERIAL), first.at(MAP, SERIAL))
        self.hub.set(checks=[], policies=default)
        stream.cancel()

    def test_big(self):
        client = self.joined()
        self.hub.fake(peers=2000, rules=1000)
        _, first = self.connect(client)
        self.assertEqual(len(Message(first[MAP]).all(REMOTE)), 2000)
        self.assertEqual(len(Message(first[MAP]).all(RULES)), 5000)
        self.hub.fake(peers=0)

    def test_jobs(self):
        client = self.joined()
        client.get_key()
        sent, more = [client.seal(encode((1, str(uuid.uuid4()))))], threading.Event()

        def elements():
            yield sent[0]
            more.wait(5)
            yield client.seal(encode((1, 'job-1'), (2, 2), (3, 'job not implemented')))

        stream = client.channel.stream_stream('/management.ManagementService/Job')(elements())
        for _ in range(100):
            if self.hub.peer(peer='srv1')['job']:
                break
            time.sleep(0.02)
        self.hub.job(peer='srv1', json={'ID': base64.b64encode(b'job-1').decode(), 'bundle': {}})
        self.assertEqual(client.open(next(stream)).hex(), '0a056a6f622d315200')
        more.set()
        list(stream)
        self.assertEqual([base64.b64decode(a['Reason']) for a in self.hub.job_answers()], [b'job not implemented'])


class Faults(HubCase):
    """By the bytes on the wire: a frame of gRPC is a zero, four bytes of length, and the message."""

    def setUp(self):
        self.peer = self.joined()
        self.peer.get_key()
        self.raw = RawClient(self.hub.ready['port'])

    def tearDown(self):
        self.raw.close()
        super().tearDown()

    def answers(self, method, plain, **fault):
        """(the messages, the trailers) of a call that has a fault."""
        if fault:
            self.hub.fault(method=method, **fault)
        message = self.peer.seal(plain) if method != 'GetServerKey' else b''
        _, data, trailers = self.raw.answer(self.raw.request(method, message))
        messages = []
        while data:
            self.assertEqual(data[0], 0)
            length = int.from_bytes(data[1:5], 'big')
            self.assertGreaterEqual(len(data), 5 + length)
            messages.append(data[5:5 + length])
            data = data[5 + length:]
        return messages, trailers

    def test_none(self):
        headers, data, trailers = self.raw.answer(self.raw.request('GetServerKey'))
        self.assertEqual((headers[':status'], headers['content-type']), ('200', 'application/grpc'))
        self.assertEqual(data[:1] + data[5:7], bytes.fromhex('000a2c'))
        self.assertEqual(data[7:51].decode(), self.peer.server)
        self.assertEqual(trailers['grpc-status'], '0')

    def test_fail(self):
        messages, trailers = self.answers('Login', login_request(), kind='fail', code='UNAVAILABLE', text='50% \u00e4\n')
        self.assertEqual((messages, trailers['grpc-status'], trailers['grpc-message']), ([], '14', '50%25 %C3%A4%0A'))
        self.assertEqual(self.answers('Login', login_request())[1]['grpc-status'], '0')

    def test_count_skip_peer(self):
        self.hub.fault(method='Login', kind='fail', skip=1, count=2)
        self.hub.fault(method='Login', kind='fail', code='ABORTED', peer=random_key(), count=-1)
        codes = [self.answers('Login', login_request())[1]['grpc-status'] for _ in range(4)]
        self.assertEqual(codes, ['0', '14', '14', '0'])

    def test_late(self):
        fresh = self.client()
        self.hub.fault(method='Login', kind='fail', late=True)
        with self.assertRaises(grpc.RpcError):
            fresh.login(self.hub.add_key(), hostname='late')
        self.assertEqual(self.hub.peer(peer='late')['key'], fresh.public)

    def test_end_and_twice(self):
        messages, trailers = self.answers('Login', login_request(), kind='end')
        self.assertEqual((messages, trailers['grpc-status']), ([], '0'))
        messages, _ = self.answers('Login', login_request(), kind='twice')
        self.assertEqual((len(messages), messages[0]), (2, messages[-1]))

    def test_damage(self):
        plain = self.peer.open(self.answers('Login', login_request())[0][0])
        message = self.answers('Login', login_request(), kind='truncate', bytes=3)[0][0]
        self.assertEqual(self.peer.open(message), plain[:-3])
        message = self.answers('Login', login_request(), kind='cut')[0][0]
        with self.assertRaises(ValueError):
            Message(message)
        self.assertEqual(self.answers('Login', login_request(), kind='not-proto', bytes=5)[0], [b'\xff' * 5])
        for kind, size in (('garbage', 64), ('short', 39)):
            message = Message(self.answers('Login', login_request(), kind=kind)[0][0])
            self.assertEqual((message[1].decode(), len(message[2])), (self.peer.server, size))
        self.assertNotIn(2, Message(self.answers('Login', login_request(), kind='short', bytes=0)[0][0]))
        message = self.answers('Login', login_request(), kind='wrong-key')[0][0]
        self.assertEqual(Message(message)[1].decode(), self.peer.server)
        with self.assertRaises(Exception):
            self.peer.open(message)
        self.assertEqual(self.answers('Login', login_request(), kind='raw-envelope', hex='0a0178')[0], [b'\n\1x'])

    def test_server_key(self):
        message = self.answers('GetServerKey', b'', kind='key', text='abc')[0][0]
        self.assertEqual(Message(message)[1], b'abc')
        message = self.answers('GetServerKey', b'', kind='key', text='other')[0][0]
        self.assertEqual(len(key_bytes(Message(message)[1].decode())), 32)
        self.assertNotEqual(Message(message)[1].decode(), self.peer.server)

    def test_oversize(self):
        answer = None

        def receive():
            nonlocal answer
            client = self.client(bytes(self.peer.private))
            client.get_key()
            call = client.channel.unary_unary('/management.ManagementService/Login')
            answer = client.open(call(client.seal(login_request()), timeout=10))
        self.hub.fault(method='Login', kind='oversize')
        receive()
        self.assertEqual(len(answer), 16 * 1024 * 1024 + 1)
        self.assertEqual(Message(answer).at(2, 1), b'100.64.0.1/16')

    def test_delay_and_stall(self):
        begin = time.monotonic()
        self.answers('Login', login_request(), kind='delay', ms=200)
        self.assertGreater(time.monotonic() - begin, 0.2)
        self.hub.fault(method='Login', kind='stall')
        stream = self.raw.request('Login', self.peer.seal(login_request()))
        with self.assertRaises(TimeoutError):
            self.raw.until(HeadersFrame, 0.3)
        self.hub.unfault()
        self.raw.sock.settimeout(5)
        self.assertEqual(self.raw.answer(stream)[2]['grpc-status'], '0')

    def test_streams(self):
        sync = encode((1, meta()))
        messages, trailers = self.answers('Sync', sync, kind='end', at=2)
        self.assertEqual((len(messages), trailers['grpc-status']), (1, '0'))
        messages, trailers = self.answers('Sync', sync, kind='fail', at=2, code='INTERNAL', text='x')
        self.assertEqual((len(messages), trailers['grpc-status'], trailers['grpc-message']), (1, '13', 'x'))
        self.hub.fault(method='Sync', kind='endless', ms=1)
        stream = self.peer.sync()
        self.assertEqual(len({self.peer.open(next(stream)) for _ in range(50)}), 1)
        stream.cancel()
        self.hub.fault(method='Sync', kind='garbage', at=2)
        stream = self.peer.sync()
        self.peer.next_map(stream)
        self.hub.push()
        with self.assertRaises(Exception):
            self.peer.next_map(stream)
        self.hub.push()
        self.assertIn(MAP, self.peer.next_map(stream))
        self.hub.end(code='PERMISSION_DENIED', text='peer is not registered')
        self.refused('PERMISSION_DENIED', 'peer is not registered', next, stream)


class Life(unittest.TestCase):
    def test_restart(self):
        hub = Program('hub.py')
        client = Client(hub.target)
        client.login(hub.add_key())
        stream = client.sync()
        next(stream)
        key = hub.restart()
        with self.assertRaises(grpc.RpcError) as caught:
            list(stream)
        self.assertIn(caught.exception.code().name, ('UNAVAILABLE', 'CANCELLED'))
        # The same port, another key, the same peers.
        fresh = Client(hub.target, bytes(client.private))
        self.assertEqual(fresh.get_key(), key)
        self.assertNotEqual(key, client.server)
        fresh.login()
        client.close()
        fresh.close()
        hub.end()

    def test_killed(self):
        with tempfile.TemporaryDirectory() as directory:
            state = os.path.join(directory, 'state')
            hub = Program('hub.py', '--state', state)
            key = hub.add_key(limit=2)
            client = Client(hub.target)
            client.login(key)
            hub.set(lazy=True)
            before = hub.info(), hub.peers()
            hub.end(kill=True)
            again = Program('hub.py', '--state', state)
            after = again.info(), again.peers()
            self.assertEqual((before[0]['serial'], before[1]), (after[0]['serial'], after[1]))
            self.assertNotEqual(before[0]['server_key'], after[0]['server_key'])
            self.assertEqual([k['used'] for k in again.keys()], [1])
            self.assertTrue(again.get()['lazy'])
            same = Client(again.target, bytes(client.private))
            same.login()
            same.close()
            client.close()
            again.end()

    def test_keepalive(self):
        hub = Program('hub.py', '--ping-ms', '1000', '--ping-timeout-ms', '1000', '--min-ping-ms', '15000')
        silent, eager = RawClient(hub.ready['port']), RawClient(hub.ready['port'])
        for i in range(5):
            eager.sock.sendall(PingFrame(0, bytes([i] * 8)).serialize())
        goaway = eager.until(GoAwayFrame)
        self.assertEqual((goaway.error_code, goaway.additional_data), (11, b'too_many_pings'))
        begin = time.monotonic()
        ping = silent.until(PingFrame, 4)
        while 'ACK' in ping.flags:
            ping = silent.until(PingFrame, 4)
        with self.assertRaises((EOFError, ConnectionResetError)):  # which was not answered
            silent.until(DataFrame, 4)
        self.assertLess(time.monotonic() - begin, 4)
        silent.close()
        eager.close()
        hub.end()

    def test_tls(self):
        with tempfile.TemporaryDirectory() as directory:
            cert, key = certificate(directory)
            hub = Program('hub.py', '--tls', 'localhost:0', '--cert', cert, '--key', key)
            with open(cert, 'rb') as file:
                client = Client(f'localhost:{hub.ready["tls_port"]}', credentials=grpc.ssl_channel_credentials(file.read()))
            client.login(hub.add_key())
            context = ssl.create_default_context(cafile=cert)
            context.set_alpn_protocols(['h2'])
            with context.wrap_socket(socket.create_connection(('localhost', hub.ready['tls_port'])), server_hostname='localhost') as sock:
                self.assertEqual(sock.selected_alpn_protocol(), 'h2')
            client.close()
            hub.end()


def certificate(directory):
    cert, key = os.path.join(directory, 'cert'), os.path.join(directory, 'key')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj',
                    '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2', '-keyout', key, '-out', cert],
                   check=True, capture_output=True)
    return cert, key


class Proxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = Program('hub.py')
        cls.proxy = Program('fault_proxy.py', '--to', cls.hub.target)
        cls.peer = Client(cls.hub.target)
        cls.peer.login(cls.hub.add_key())

    @classmethod
    def tearDownClass(cls):
        cls.peer.close()
        assert cls.proxy.end() == 0
        assert cls.hub.end() == 0

    def setUp(self):
        self.proxy.clear()
        self.raw = RawClient(self.proxy.ready['port'])

    def tearDown(self):
        self.raw.close()
        self.proxy.close()
        for _ in range(100):
            if not self.proxy.list():
                break
            time.sleep(0.02)

    def number(self):
        return self.proxy.list()[-1]['id']

    def open_sync(self):
        self.peer.get_key()
        stream = self.raw.request('Sync', self.peer.seal(encode((1, meta()))))
        self.raw.until(DataFrame, stream=stream)
        return stream

    def test_passes(self):
        client = Client(self.proxy.target, bytes(self.peer.private))
        client.login()
        stream = client.sync()
        self.assertIn(MAP, client.next_map(stream))
        stream.cancel()
        client.close()

    def test_sent(self):
        self.raw.answer(self.raw.request('GetServerKey'))
        sent = bytes.fromhex(self.proxy.sent(conn=self.number()))
        self.assertTrue(sent.startswith(PREFACE))
        self.assertIn(b'\0\0\0\0\0', sent)

    def test_goaway(self):
        self.open_sync()
        self.proxy.goaway(code=11, last=1, debug='too_many_pings')
        frame = self.raw.until(GoAwayFrame)
        self.assertEqual((frame.error_code, frame.last_stream_id, frame.additional_data), (11, 1, b'too_many_pings'))
        self.hub.push()
        self.raw.until(DataFrame)  # streams go on

    def test_rst(self):
        stream = self.open_sync()
        self.proxy.rst(code=7)
        frame = self.raw.until(RstStreamFrame)
        self.assertEqual((frame.error_code, frame.stream_id), (7, stream))
        self.assertEqual(self.raw.answer(self.raw.request('GetServerKey'))[2]['grpc-status'], '0')
        for _ in range(100):
            if not self.hub.peer(peer='srv1')['connected']:
                break
            time.sleep(0.02)
        self.assertFalse(self.hub.peer(peer='srv1')['connected'])

    def test_cut_and_close(self):
        self.open_sync()
        self.proxy.cut()
        with self.assertRaises(ConnectionResetError):
            self.raw.until(GoAwayFrame)
        self.raw = RawClient(self.proxy.ready['port'])
        self.open_sync()
        self.proxy.close()
        with self.assertRaises(EOFError):
            self.raw.until(RstStreamFrame)

    def test_stall(self):
        self.open_sync()
        for fault in ('stall', 'blackhole'):
            self.proxy.tell(fault)
            self.hub.push()
            with self.assertRaises(TimeoutError):
                self.raw.until(DataFrame, 0.3)
            self.proxy.resume()
            self.hub.push()
            self.raw.until(DataFrame)

    def test_throttle(self):
        self.open_sync()
        self.raw.sock.settimeout(5)
        self.proxy.throttle(bps=200, chunk=1)
        begin = time.monotonic()
        self.raw.answer(self.raw.request('GetServerKey'))
        self.assertGreater(time.monotonic() - begin, 0.4)

    def test_truncate(self):
        self.proxy.truncate(bytes=12)
        self.raw.request('GetServerKey')
        with self.assertRaises(EOFError):
            self.raw.until(DataFrame)
        self.assertEqual((self.raw.buffer[3], len(self.raw.buffer)), (0, 9 + 12))

    def test_shorten(self):
        self.proxy.shorten(bytes=2)
        _, data, trailers = self.raw.answer(self.raw.request('GetServerKey'))
        self.assertEqual(len(data) + 2, 5 + int.from_bytes(data[1:5], 'big'))
        self.assertEqual(trailers['grpc-status'], '0')

    def test_inject(self):
        ping = PingFrame(0, b'12345678').serialize()
        self.raw.answer(self.raw.request('GetServerKey'))
        self.proxy.inject(hex=ping.hex(), times=3)
        self.assertEqual([self.raw.until(PingFrame).opaque_data for _ in range(3)], [b'12345678'] * 3)

    def test_when(self):
        self.proxy.when(event='data', count=2, do='rst', args={'code': 2})
        self.raw.answer(self.raw.request('GetServerKey'))
        stream = self.raw.request('GetServerKey')
        self.assertEqual(self.raw.until(RstStreamFrame, stream=stream).error_code, 2)
        self.proxy.when(event='request', do='goaway', args={'code': 0, 'last': 0})
        self.raw.request('GetServerKey')
        self.assertEqual(self.raw.until(GoAwayFrame).last_stream_id, 0)

    def test_modes(self):
        def again(**mode):
            self.proxy.mode(**mode)
            self.raw.close()
            self.raw = RawClient(self.proxy.ready['port'])

        again(name='answer', headers=[[':status', '502'], ['content-type', 'text/html']], data=b'<html>'.hex())
        headers, data, _ = self.raw.answer(self.raw.request('GetServerKey'))
        self.assertEqual((headers, data), ({':status': '502', 'content-type': 'text/html'}, b'<html>'))
        again(name='answer', headers=[[':status', '200'], ['content-type', 'application/grpc']], data='0000000000',
              trailers=[['grpc-status', '99'], ['grpc-message', '%zz']])
        _, data, trailers = self.raw.answer(self.raw.request('GetServerKey'))
        self.assertEqual((data, trailers), (bytes(5), {'grpc-status': '99', 'grpc-message': '%zz'}))
        again(name='silent')
        with self.assertRaises(TimeoutError):
            self.raw.until(HeadersFrame, 0.3)
        again(name='http1')
        self.assertTrue(self.raw.sock.recv(100).startswith(b'HTTP/1.1 400'))
        self.proxy.mode(name='refuse')
        sock = socket.create_connection(('127.0.0.1', self.proxy.ready['port']), 5)
        with self.assertRaises(ConnectionResetError):
            sock.recv(1)
        sock.close()

    def test_tls(self):
        with tempfile.TemporaryDirectory() as directory:
            cert, key = certificate(directory)
            proxy = Program('fault_proxy.py', '--to', self.hub.target, '--cert', cert, '--key', key)
            context = ssl.create_default_context(cafile=cert)
            context.set_alpn_protocols(['h2'])
            raw = RawClient(proxy.ready['port'], wrap=lambda sock: context.wrap_socket(sock, server_hostname='localhost'))
            self.assertEqual(raw.answer(raw.request('GetServerKey'))[2]['grpc-status'], '0')
            proxy.cut()
            with self.assertRaises((ConnectionResetError, EOFError, ssl.SSLError)):
                raw.until(HeadersFrame)
            raw.close()
            proxy.end()


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


if __name__ == '__main__':
    suite = unittest.defaultTestLoader.loadTestsFromNames([f'__main__.{name}' for name in sys.argv[1:] if name != '--tap'] or ['__main__'])
    result = unittest.TextTestRunner(stream=open(os.devnull, 'w', encoding='utf-8'), resultclass=Tap).run(suite)
    print(f'1..{Tap.count}')
    sys.exit(not result.wasSuccessful())

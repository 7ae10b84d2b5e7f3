#!/usr/bin/python3
"""Asserts what the hub tells peers, and when. The numbers in brackets are fields of the protocol's messages, told here once
more and by hand."""
import base64
import threading
import time
import uuid

import grpc

import testcase
from client import Message, encode, meta
from testcase import (CHECKS, DNS, MAP, OFFLINE, PEER_CONFIG, REMOTE, REMOTE_EMPTY, ROUTE_RULES, ROUTE_RULES_EMPTY, ROUTES, RULES,
                      RULES_EMPTY, SERIAL, SERVERS, HubCase, random_key)


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
        self.assertEqual(answer.at(1, 3, 1), b'127.0.0.1:%d' % self.hub.ready['signal_port'])
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

    def test_mistakes(self):
        """Of a test are told to the test, and change nothing."""
        before = self.hub.get()
        for command, more in (('set', {'lazy': 'yes'}), ('set', {'policies': [{'id': 'x'}]}), ('set', {'nope': 1}),
                              ('set', {'routes': [{'id': 'r', 'peer': 'b', 'network': '10.0.0.1/8'}]}),
                              ('set', {'patch': {'NetworkMap': {'nope': 1}}}), ('set', {'network6': 'x'}),
                              ('fault', {'method': 'Login', 'kind': 'nope'}),
                              ('fault', {'method': 'Login', 'kind': 'fail', 'code': 'NOPE'}), ('remove', {'peer': 'nobody'}),
                              ('push_raw', {'hex': 'xyz'}), ('_find', {'text': 'x'}), ('nope', {}), ('end', {'peer': 'x'})):
            with self.assertRaises(RuntimeError, msg=f'{command} {more}'):
                self.hub.tell(command, **more)
        self.assertEqual((self.hub.get(), self.hub.list_faults()), (before, []))

    def test_accounts(self):
        """Know nothing of each other."""
        self.hub.add_account(name='other', network='10.5.0.0/24', domain='o.x')
        ours, theirs = self.joined(), self.client()
        answer = theirs.login(self.hub.add_key(account='other'))
        self.assertEqual((answer.at(2, 1), answer.at(2, 4)), (b'10.5.0.1/24', b'srv1.o.x'))
        _, first = self.connect(ours)
        self.assertTrue(first.at(MAP, REMOTE_EMPTY))
        self.hub.remove(peer=theirs.public)

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


if __name__ == '__main__':
    testcase.main()

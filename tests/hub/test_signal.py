#!/usr/bin/python3
"""Asserts what the signal server of the hub carries, loses and refuses, and the vectors of the protocol's description."""
import queue
import time

import grpc

import testcase
from client import Message
from crypto import key_bytes
from signalclient import ANSWER, CANDIDATE, GO_IDLE, HEARTBEAT, OFFER, PREFIX, SignalClient, body
from testcase import HubCase

A_PRIVATE, A_PUBLIC = 'EBEREREREREREREREREREREREREREREREREREREREVE=', 'e06Qm75//kTEZaIgA31gjuNYl9Me+XLwf3SJLLD3PxM='
B_PRIVATE, B_PUBLIC = 'ICIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiImI=', 'D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA='
NONCE = bytes(range(24))
OFFER_BODY = ('12314162436445664768496a4b6c4d6e4f703a6162636465666768696a6b6c6d6e6f707172737475767778797a41424344454618ec940322'
              '06302e36302e303a00421c72656c733a2f2f72656c61792e6578616d706c652e636f6d3a343433520501020304055a04cb007109')


class Vectors(HubCase):
    def test_boxes(self):
        a, b = self.pair()
        self.assertEqual((a.public, b.public), (A_PUBLIC, B_PUBLIC))
        self.assertEqual(Message(a.seal(B_PUBLIC, body(GO_IDLE), NONCE))[4].hex(),
                         NONCE.hex() + '6ed1c971baded612b384c3cb8bd1bcf35389')
        self.assertEqual(Message(a.seal(A_PUBLIC, body(HEARTBEAT), NONCE))[4].hex(),
                         NONCE.hex() + 'eb95259d8db87106151164f0d2883bf36656')

    def test_offer(self):
        made = body(OFFER, 'AbCdEfGhIjKlMnOp:abcdefghijklmnopqrstuvwxyzABCDEF', 51820, '0.60.0',
                    f8='rels://relay.example.com:443', session=bytes(range(1, 6)))
        self.assertEqual(made + bytes.fromhex('5a04cb007109'), bytes.fromhex(OFFER_BODY))

    def pair(self):
        return [SignalClient(self.hub.target, key_bytes(key)) for key in (A_PRIVATE, B_PRIVATE)]


class Exchange(HubCase):
    def setUp(self):
        self.target = f'127.0.0.1:{self.hub.ready["signal_port"]}'
        self.a, self.b = SignalClient(self.target), SignalClient(self.target)
        self.assertTrue(self.a.register() and self.b.register())

    def tearDown(self):
        self.hub.unfault()
        self.hub.signal_deaf(on=False)
        self.hub.signal_forget()
        self.a.close()
        self.b.close()

    def payloads(self, count):
        return [self.b.next()[1][2].decode() for _ in range(count)]

    def silent(self, client, seconds=0.3):
        with self.assertRaises(queue.Empty):
            client.next(seconds)

    def offer(self, *payloads):
        for payload in payloads:
            self.assertEqual(self.a.send(self.b.public, body(OFFER, payload)), b'')

    def test_exchange(self):
        self.offer('u:p')
        sender, message = self.b.next()
        self.assertEqual((sender, message[2], 1 in message), (self.a.public, b'u:p', False))
        self.b.send(self.a.public, body(ANSWER, 'v:q', session=b'12345'))
        self.b.send(self.a.public, body(CANDIDATE, 'line'))
        self.assertEqual([(m[1], m[2]) for _, m in (self.a.next(), self.a.next())], [(ANSWER, b'v:q'), (CANDIDATE, b'line')])
        self.a.send(self.a.public, body(HEARTBEAT))
        self.assertEqual(self.a.next()[0], self.a.public)
        entry = self.hub.signal_log(last=1)[0]
        self.assertEqual((entry['from'], entry['to'], entry['delivered']), (self.a.public, self.a.public, True))

    def test_both_ports(self):
        other = SignalClient(self.hub.target)
        self.assertTrue(other.register())
        other.send(self.b.public, body(OFFER, 'u:p'))
        self.assertEqual(self.b.next()[0], other.public)
        other.close()

    def test_nobody(self):
        self.assertEqual(self.a.send(SignalClient(self.target).public, body(OFFER, 'u:p')), b'')
        self.assertFalse(self.hub.signal_log(last=1)[0]['delivered'])

    def test_replaced(self):
        again = SignalClient(self.target, bytes(self.b.private))
        self.assertTrue(again.register())
        self.assertEqual(self.b.next()[1].code(), grpc.StatusCode.ABORTED)
        self.offer('u:p')
        self.assertEqual(again.next()[1][2], b'u:p')
        again.close()

    def test_loss(self):
        self.hub.fault(method='Send', kind='end', skip=1, count=2)
        self.offer('1:', '2:', '3:', '4:')
        self.assertEqual(self.payloads(2), ['1:', '4:'])
        self.silent(self.b)
        self.hub.fault(method='Send', kind='end', count=-1, p=0.5)
        self.offer(*[f'{n}:' for n in range(100)])
        self.hub.unfault()
        self.offer('end')
        got = 0
        while self.payloads(1) != ['end']:
            got += 1
        self.assertTrue(25 < got < 75, got)

    def test_disorder(self):
        self.hub.fault(method='Send', kind='swap')
        self.hub.fault(method='Send', kind='twice')
        self.offer('1:', '2:')
        self.assertEqual(self.payloads(3), ['2:', '2:', '1:'])
        self.hub.fault(method='Send', kind='delay', ms=500)
        begin = time.monotonic()
        self.offer('1:', '2:')
        self.assertEqual(self.payloads(2), ['2:', '1:'])
        self.assertGreater(time.monotonic() - begin, 0.4)
        self.hub.fault(method='Send', kind='garbage')
        self.offer('1:')
        self.assertIsInstance(self.b.next()[1], Exception)

    def test_refused(self):
        self.hub.fault(method='Send', kind='fail', code='UNAVAILABLE', text='busy')
        self.refused('UNAVAILABLE', 'busy', self.offer, '1:')
        self.hub.fault(method='Send', kind='fail', late=True)
        self.refused('UNAVAILABLE', 'scripted fault', self.offer, '2:')
        self.assertEqual(self.payloads(1), ['2:'])
        self.hub.fault(method='ConnectStream', kind='no-header')
        self.assertFalse(SignalClient(self.target).register())
        call = self.a.channel.stream_stream(PREFIX + 'ConnectStream')(iter(()))
        with self.assertRaises(grpc.RpcError) as caught:
            next(call)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)

    def test_deaf_and_ended(self):
        self.hub.signal_deaf()
        self.offer('1:')
        self.silent(self.b)
        self.hub.signal_deaf(on=False)
        self.assertEqual(self.hub.signal_replay(peer=self.b.public), 1)
        self.assertEqual(self.payloads(1), ['1:'])
        self.hub.signal_push(peer=self.b.public, hex='12')
        self.assertIsInstance(self.b.next()[1], IndexError)
        self.hub.signal_end(peer=self.a.public, code='INTERNAL', text='x')
        self.assertEqual(self.a.next()[1].code(), grpc.StatusCode.INTERNAL)

    def test_restart(self):
        self.hub.signal_restart()
        self.assertEqual(self.hub.signal_peers(), [])
        self.assertTrue(self.b.register())
        self.offer('u:p')
        while (got := self.b.next())[0] == '':
            pass
        self.assertEqual(got[1][2], b'u:p')


if __name__ == '__main__':
    testcase.main()

#!/usr/bin/python3
"""Asserts every fault of the hub and of its proxy, by the bytes that come from them."""
import os
import socket
import ssl
import tempfile
import time
import unittest

import grpc
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

import testcase
from client import Client, Message, encode, login_request, meta
from crypto import key_bytes
from raw import PREFACE, RawClient
from running import Program
from testcase import MAP, HubCase, certificate, random_key


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
        hub.finish()

    def test_killed(self):
        with tempfile.TemporaryDirectory() as directory:
            state = os.path.join(directory, 'state')
            hub = Program('hub.py', '--state', state)
            key = hub.add_key(limit=2)
            client = Client(hub.target)
            client.login(key)
            hub.set(lazy=True)
            before = hub.info(), hub.peers()
            hub.finish(kill=True)
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
            again.finish()

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
        hub.finish()

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
            hub.finish()


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
        assert cls.proxy.finish() == 0
        assert cls.hub.finish() == 0

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
            if fault == 'stall':
                self.raw.until(DataFrame)  # it was held
        with self.assertRaises(TimeoutError):
            self.raw.until(DataFrame, 0.3)  # it is lost
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

    def test_ask(self):
        self.raw.answer(self.raw.request('GetServerKey'))
        self.proxy.ask()
        ping = self.raw.until(PingFrame)
        self.assertEqual((len(ping.opaque_data), 'ACK' in ping.flags), (8, False))
        self.assertEqual(self.proxy.asked(), [])
        time.sleep(0.1)
        self.raw.sock.sendall(PingFrame(0, ping.opaque_data, flags=['ACK']).serialize())
        for _ in range(100):
            if self.proxy.asked():
                break
            time.sleep(0.02)
        self.assertEqual(len(self.proxy.asked()), 1)
        self.assertGreaterEqual(self.proxy.asked()[0], 100)

    def test_when(self):
        self.proxy.when(event='data', count=2, then='rst', args={'code': 2})
        self.raw.answer(self.raw.request('GetServerKey'))
        stream = self.raw.request('GetServerKey')
        self.assertEqual(self.raw.until(RstStreamFrame, stream=stream).error_code, 2)
        self.proxy.when(event='request', then='goaway', args={'code': 0, 'last': 0})
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
        with self.assertRaises(ConnectionResetError):  # as early as when connecting, if we are slow
            with socket.create_connection(('127.0.0.1', self.proxy.ready['port']), 5) as sock:
                sock.recv(1)

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
            proxy.finish()


if __name__ == '__main__':
    testcase.main()

"""Servers that do what servers should not: over python3-h2 and plain sockets. What is to happen is the path of
the call: /open/NAME as soon as its headers are there, /closed/NAME when the client has half-closed."""
import gzip
import socket
import ssl
import struct
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

HEADERS = [(':status', '200'), ('content-type', 'application/grpc')]
OK = [('grpc-status', '0')]
CASES = {}


def message(data, flag=0):
    return struct.pack('>BI', flag, len(data)) + data


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


class Client(threading.Thread):
    """One connection."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.paths = {}
        self.hung = False
        config = h2.config.H2Configuration(
            client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def send(self, stream, *messages, trailers=None, headers=HEADERS):
        """A whole answer, in one piece."""
        if headers:
            self.h2.send_headers(stream, headers)
        for data in messages:
            for at in range(0, len(data), 16384):
                self.h2.send_data(stream, data[at:at + 16384])
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        self.flush()

    def run(self):
        try:
            self.h2.initiate_connection()
            self.flush()
            while not self.hung:
                data = self.sock.recv(65536)
                if not data:
                    break
                for event in self.h2.receive_data(data):
                    self.handle(event)
                self.flush()
            if self.hung:
                time.sleep(60)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.sock.close()

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            path = dict(event.headers)[b':path'].decode()
            self.paths[event.stream_id] = path
            if path.startswith('/open/'):
                self.act(path[6:], event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            path = self.paths.get(event.stream_id, '')
            if path.startswith('/closed/'):
                self.act(path[8:], event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            if self.paths.get(event.stream_id) != '/open/window':
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def act(self, name, stream):
        name, dash, argument = name.partition('-')
        if dash:
            CASES[name](self, stream, argument)
        else:
            CASES[name](self, stream)


def case(function):
    CASES[function.__name__] = function
    return function


@case
def fine(c, s):
    c.send(s, message(b'fine'), trailers=OK)


@case
def burst(c, s):
    """Messages, trailers and RST in one write."""
    c.h2.send_headers(s, HEADERS)
    for i in range(3):
        c.h2.send_data(s, message(b'burst%d' % i))
    c.h2.send_headers(s, OK, end_stream=True)
    if c.h2.streams[s].open:
        c.h2.reset_stream(s, h2.errors.ErrorCodes.NO_ERROR)
    c.flush()


@case
def trailers(c, s):
    c.send(s, message(b'one'), trailers=OK)


@case
def only(c, s, reset=None):
    """Trailers only, with or without RST."""
    c.h2.send_headers(s, HEADERS + [('grpc-status', '16'), ('grpc-message', 'no%20entry')], end_stream=True)
    if reset and c.h2.streams[s].open:
        c.h2.reset_stream(s, h2.errors.ErrorCodes.NO_ERROR)
    c.flush()


@case
def goaway(c, s):
    """Stops taking calls, and ends this one well."""
    c.send(s)
    c.sock.sendall(frame(7, 0, 0, struct.pack('>II', s, 0) + b'restarting'))
    time.sleep(0.1)
    c.send(s, message(b'last'), trailers=OK, headers=None)


@case
def refused(c, s):
    """Stops taking calls: this one is not even looked at."""
    c.sock.sendall(frame(7, 0, 0, struct.pack('>II', s - 1, 0)))


@case
def calm(c, s):
    c.sock.sendall(frame(7, 0, 0, struct.pack('>II', s, 11) + b'too_many_pings'))
    c.sock.close()


@case
def rst(c, s, code):
    c.send(s)
    c.h2.reset_stream(s, int(code))
    c.flush()


@case
def http(c, s, status):
    c.send(s, b'<html>', headers=[(':status', status), ('content-type', 'text/html')])


@case
def interim(c, s):
    c.h2.send_headers(s, [(':status', '103'), ('link', 'x')])
    c.send(s, message(b'after'), trailers=OK)


@case
def cut(c, s):
    c.send(s, message(b'0123456789')[:-3], trailers=OK)


@case
def short(c, s):
    """Ends without trailers."""
    c.h2.send_headers(s, HEADERS)
    c.h2.send_data(s, message(b'one'), end_stream=True)
    c.flush()


@case
def silent(c, s):
    """The end with status 0, without a message."""
    c.send(s, trailers=OK)


@case
def twice(c, s):
    c.send(s, message(b'one'), message(b'two'), trailers=OK)


@case
def status(c, s, text):
    c.send(s, trailers=[('grpc-status', text), ('grpc-message', 'a%0ab%1b[31mc%c3%a4%ff%zz%' + 'x' * 400)])


@case
def size(c, s, length):
    """Announces a message, and sends a little of it."""
    c.send(s, struct.pack('>BI', 0, int(length)) + b'x' * 100)


@case
def bomb(c, s):
    c.send(s, message(gzip.compress(bytes(64 << 20)), 1), headers=HEADERS + [('grpc-encoding', 'gzip')])


@case
def packed(c, s, how):
    """Messages with the flag for compression: right, broken, unannounced."""
    data = gzip.compress(b'packed')
    encoding = {'right': 'gzip', 'broken': 'gzip', 'tail': 'gzip', 'plain': 'identity', 'odd': 'snappy'}[how]
    data = {'broken': data[:-9] + b'X' * 9, 'tail': data + b'x'}.get(how, data)
    c.send(s, message(data, 2 if how == 'odd' else 1), trailers=OK, headers=HEADERS + [('grpc-encoding', encoding)])


@case
def list(c, s):
    """A list of headers that is larger than we take, but small on the wire."""
    c.send(s, message(b'one'), trailers=OK, headers=HEADERS + [('x-pad', 'p' * 2000)] * 9)


@case
def block(c, s):
    """The same, large on the wire: CONTINUATIONs without an end."""
    c.sock.sendall(frame(1, 0, s, b'\x88'))
    for _ in range(200):
        c.sock.sendall(frame(9, 0, s, b'\x00\x01a\x7f\xf1\x0a' + b'b' * 1520))
        time.sleep(0.001)


@case
def empty(c, s):
    """CONTINUATIONs that carry nothing."""
    c.sock.sendall(frame(1, 0, s, b'\x88') + frame(9, 0, s) * 100000)


@case
def pings(c, s):
    c.sock.sendall(frame(6, 0, 0, bytes(8)) * 100000)


@case
def settings(c, s):
    c.sock.sendall(frame(4, 0, 0) * 100000)


@case
def nothing(c, s):
    """Frames of data without data."""
    c.send(s)
    c.sock.sendall(frame(0, 0, s) * 100000)


@case
def lie(c, s):
    """A frame that is longer than allowed."""
    c.sock.sendall(b'\xff\xff\xff' + frame(0, 0, s)[3:] + b'x' * 1000)


@case
def ping(c, s):
    """PINGs, and answers how long the client took, in microseconds."""
    c.h2.ping(b'12345678')
    c.flush()
    begin = time.monotonic()
    while not any(isinstance(e, h2.events.PingAckReceived) for e in c.h2.receive_data(c.sock.recv(65536))):
        pass
    c.ping_us = (time.monotonic() - begin) * 1e6
    if s:
        acked(c, s)


@case
def later(c, s):
    """PINGs when no call is open any more."""
    c.send(s, message(b'one'), trailers=OK)
    time.sleep(0.05)
    ping(c, 0)


@case
def acked(c, s):
    c.send(s, message(b'%d' % c.ping_us), trailers=OK)


@case
def limit(c, s):
    """One call at a time, and no more after this one."""
    c.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    c.flush()
    time.sleep(0.3)
    goaway(c, s)


@case
def slow(c, s):
    """One byte at a time."""
    c.send(s)
    for byte in message(b'slowly'):
        time.sleep(0.05)
        c.h2.send_data(s, bytes([byte]))
        c.flush()
    c.send(s, trailers=OK, headers=None)


@case
def hang(c, s):
    """Reads no more, answers no more, and lives."""
    c.hung = True


@case
def window(c, s):
    """Reads, but never makes room."""


@case
def vanish(c, s):
    """RST instead of FIN."""
    c.send(s)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    c.sock.close()


@case
def leave(c, s):
    """The last words, and the end of the connection at once."""
    c.send(s, message(b'bye'), trailers=OK)
    c.sock.close()


# -- listeners -----------------------------------------------------------------------------------

def listen(handle):
    listener = socket.create_server(('127.0.0.1', 0), backlog=64)

    def accept():
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=handle, args=(sock,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def over_tls(directory, name, alpn=('h2',), version=None, mutual=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{directory}/{name}.pem', f'{directory}/{name}.key')
    if alpn:
        context.set_alpn_protocols(alpn)
    if mutual:
        context.load_verify_locations(f'{directory}/ca.pem')
        context.verify_mode = ssl.CERT_REQUIRED
    if version:
        context.set_ciphers('ALL:@SECLEVEL=0')
        context.minimum_version = context.maximum_version = version

    def handle(sock):
        try:
            wrapped = context.wrap_socket(sock, server_side=True)
        except (OSError, ssl.SSLError):
            return
        Client(wrapped).start()
    return listen(handle)


def old(sock):
    sock.recv(65536)
    sock.sendall(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    sock.close()


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.close()


def echo_tls(directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{directory}/good.pem', f'{directory}/good.key')
    context.set_alpn_protocols(['http/1.1'])
    return listen(lambda sock: echo(context.wrap_socket(sock, server_side=True)))


def start(directory):
    return {
        'fault': listen(lambda sock: Client(sock).start()),
        'fault-tls': over_tls(directory, 'good'),
        'fault-mutual': over_tls(directory, 'good', mutual=True),
        'wrong-name': over_tls(directory, 'wrong-name'),
        'wrong-ca': over_tls(directory, 'wrong-ca'),
        'expired': over_tls(directory, 'expired'),
        'no-alpn': over_tls(directory, 'good', alpn=None),
        'other-alpn': over_tls(directory, 'good', alpn=['http/1.1']),
        'old-tls': over_tls(directory, 'good', version=ssl.TLSVersion.TLSv1_1),
        'old-http': listen(old),
        'closing': listen(lambda sock: sock.close()),
        'mute': listen(lambda sock: time.sleep(600)),
        'bytes': listen(echo),
        'bytes-tls': echo_tls(directory),
    }

"""A client of the hub for tests: grpcio for the transport, PyNaCl for the boxes, and a protobuf of its own, so that field
numbers are those of the test and not of the definition that the hub was made from."""
import base64

import grpc
from nacl.public import Box, PrivateKey, PublicKey

PREFIX = '/management.ManagementService/'


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(*fields):
    """(number, value) pairs; text and bytes are length-delimited, numbers are varints."""
    out = b''
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


class Message:
    """Decoded fields: m[5] is the last value, m.all(5) all of them, m.at(5, 2) a field of an inner message."""

    def __init__(self, data):
        self.fields, i = {}, 0

        def number():
            nonlocal i
            value = shift = 0
            while True:
                byte = data[i]
                i += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        while i < len(data):
            tag = number()
            if tag & 7 == 0:
                value = number()
            elif tag & 7 == 2:
                length = number()
                value, i = data[i:i + length], i + length
                if len(value) != length:
                    raise ValueError('the message ends early')
            else:
                raise ValueError(f'wire type {tag & 7}')
            self.fields.setdefault(tag >> 3, []).append(value)

    def all(self, number):
        return self.fields.get(number, [])

    def __getitem__(self, number):
        return self.fields[number][-1]

    def __contains__(self, number):
        return number in self.fields

    def at(self, *path):
        value = self
        for number in path[:-1]:
            value = Message(value[number])
        return value[path[-1]]

    def messages(self, *path):
        """All inner messages at the end of the path."""
        value = self
        for number in path[:-1]:
            value = Message(value[number])
        return [Message(data) for data in value.all(path[-1])]


def meta(hostname='srv1', version='0.65.0', capabilities=(1,), **more):
    """PeerSystemMeta; `more` are fields by name f20=..."""
    fields = [(1, hostname), (2, 'linux'), (7, version)]
    fields += [(int(name[1:]), value) for name, value in more.items()]
    return encode(*fields, (18, bytes(capabilities)))


def login_request(setup_key='', labels=(), **more):
    fields = [(1, setup_key)] if setup_key else []
    return encode(*fields, (2, meta(**more)), *((5, label) for label in labels))


class Client:
    def __init__(self, target, private=None, credentials=None, options=()):
        options = (('grpc.max_receive_message_length', 32 << 20), ('grpc.enable_retries', 0), *options)
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials else
                        grpc.insecure_channel(target, options))
        self.private = PrivateKey(private or bytes(PrivateKey.generate()))
        self.public = base64.b64encode(bytes(self.private.public_key)).decode()
        self.server = None  # its key as text

    def close(self):
        self.channel.close()

    def get_key(self, timeout=5):
        self.server = Message(self.channel.unary_unary(PREFIX + 'GetServerKey')(b'', timeout=timeout))[1].decode()
        return self.server

    def box(self):
        return Box(self.private, PublicKey(base64.b64decode(self.server)))

    def seal(self, plain):
        return encode((1, self.public), (2, bytes(self.box().encrypt(plain))))

    def open(self, envelope):
        return self.box().decrypt(Message(envelope)[2])

    def call(self, method, plain=b'', timeout=10):
        """The bytes of the answer, opened where it is sealed."""
        self.get_key()
        answer = self.channel.unary_unary(PREFIX + method)(self.seal(plain), timeout=timeout)
        return self.open(answer) if answer else b''

    def login(self, setup_key='', **more):
        return Message(self.call('Login', login_request(setup_key, **more)))

    def sync(self, plain=None, timeout=15):
        """A call that gives envelopes; next(), cancel(). The timeout is so that no test hangs."""
        self.get_key()
        plain = encode((1, meta())) if plain is None else plain
        return self.channel.unary_stream(PREFIX + 'Sync')(self.seal(plain), timeout=timeout)

    def next_map(self, stream):
        return Message(self.open(next(stream)))

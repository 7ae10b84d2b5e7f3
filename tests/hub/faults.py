"""Scripted faults: what goes wrong with the next calls of a method.

Kinds, with their parameters and what the client sees:
  fail code= text=       the call ends with that status (names of gRPC codes, default UNAVAILABLE)
  stall                  no answer, until the client gives up or `unfault`
  delay ms=              the answer comes later
  end                    the call ends with OK and without a(nother) message
  twice                  every message comes twice
  oversize bytes=        the message is filled up to that size (16 MiB + 1) by a field that nobody knows
  truncate bytes=        the last bytes (1) of the plain message are missing; it is sealed well
  cut bytes=             the last bytes (1) of the envelope are missing
  garbage bytes=         the body is so many (64) random bytes
  not-proto              the envelope is no protobuf message: ff ff ff ...
  short bytes=           the body ends after so many bytes (39); 0 is an empty one
  wrong-key              sealed with a key that is not the server's
  key text=              GetServerKey says this in place of the key ("other": a valid key whose other half is unknown)
  raw hex=               this is the plain message, sealed
  raw-envelope hex=      this is the message on the wire, not sealed
  endless ms=            (Sync) the map again and again, every so many ms (0: as fast as it can be sent)
Of a message from peer to peer (Send), for which its sender is the peer: fail and stall as above; delay ms= brings it later;
  end                    never; the sender is told that all is well
  twice                  twice
  swap                   behind the next one to the same receiver
  garbage                with another last byte
Of their streams (ConnectStream): fail and stall as above, and
  no-header              does not say that the peer is registered
Every kind takes
  count=  calls that it strikes (1; -1 for all),   skip=  calls before that pass unharmed,
  peer=   only that peer's calls,                  p=      only so large a part of them (1, all),
  at=     the message of a stream that it strikes (1, the first),
  late=   true: `fail` and `stall` come after the server has acted, so only the answer is lost.
"""
import random
import secrets
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError

from accounts import Refusal
from crypto import ServerKey
from messages import pb

KINDS = ('fail', 'stall', 'delay', 'end', 'twice', 'oversize', 'truncate', 'cut', 'garbage', 'not-proto', 'short', 'wrong-key',
         'key', 'raw', 'raw-envelope', 'endless', 'swap', 'no-header')
OVERSIZE = 16 * 1024 * 1024 + 1


def refusal(code, text):
    if code not in grpc.StatusCode.__members__ or code == 'OK':
        raise ValueError(f'no code {code}')
    return Refusal(code, text)


@dataclass
class Fault:
    method: str  # "*" for any
    kind: str
    count: int = 1
    skip: int = 0
    peer: str = ''  # its key
    p: float = 1
    at: int = 1
    late: bool = False
    options: dict = field(default_factory=dict)
    struck: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f'no fault {self.kind}')
        if self.kind == 'fail':
            self.refusal()

    def get(self, name, default):
        return self.options.get(name, default)

    def refusal(self):
        return refusal(self.get('code', 'UNAVAILABLE'), self.get('text', 'scripted fault'))

    def plain(self, plain):
        """The message before it is sealed."""
        if self.kind == 'truncate':
            return plain[:len(plain) - self.get('bytes', 1)]
        if self.kind == 'raw':
            return bytes.fromhex(self.get('hex', ''))
        if self.kind == 'oversize':
            return fill(plain, self.get('bytes', OVERSIZE))
        return plain

    def envelopes(self, envelope):
        """What goes on the wire, as a list of messages."""
        if self.kind == 'end':
            return []
        if self.kind == 'twice':
            return [envelope, envelope]
        if self.kind == 'cut':
            return [envelope[:len(envelope) - self.get('bytes', 1)]]
        if self.kind == 'not-proto':
            return [b'\xff' * self.get('bytes', 64)]
        if self.kind == 'raw-envelope':
            return [bytes.fromhex(self.get('hex', ''))]
        if self.kind in ('garbage', 'short', 'key'):
            return [self.damage(envelope)]
        return [envelope]

    def damage(self, envelope):
        try:
            if self.kind == 'key':
                message = pb.ServerKeyResponse.FromString(envelope)
                message.key = self.get('text', '')
                if message.key == 'other':
                    message.key = ServerKey().public
                return message.SerializeToString()
            message = pb.EncryptedMessage.FromString(envelope)
        except DecodeError:
            return envelope
        if self.kind == 'garbage':
            message.body = secrets.token_bytes(self.get('bytes', 64))
        else:
            message.body = message.body[:self.get('bytes', 39)]
        return message.SerializeToString()


def varint(value):
    out = b''
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def fill(plain, size):
    """With field 1000, of bytes, so that all of it has that size (less a few bytes at most)."""
    tag = varint(1000 << 3 | 2)
    length = max(0, size - len(plain) - len(tag) - 4)
    return plain + tag + varint(length) + bytes(length)


class Faults:
    def __init__(self):
        self.faults = []
        self.release = []  # futures of stalled calls
        self.dice = random.Random(1)

    def add(self, method, kind, **options):
        known = {name: options.pop(name) for name in ('count', 'skip', 'peer', 'p', 'at', 'late') if name in options}
        self.faults.append(Fault(method, kind, options=options, **known))

    def take(self, method, peer):
        """The fault of this call, or None."""
        for fault in self.faults:
            if fault.method not in ('*', method) or fault.peer not in ('', peer) or not fault.count:
                continue
            if fault.skip:
                fault.skip -= 1
                return None
            if fault.p < 1 and self.dice.random() >= fault.p:
                continue
            fault.count -= fault.count > 0
            fault.struck += 1
            return fault
        return None

    def clear(self, method='*'):
        """Ends stalls too."""
        self.faults = [fault for fault in self.faults if method not in ('*', fault.method)]
        for future in self.release:
            if not future.done():
                future.set_result(None)
        self.release.clear()

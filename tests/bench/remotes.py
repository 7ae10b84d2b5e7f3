#!/usr/bin/python3
"""remotes.py COUNT ADDRESS [ARGUMENT of hub.py...] - the hub of tests/hub, and as many remote hosts, all in one process. They speak
signal and ICE here; WireGuard the kernel speaks for each of them, on its own port. What hubctl can tell it beyond hub.py:

  remotes                    keys and addresses inside of the tunnel
  kind lapwing= mute=        what they say that they are; mute: checks are not answered (then WireGuard's port has to be shut);
       silence=              after so many seconds without an answer they give up a path, 6 unless it is said
  delay ms=                  of each message, either way
  sleep                      all of them go idle, and say so
  lose                       all of them give up their paths, and ask for others
  offers                     when which remote was asked since the last time: [seconds, number]
  sessions                   how many have a path, how many gave one up, for how many seconds the most silent heard nothing

Others than lapwings are as the reference is on the wire: attribute 0x8100 behind FINGERPRINT, a check every two seconds, an
end after six without an answer, regular nomination. ICE is that of RFC 8445 as far as it takes one candidate of each side."""
import asyncio
import base64
import hmac
import os
import random
import socket
import struct
import string
import sys
import time
import zlib

HERE = os.path.dirname(os.path.realpath(__file__))
HUB = os.path.join(HERE, 'hub')  # in the guest
sys.path.append(HUB if os.path.exists(HUB) else os.path.join(HERE, '..', 'hub'))
from nacl.public import Box, PrivateKey, PublicKey  # noqa: E402

import hub  # noqa: E402
from client import Message, encode  # noqa: E402
from control import Commands  # noqa: E402
from exchange import Exchange  # noqa: E402
from messages import pb  # noqa: E402
from signalclient import ANSWER, CANDIDATE, GO_IDLE, OFFER, body  # noqa: E402

WG_PORTS, ICE_PORTS = 20000, 40000  # of WireGuard, and where its Binding messages are led to
COOKIE = 0x2112a442
REQUEST, SUCCESS = 0x0001, 0x0101
USERNAME, INTEGRITY, MAPPED, PRIORITY, NOMINATE, FINGERPRINT, CONTROLLED, CONTROLLING = (
    0x0006, 0x0008, 0x0020, 0x0024, 0x0025, 0x8028, 0x8029, 0x802a)
TRY_S, TRIES, KEEP_S, SILENCE_S = 0.1, 50, 2, 6
FEATURE_LAPWING = 0x6c77


def private_key(number):
    return random.Random(f'one of many {number}').randbytes(32)


def letters(n):
    return ''.join(random.choices(string.ascii_letters, k=n))


# -- STUN ------------------------------------------------------------------------------------------

def attribute(kind, value=b''):
    return struct.pack('!HH', kind, len(value)) + value + bytes(-len(value) % 4)


def stun(kind, transaction, attributes, password, tail=b''):
    """The tail counts into the length, but into no checksum."""
    def head(more):
        return struct.pack('!HHI', kind, len(attributes) + more, COOKIE) + transaction
    attributes += attribute(INTEGRITY, hmac.digest(password, head(24) + attributes, 'sha1'))
    attributes += attribute(FINGERPRINT, struct.pack('!I', zlib.crc32(head(8) + attributes) ^ 0x5354554e))
    return head(len(tail)) + attributes + tail


def mapped(address):
    ip, port = address
    return attribute(MAPPED, struct.pack('!HHI', 1, port ^ COOKIE >> 16, struct.unpack('!I', socket.inet_aton(ip))[0] ^ COOKIE))


def attributes_of(data):
    found, at = {}, 20
    while at + 4 <= len(data):
        kind, length = struct.unpack_from('!HH', data, at)
        found[kind] = data[at + 4:at + 4 + length]
        at += 4 + length + -length % 4
    return found


# -- one remote host -------------------------------------------------------------------------------

class Session:
    """One with one other host, from its offer on."""

    def __init__(self, remote, controlling, theirs=None, session=None):
        lapwing = remote.fleet.lapwing
        self.remote, self.controlling, self.theirs, self.their_session = remote, controlling, theirs, session
        self.lapwing, self.ufrag, self.password = lapwing, letters(8 if lapwing else 16), letters(32)
        self.session, self.tie = random.randbytes(5), random.randbytes(8)
        self.tail = b'' if lapwing else attribute(0x8100, f'{letters(32)}:{letters(32)}'.encode())
        self.candidates, self.asked, self.timer, self.tries = [], set(), None, 0
        self.path, self.nominated, self.heard, self.over = None, False, 0, False

    def add(self, address):
        if address not in self.candidates:
            self.candidates.append(address)
            self.tries = 0
            self.arm(0)

    def arm(self, seconds):
        if self.timer:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, self.check)

    def end(self):
        self.over = True
        if self.timer:
            self.timer.cancel()

    def request(self, address, nominate):
        transaction = random.randbytes(12)
        self.asked.add(transaction)
        attributes = attribute(USERNAME, f'{self.theirs[0]}:{self.ufrag}'.encode())
        attributes += attribute(PRIORITY, struct.pack('!I', 0x6e7f00ff))
        attributes += attribute(CONTROLLING if self.controlling else CONTROLLED, self.tie)
        attributes += attribute(NOMINATE) if nominate else b''
        self.remote.send(stun(REQUEST, transaction, attributes, self.theirs[1], self.tail), address)

    def check(self):
        """Of all candidates until one has answered, then of that one, for ever as the reference does."""
        self.timer = None
        if not self.theirs:
            return None
        if self.nominated or (self.path and not self.controlling):
            if self.lapwing:
                return None
            if time.monotonic() - self.heard > self.remote.fleet.silence_s:
                self.remote.fleet.lost += 1
                return self.end()
            self.request(self.path, False)
            return self.arm(KEEP_S)
        for address in [self.path] if self.path else self.candidates:
            self.request(address, self.controlling and (self.lapwing or bool(self.path)))
        self.tries += 1
        return self.arm(TRY_S) if self.tries < TRIES else None

    def take_success(self, transaction, address):
        if transaction not in self.asked:
            return
        self.heard = time.monotonic()
        if not self.path:
            self.path = address
            self.nominated = self.lapwing
            self.arm(0 if self.controlling else KEEP_S)
        elif self.controlling and not self.nominated:
            self.nominated = True
            self.arm(KEEP_S)
        self.asked.clear()

    def take_request(self, transaction, address):
        self.remote.send(stun(SUCCESS, transaction, mapped(address), self.password.encode()), address)
        if not self.path:
            self.add(address)


class Remote:
    def __init__(self, fleet, number, address):
        self.fleet, self.number, self.address = fleet, number, address
        self.private = PrivateKey(private_key(number))
        self.key = base64.b64encode(bytes(self.private.public_key)).decode()
        self.boxes, self.sessions = {}, {}  # by key of the other side
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((address, ICE_PORTS + number))
        asyncio.get_running_loop().add_reader(self.socket, self.read)

    # ---- signal

    def box(self, other):
        if other not in self.boxes:
            self.boxes[other] = Box(self.private, PublicKey(base64.b64decode(other)))
        return self.boxes[other]

    def say(self, other, plain):
        self.fleet.bring(other, encode((2, self.key), (3, other), (4, bytes(self.box(other).encrypt(plain)))))

    def hear(self, envelope):
        message = Message(envelope)
        other = message[2].decode()
        said = Message(self.box(other).decrypt(message[4]))
        kind = said[1] if 1 in said else OFFER
        session = self.sessions.get(other)
        if kind == OFFER:
            self.fleet.offers.append((time.monotonic(), self.number))
            self.answer(other, said)
        elif kind == ANSWER and session and not session.theirs:
            session.theirs, session.their_session = self.words(said), said[10]
            session.arm(0)
        elif kind == CANDIDATE and session:
            words = said[2].decode().removeprefix('candidate:').split()
            session.add((words[4], int(words[5])))
        elif kind == GO_IDLE and session:
            self.sessions.pop(other).end()

    def sleep(self):
        for other, session in self.sessions.items():
            session.end()
            self.say(other, body(GO_IDLE))
        self.sessions.clear()

    def lose(self):
        for other, session in self.sessions.items():
            session.end()
            self.sessions[other] = Session(self, self.key > other)
            self.tell(OFFER, other, self.sessions[other])

    def words(self, said):
        ufrag, password = said[2].decode().split(':')
        return ufrag, password.encode()

    def answer(self, other, said):
        session = self.sessions.get(other)
        if not session or session.their_session != said[10]:
            if session:
                session.end()
            session = self.sessions[other] = Session(self, self.key > other, self.words(said), said[10])
        self.tell(ANSWER, other, session)

    def tell(self, kind, other, session):
        more = {'f6': FEATURE_LAPWING} if session.lapwing else {}
        port = WG_PORTS + self.number
        self.say(other, body(kind, f'{session.ufrag}:{session.password}', port, '0.65.0', session.session, **more))
        self.say(other, body(CANDIDATE, f'candidate:1 1 udp 2130706431 {self.address} {port} typ host ufrag {session.ufrag}'))

    # ---- ICE

    def send(self, data, address):
        if self.fleet.mute:
            return
        try:
            self.socket.sendto(data, address)
        except OSError:
            pass  # a candidate that cannot be reached from here

    def read(self):
        try:
            data, address = self.socket.recvfrom(2000)
        except BlockingIOError:
            return
        kind, transaction = struct.unpack_from('!H', data)[0], data[8:20]
        for session in self.sessions.values():
            if kind == SUCCESS:
                session.take_success(transaction, address)
            elif kind == REQUEST and attributes_of(data).get(USERNAME, b'').startswith(f'{session.ufrag}:'.encode()):
                session.take_request(transaction, address)


# -- all of them, and the hub ----------------------------------------------------------------------

class Fleet(Exchange):
    """Messages to remotes need no stream."""

    def __init__(self, faults):
        super().__init__(faults)
        self.remotes, self.delay_s, self.lapwing, self.mute, self.offers, self.lost = {}, 0, True, False, [], 0
        self.silence_s = SILENCE_S

    def open(self, count, address):
        for number in range(1, count + 1):
            remote = Remote(self, number, address)
            self.remotes[remote.key] = remote

    def bring(self, receiver, message):
        """From a remote."""
        asyncio.get_running_loop().call_later(self.delay_s, super().deliver, receiver, message)

    def deliver(self, receiver, message):
        if receiver in self.remotes:
            asyncio.get_running_loop().call_later(self.delay_s, self.remotes[receiver].hear, message)
        else:
            super().deliver(receiver, message)


class RemoteCommands(Commands):
    def remotes(self):
        account = self._account_of('main')
        return [{'key': key, 'address': account.address(account.peers[key])[0]} for key in self.exchange.remotes]

    def kind(self, lapwing=True, mute=False, silence=SILENCE_S):
        self.exchange.lapwing, self.exchange.mute, self.exchange.silence_s = lapwing, mute, silence

    def delay(self, ms):
        self.exchange.delay_s = ms / 1000

    def sleep(self):
        for remote in self.exchange.remotes.values():
            remote.sleep()

    def lose(self):
        for remote in self.exchange.remotes.values():
            remote.lose()

    def offers(self):
        found, self.exchange.offers = self.exchange.offers, []
        return found

    def sessions(self):
        all_sessions = [s for remote in self.exchange.remotes.values() for s in remote.sessions.values()]
        with_path = [s for s in all_sessions if s.path and not s.over]
        silent = max((time.monotonic() - s.heard for s in with_path), default=0)
        return {'paths': len(with_path), 'lost': self.exchange.lost, 'silent_s': silent}


class RemoteHub(hub.Hub):
    def __init__(self, arguments, count, address):
        super().__init__(arguments)
        self.exchange, self.count, self.address = Fleet(self.faults), count, address

    async def start(self):
        self.exchange.open(self.count, self.address)
        account, meta = self.state.accounts['main'], pb.PeerSystemMeta(goOS='linux', netbirdVersion='0.65.0', capabilities=[1, 2])
        for key in self.exchange.remotes:
            self.state.set_meta(self.state.add_peer(account, key, 'remote'), meta)
        await super().start()


async def main():
    count, address = int(sys.argv.pop(1)), sys.argv.pop(1)
    hub.Commands = RemoteCommands
    await RemoteHub(hub.parse_arguments(), count, address).run()


if __name__ == '__main__':
    asyncio.run(main())

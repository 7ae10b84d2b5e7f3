"""A peer that speaks with others through the signal server, with a protobuf of its own; for tests, and for whatever is to be
the other side of an agent."""
import base64
import queue
import threading

import grpc
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from client import Message, encode
from exchange import ID, REGISTERED

PREFIX = '/signalexchange.SignalExchange/'
OFFER, ANSWER, CANDIDATE, MODE, GO_IDLE, HEARTBEAT = 0, 1, 2, 4, 5, 6


def body(kind, payload='', port=0, version='', session=None, **more):
    """The fields of a Body; `more` are fields by name f8=..."""
    fields = [(1, kind)] if kind else []
    fields += [(2, payload)] if payload else []
    fields += [(3, port)] if port else []
    fields += [(4, version)] if version else []
    fields += [(7, b'')] if kind in (OFFER, ANSWER) else []
    fields += [(int(name[1:]), value) for name, value in more.items()]
    fields += [(10, session)] if session else []
    return encode(*fields)


class SignalClient:
    def __init__(self, target, private=None):
        self.channel = grpc.insecure_channel(target, (('grpc.max_receive_message_length', -1),))
        self.private = PrivateKey(private or bytes(PrivateKey.generate()))
        self.public = base64.b64encode(bytes(self.private.public_key)).decode()
        self.stream, self.messages = None, queue.Queue()  # (sender, Message of the body) or an error

    def close(self):
        self.channel.close()

    def box(self, remote):
        return Box(self.private, PublicKey(base64.b64decode(remote)))

    def seal(self, remote, plain, nonce=None):
        return encode((2, self.public), (3, remote), (4, bytes(self.box(remote).encrypt(plain, nonce))))

    def register(self, timeout=10):
        """True when the server said so; messages come from then on."""
        self.stream = self.channel.stream_stream(PREFIX + 'ConnectStream')(iter(self.silence, None), metadata=((ID, self.public),))
        registered = REGISTERED in tuple(tuple(pair) for pair in self.stream.initial_metadata())
        threading.Thread(target=self.receive, args=(self.stream,), daemon=True).start()
        return registered

    def silence(self):
        """Our half of the stream stays open."""
        threading.Event().wait()

    def receive(self, stream):
        try:
            for envelope in stream:
                try:
                    message = Message(envelope)
                    sender = message[2].decode()
                    self.messages.put((sender, Message(self.box(sender).decrypt(message[4]))))
                except (CryptoError, IndexError, KeyError, ValueError) as error:
                    self.messages.put(('', error))
        except grpc.RpcError as error:
            self.messages.put(('', error))

    def next(self, timeout=10):
        return self.messages.get(timeout=timeout)

    def send(self, remote, plain, timeout=10):
        return self.send_raw(self.seal(remote, plain), timeout)

    def send_raw(self, envelope, timeout=10):
        return self.channel.unary_unary(PREFIX + 'Send')(envelope, timeout=timeout)

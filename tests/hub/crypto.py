"""Keys as text, and the sealing of messages: NaCl boxes with the nonce in front."""
import base64
import binascii

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey
from nacl.utils import random

KEY_LEN, NONCE_LEN, SEALED_MIN = 32, 24, 40


def key_text(raw):
    return base64.b64encode(bytes(raw)).decode()


def key_bytes(text):
    """Of standard base64 with padding, and nothing else; ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError('not base64') from error
    if len(raw) != KEY_LEN or key_text(raw) != text:
        raise ValueError('not a key')
    return raw


def clamped(raw):
    """As WireGuard keeps private keys."""
    raw = bytearray(raw)
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return bytes(raw)


class ServerKey:
    def __init__(self, private=None):
        self.private = PrivateKey(key_bytes(private) if private else clamped(random(KEY_LEN)))
        self.public = key_text(self.private.public_key)

    def private_text(self):
        return key_text(self.private)

    def seal(self, peer, plain, nonce=None):
        return bytes(Box(self.private, PublicKey(key_bytes(peer))).encrypt(plain, nonce or random(NONCE_LEN)))

    def open(self, peer, body):
        """ValueError when it is not for us, not from the peer, or damaged."""
        if len(body) < SEALED_MIN:
            raise ValueError('too short')
        try:
            return Box(self.private, PublicKey(key_bytes(peer))).decrypt(body)
        except CryptoError as error:
            raise ValueError('cannot be opened') from error

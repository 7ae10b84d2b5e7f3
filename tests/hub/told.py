#!/usr/bin/python3
"""told.py KEY-FILE <LOG - the candidates in a log of the signal server (signal-log) that can be read with this private key,
each as "ADDRESS PORT TYPE"."""
import base64
import json
import sys

from client import Message
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey
from signalclient import CANDIDATE


def main(key_file):
    with open(key_file, encoding='ascii') as file:
        private = PrivateKey(base64.b64decode(file.read()))
    for entry in json.load(sys.stdin):
        message = Message(bytes.fromhex(entry['hex']))
        try:
            body = Message(Box(private, PublicKey(base64.b64decode(message[2]))).decrypt(message[4]))
        except CryptoError:
            continue  # for somebody else
        if body.fields.get(1, [0])[-1] == CANDIDATE:
            words = body[2].decode().split()
            print(words[4], words[5], words[7])


main(*sys.argv[1:])

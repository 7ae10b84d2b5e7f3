#!/usr/bin/python3
"""ice_remote.py controlling|controlled ADDRESS SECONDS [tail] - the other side of live_ice: aioice instead of libnice.

The same lines on stdin and stdout, of one session. With "tail" it is like the reference on the wire: credentials of its lengths, attribute
0x8100 behind FINGERPRINT on each message, a check every two seconds, and an end after six seconds without an answer."""
import asyncio
import random
import string
import sys

from aioice import Candidate, Connection, ice


def say(text):
    print(text, file=sys.stderr, flush=True)


def letters(n):
    return "".join(random.choice(string.ascii_letters) for _ in range(n))


def append_tails():
    """Attribute 0x8100 counts into the length of the message, but not into its checksums."""
    value = f"{letters(32)}:{letters(32)}".encode()
    tail = b"\x81\x00" + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)

    def send_stun(self, message, addr):
        data = bytes(message)
        length = int.from_bytes(data[2:4], "big") + len(tail)
        self.transport.sendto(data[:2] + length.to_bytes(2, "big") + data[4:] + tail, addr)

    ice.StunProtocol.send_stun = send_stun
    ice.CONSENT_INTERVAL = 2
    ice.CONSENT_FAILURES = 3


async def read_lines(connection, started):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        say(f"heard {line}")
        _, kind, rest = line.split(" ", 2)
        if kind == "credentials":
            connection.remote_username, connection.remote_password = rest.split(" ")
        else:
            await connection.add_remote_candidate(Candidate.from_sdp(rest))
            started.set()


async def main(role, address, seconds, *words):
    # One address: others of this host are not reached from there.
    ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
    connection = Connection(ice_controlling=role == "controlling", stun_server=None)
    if "tail" in words:
        append_tails()
        connection.local_username, connection.local_password = letters(16), letters(32)
    await connection.gather_candidates()
    print(f"0 credentials {connection.local_username} {connection.local_password}", flush=True)
    for candidate in connection.local_candidates:
        print(f"0 candidate {candidate.to_sdp()}", flush=True)
    started = asyncio.Event()
    reading = asyncio.create_task(read_lines(connection, started))
    await started.wait()
    await connection.connect()
    pair = connection._nominated[1]
    say(f"selected {pair.remote_addr[0]} {pair.remote_addr[1]}")
    try:
        await asyncio.wait_for(connection.recv(), float(seconds))
    except asyncio.TimeoutError:
        say("alive")
    except ConnectionError:
        say("lost")
    reading.cancel()
    await connection.close()


asyncio.run(main(*sys.argv[1:]))

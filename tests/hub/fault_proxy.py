#!/usr/bin/python3
"""fault_proxy.py - stands between a client and the hub and does what a gRPC library cannot be made to do: it cuts, stalls
and slows connections, and puts frames of its own into HTTP/2. Scripted like the hub:

    tests/hub/fault_proxy.py --listen 127.0.0.1:0 --to 127.0.0.1:33073 --control /tmp/proxy.sock &
    tests/hub/hubctl -s /tmp/proxy.sock goaway code=11 last=0 debug=too_many_pings
    tests/hub/hubctl -s /tmp/proxy.sock when event=data count=2 then=truncate args='{"bytes": 12}'

It prints one line of JSON with its port. With --cert and --key the client's side is TLS (ALPN h2), and everything below
works there too. Bytes that are not HTTP/2 pass as they are; only what is about bytes can be done with them.

Commands take conn=ID; without it they are for all connections.
  list                    connections: id, bytes up and down, streams that are open
  sent conn=              the first 64 KiB that the client sent (hex), its headers among them
  cut                     ends the client's connection with RST; close: with FIN, what was under way is lost
  stall [way=up|down]     reads and writes nothing more, the connections stay: buffers fill, as with a host that hangs
  blackhole [way=]        reads and drops everything: all is acknowledged, and nothing ever answered
  resume                  ends both
  throttle bps= [chunk=1] the client gets its bytes in pieces, at that rate; bps=0 ends it
  goaway code= [last=2^31-1 debug=]
  rst code= [stream=]     of a stream (the newest), to both sides; its data is dropped from then on
  inject hex= [times=1 to=server]
                          these bytes, between two frames
  truncate bytes= [then=close]
                          the next DATA frame for the client stops after so many bytes of its payload; then close, cut
                          or stall
  shorten bytes=          the next DATA frame loses the last so many bytes of its payload, the frame itself is well: a
                          message of gRPC that is cut
  ask                     the client by a PING of ours; asked: how long it took to answer each, in ms, in their order
  when event= [count=1] then= [args={}]
                          does a command on the connection on which the event happens for the count-th time from now:
                          connect, request (HEADERS of the client, just passed on), headers, data (of the server, before
                          they are passed on)
  mode name=              what becomes of new connections: pass; refuse (RST at once); silent (accepted, no byte ever);
                          http1 (speaks HTTP/1.1: 400); answer headers=[[":status", "502"]] [data=HEX trailers=[]
                          settings=[[ID, VALUE]]]: HTTP/2 that says the same to each request; data or trailers left out
                          are not sent, and the stream ends with what comes last (end=false: it does not)
  clear                   mode pass, no `when`, no throttle, nothing stalled
  stop
"""
import argparse
import asyncio
import json
import os
import signal
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import lines  # noqa: E402

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CHUNK = 65536


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def goaway_frame(code, last=2**31 - 1, debug=''):
    return frame(GOAWAY, 0, 0, struct.pack('>II', last, code) + debug.encode())


def rst_frame(code, stream):
    return frame(RST_STREAM, 0, stream, struct.pack('>I', code))


def header_block(headers):
    """Literals without indexing, so that no table of the other side is touched. Lengths below 127."""
    def text(value):
        return bytes([len(value.encode())]) + value.encode()
    return b''.join(b'\0' + text(name) + text(value) for name, value in headers)


class Frames:
    """Cuts a stream of bytes into frames: (kind, flags, stream, payload)."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], 'big')
            if len(self.buffer) < 9 + length:
                return
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], 'big') & 0x7fffffff
            payload = bytes(self.buffer[9:9 + length])
            del self.buffer[:9 + length]
            yield kind, flags, stream, payload


class Way:
    """One direction of a connection."""

    def __init__(self, writer):
        self.writer = writer
        self.bytes = 0
        self.free = asyncio.Event()
        self.free.set()
        self.dropping = False
        self.rate, self.chunk = 0, 1

    async def write(self, data):
        await self.free.wait()
        if self.dropping:
            return
        self.bytes += len(data)
        step = self.chunk if self.rate else len(data)
        for i in range(0, len(data), step or 1):
            self.writer.write(data[i:i + step])
            await self.writer.drain()
            if self.rate:
                await asyncio.sleep(step / self.rate)


class Connection:
    def __init__(self, proxy, number, reader, writer):
        self.proxy, self.number, self.reader, self.writer = proxy, number, reader, writer
        self.down, self.up = Way(writer), None
        self.streams, self.reset = [], set()
        self.truncation = self.shortening = None
        self.upstream = None
        self.sent = bytearray()
        self.asked_at, self.answers = {}, []

    async def run(self):
        reader, self.upstream = await asyncio.open_connection(*self.proxy.target)
        self.up = Way(self.upstream)
        self.proxy.event('connect', self)
        first = await self.reader.read(CHUNK)
        while first and len(first) < len(PREFACE) and PREFACE.startswith(first):
            more = await self.reader.read(CHUNK)
            if not more:
                break
            first += more
        self.sent += first
        if first.startswith(PREFACE):
            await self.up.write(PREFACE)
            pumps = [self.pump_frames(self.reader, first[len(PREFACE):], self.client_frame),
                     self.pump_frames(reader, b'', self.server_frame)]
        else:
            pumps = [self.pump_bytes(self.reader, first, self.up), self.pump_bytes(reader, b'', self.down)]
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.upstream.close()

    @staticmethod
    async def pump_bytes(reader, first, way):
        data = first or await reader.read(CHUNK)
        while data:
            await way.write(data)
            data = await reader.read(CHUNK)

    async def pump_frames(self, reader, first, handle):
        frames = Frames()
        data = first or await reader.read(CHUNK)
        while data:
            for one in frames.feed(data):
                await handle(*one)
            data = await reader.read(CHUNK)
            if reader is self.reader and len(self.sent) < CHUNK:
                self.sent += data

    def ask(self):
        payload = b'ask' + (len(self.asked_at) + len(self.answers)).to_bytes(5, 'big')
        self.asked_at[payload] = time.monotonic()
        self.writer.write(frame(PING, 0, 0, payload))

    async def client_frame(self, kind, flags, stream, payload):
        if kind == PING and flags & ACK and payload in self.asked_at:
            self.answers.append((time.monotonic() - self.asked_at.pop(payload)) * 1e3)
            return
        if kind == RST_STREAM:
            self.ended(stream)
        if stream in self.reset:
            return
        await self.up.write(frame(kind, flags, stream, payload))
        if kind == HEADERS and stream not in self.streams:
            self.streams.append(stream)
            self.proxy.event('request', self)

    async def server_frame(self, kind, flags, stream, payload):
        if kind in (HEADERS, DATA) and stream not in self.reset:
            self.proxy.event('headers' if kind == HEADERS else 'data', self)
        # Headers pass in any case: they belong to the table of the whole connection.
        if stream in self.reset and kind != HEADERS:
            return
        if kind == RST_STREAM or kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended(stream)
        if kind == DATA and self.truncation and payload:
            await self.truncate(frame(kind, flags, stream, payload))
            return
        if kind == DATA and self.shortening and payload:
            payload, self.shortening = payload[:max(0, len(payload) - self.shortening)], None
        await self.down.write(frame(kind, flags, stream, payload))

    def ended(self, stream):
        if stream in self.streams:
            self.streams.remove(stream)

    async def truncate(self, whole):
        length, then = self.truncation
        self.truncation = None
        await self.down.write(whole[:9 + length])
        {'close': self.close, 'cut': self.cut, 'stall': self.down.free.clear}[then]()

    def cut(self):
        raw = self.writer.get_extra_info('socket')
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.writer.transport.abort()
        self.part()

    def close(self):
        self.writer.close()
        self.part()

    def part(self):
        if self.upstream:
            self.upstream.close()

    def ways(self, way):
        """None to the hub where this was never let through."""
        ways = {'up': [self.up], 'down': [self.down], 'both': [self.up, self.down]}[way]
        return [one for one in ways if one]


class Commands:
    def __init__(self, proxy):
        self.proxy = proxy

    def _chosen(self, conn):
        if conn and conn not in self.proxy.connections:
            raise ValueError(f'no connection {conn}')
        return [self.proxy.connections[conn]] if conn else list(self.proxy.connections.values())

    def list(self):
        return [{'id': number, 'up': c.up.bytes if c.up else 0, 'down': c.down.bytes, 'streams': c.streams}
                for number, c in self.proxy.connections.items()]

    def sent(self, conn):
        return self._chosen(conn)[0].sent.hex()

    def cut(self, conn=0):
        for connection in self._chosen(conn):
            connection.cut()

    def close(self, conn=0):
        for connection in self._chosen(conn):
            connection.close()

    def stall(self, conn=0, way='both'):
        for connection in self._chosen(conn):
            for one in connection.ways(way):
                one.free.clear()

    def blackhole(self, conn=0, way='both'):
        for connection in self._chosen(conn):
            for one in connection.ways(way):
                one.dropping = True

    def resume(self, conn=0):
        for connection in self._chosen(conn):
            for one in connection.ways('both'):
                one.dropping = False
                one.free.set()

    def throttle(self, bps, chunk=1, conn=0):
        for connection in self._chosen(conn):
            connection.down.rate, connection.down.chunk = bps, chunk

    def inject(self, hex, times=1, to='client', conn=0):
        for connection in self._chosen(conn):
            (connection.writer if to == 'client' else connection.upstream).write(bytes.fromhex(hex) * times)

    def goaway(self, code, last=2**31 - 1, debug='', conn=0):
        self.inject(goaway_frame(code, last, debug).hex(), conn=conn)

    def rst(self, code, stream=0, conn=0):
        for connection in self._chosen(conn):
            which = stream or (connection.streams[-1] if connection.streams else 0)
            if not which:
                raise ValueError('no stream is open')
            connection.writer.write(rst_frame(code, which))
            connection.upstream.write(rst_frame(8, which))
            connection.reset.add(which)
            connection.ended(which)

    def ask(self, conn=0):
        for connection in self._chosen(conn):
            connection.ask()

    def asked(self, conn=0):
        return [answer for connection in self._chosen(conn) for answer in connection.answers]

    def truncate(self, bytes, then='close', conn=0):
        for connection in self._chosen(conn):
            connection.truncation = (bytes, then)

    def shorten(self, bytes, conn=0):
        for connection in self._chosen(conn):
            connection.shortening = bytes

    def when(self, event, then, count=1, args=None):
        if event not in ('connect', 'request', 'headers', 'data') or then.startswith('_') or not hasattr(self, then):
            raise ValueError('no such event or command')
        self.proxy.rules.append({'event': event, 'count': count, 'then': then, 'args': args or {}})

    def mode(self, name, **more):
        if name not in ('pass', 'refuse', 'silent', 'http1', 'answer'):
            raise ValueError(f'no mode {name}')
        self.proxy.mode, self.proxy.mode_options = name, more

    def clear(self):
        self.mode('pass')
        self.proxy.rules.clear()
        self.throttle(0)
        self.resume()

    def stop(self):
        asyncio.get_running_loop().call_soon(self.proxy.stopping.set)


class Proxy:
    def __init__(self, target):
        self.target = target
        self.connections, self.count = {}, 0
        self.rules = []
        self.mode, self.mode_options = 'pass', {}
        self.commands = Commands(self)
        self.stopping = asyncio.Event()

    def event(self, name, connection):
        for rule in [rule for rule in self.rules if rule['event'] == name]:
            rule['count'] -= 1
            if rule['count'] == 0:
                self.rules.remove(rule)
                getattr(self.commands, rule['then'])(conn=connection.number, **rule['args'])

    async def accept(self, reader, writer):
        self.count += 1
        connection = self.connections[self.count] = Connection(self, self.count, reader, writer)
        number = self.count
        try:
            if self.mode == 'refuse':
                connection.cut()
            elif self.mode == 'silent':
                while await reader.read(CHUNK):
                    pass
            elif self.mode == 'http1':
                await reader.read(CHUNK)
                writer.write(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
                await writer.drain()
            elif self.mode == 'answer':
                await respond(reader, writer, **self.mode_options)
            else:
                await connection.run()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            del self.connections[number]
            writer.close()


async def respond(reader, writer, headers, data=None, trailers=None, settings=(), end=True):
    """A server of HTTP/2 that says the same to every request."""
    writer.write(frame(SETTINGS, 0, 0, b''.join(struct.pack('>HI', *one) for one in settings)))
    await reader.readexactly(len(PREFACE))
    parts = [(HEADERS, END_HEADERS, header_block(headers))]
    if data is not None:
        parts.append((DATA, 0, bytes.fromhex(data)))
    if trailers is not None:
        parts.append((HEADERS, END_HEADERS, header_block(trailers)))
    frames = Frames()
    while block := await reader.read(CHUNK):
        for kind, flags, stream, payload in frames.feed(block):
            if kind in (SETTINGS, PING) and not flags & ACK:
                writer.write(frame(kind, ACK, 0, payload if kind == PING else b''))
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                for i, (part, part_flags, part_payload) in enumerate(parts):
                    last = end and i == len(parts) - 1
                    writer.write(frame(part, part_flags | (END_STREAM if last else 0), stream, part_payload))
        await writer.drain()


def address_of(text):
    host, _, port = text.rpartition(':')
    return host.strip('[]'), int(port)


async def main():
    parser = argparse.ArgumentParser(description='A proxy that breaks connections; the head of this file says more.')
    parser.add_argument('--listen', default='127.0.0.1:0')
    parser.add_argument('--to', required=True, help='ADDRESS:PORT of the hub')
    parser.add_argument('--control', default='/tmp/proxy.sock')
    parser.add_argument('--cert')
    parser.add_argument('--key')
    arguments = parser.parse_args()
    proxy, context = Proxy(address_of(arguments.to)), None
    if arguments.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.cert, arguments.key)
        context.set_alpn_protocols(['h2'])
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, proxy.stopping.set)
    server = await asyncio.start_server(proxy.accept, *address_of(arguments.listen), ssl=context)
    listener = await lines.serve(arguments.control, proxy.commands)
    print(json.dumps({'port': server.sockets[0].getsockname()[1]}), flush=True)
    await proxy.stopping.wait()
    proxy.commands.close()
    listener.close()
    server.close()
    os.unlink(arguments.control)


if __name__ == '__main__':
    asyncio.run(main())

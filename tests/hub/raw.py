"""A client that sees the bytes of HTTP/2: a plain socket, with hyperframe and hpack to read what comes."""
import socket
import struct
import time

import hpack
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


class RawClient:
    def __init__(self, port, timeout=5, wrap=lambda sock: sock):
        self.sock = wrap(socket.create_connection(('127.0.0.1', port), timeout))
        self.buffer, self.encoder, self.decoder = b'', hpack.Encoder(), hpack.Decoder()
        self.next_stream = 1
        self.sock.sendall(PREFACE + SettingsFrame(0, {}).serialize())

    def close(self):
        self.sock.close()

    def request(self, method, message=b'', end=True):
        """Sends a call, of the server's service where no path is given; its stream."""
        path = method if method.startswith('/') else f'/management.ManagementService/{method}'
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        block = self.encoder.encode([
            (':method', 'POST'), (':scheme', 'http'), (':path', path),
            (':authority', 'hub'), ('content-type', 'application/grpc'), ('te', 'trailers')])
        headers = HeadersFrame(stream, block, flags=['END_HEADERS'])
        data = DataFrame(stream, b'\0' + struct.pack('>I', len(message)) + message, flags=['END_STREAM'] if end else [])
        self.sock.sendall(headers.serialize() + data.serialize())
        return stream

    def frame(self):
        """The next frame; None at the end of the connection."""
        while True:
            if len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9:9 + length]))
                    self.buffer = self.buffer[9 + length:]
                    if isinstance(frame, HeadersFrame):
                        frame.headers = self.decoder.decode(frame.data)
                    return frame
            block = self.sock.recv(65536)
            if not block:
                return None
            self.buffer += block

    def answer(self, stream):
        """(headers, bytes, trailers) of a call, up to its end."""
        headers, data, trailers = None, b'', None
        while True:
            frame = self.frame()
            if frame is None:
                raise EOFError('the connection ended')
            if frame.stream_id != stream:
                continue
            if isinstance(frame, HeadersFrame):
                headers, trailers = headers or dict(frame.headers), dict(frame.headers)
            elif isinstance(frame, DataFrame):
                data += frame.data
            if 'END_STREAM' in frame.flags:
                return headers, data, trailers

    def until(self, kind, seconds=5, stream=None):
        """The next frame of that class; TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            frame = self.frame()
            if frame is None:
                raise EOFError('the connection ended')
            if isinstance(frame, kind) and stream in (None, frame.stream_id):
                return frame
        raise TimeoutError

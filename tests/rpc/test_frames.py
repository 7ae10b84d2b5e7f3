#!/usr/bin/python3
"""Asserts the faults of the server that calls are tested against, by the frames that come from it."""
import contextlib
import os
import sys
import unittest

from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

import faults

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'hub'))
import testcase  # noqa: E402
from raw import RawClient  # noqa: E402


def text_of(frame):
    """One word or two: "DATA one", "HEADERS 200", "END grpc-status 0" (the last frame of the stream), "RST 7"."""
    if isinstance(frame, RstStreamFrame):
        return f'RST {frame.error_code}'
    if isinstance(frame, GoAwayFrame):
        return f'GOAWAY {frame.last_stream_id} {frame.error_code} {frame.additional_data.decode()}'.rstrip()
    words = ['END'] if 'END_STREAM' in frame.flags else []
    if isinstance(frame, DataFrame):
        words += ['DATA', frame.data[5:].decode() if frame.data[:1] == b'\0' else frame.data.decode()]
    else:
        words += ['HEADERS'] + [f'{name} {value}' for name, value in frame.headers]
    return ' '.join(words)


BEGIN = 'HEADERS :status 200 content-type application/grpc'
WELL = 'END HEADERS grpc-status 0'
REFUSED = f'END {BEGIN} grpc-status 16 grpc-message no%20entry'

# With the request still open; where the server sees it ended, RST has nothing to end where `ended` says so.
ROWS = [
    ('burst', [BEGIN, 'DATA burst0', 'DATA burst1', 'DATA burst2', WELL, 'RST 0'], True),
    ('trailers', [BEGIN, 'DATA one', WELL], False),
    ('only-reset', [REFUSED, 'RST 0'], True),
    ('only', [REFUSED], False),
    ('goaway', [BEGIN, 'GOAWAY 1 0 restarting', 'DATA last', WELL], False),
    ('calm', ['GOAWAY 1 11 too_many_pings', 'the end'], False),
    ('rst-2', [BEGIN, 'RST 2'], False),
    ('rst-7', [BEGIN, 'RST 7'], False),
    ('rst-8', [BEGIN, 'RST 8'], False),
    ('rst-0', [BEGIN, 'RST 0'], False),
    ('http-503', ['HEADERS :status 503 content-type text/html', 'DATA <html>'], False),
    ('fine', [BEGIN, 'DATA fine', WELL], False),
]


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = faults.listen(lambda sock: faults.Client(sock).start())

    def setUp(self):
        self.raw = RawClient(self.port)

    def tearDown(self):
        self.raw.close()

    def frames(self, path, end=False):
        """All that comes up to the answer to a PING behind the first of it, or the end."""
        self.raw.request(path, b'hello', end)
        found = []
        while True:
            frame = None
            with contextlib.suppress(ConnectionError):
                frame = self.raw.frame()
            if frame is None:
                return found + ['the end']
            if isinstance(frame, PingFrame):
                return found
            if isinstance(frame, (SettingsFrame, WindowUpdateFrame)):
                continue
            if not found:
                with contextlib.suppress(ConnectionError):
                    self.raw.sock.sendall(PingFrame(0, b'all here').serialize())
            found.append(text_of(frame))

    def test_open(self):
        for name, frames, _ in ROWS:
            self.tearDown()
            self.setUp()
            self.assertEqual(self.frames(f'/open/{name}'), frames, name)

    def test_closed(self):
        for name, frames, ended in ROWS:
            self.tearDown()
            self.setUp()
            self.assertEqual(self.frames(f'/closed/{name}', end=True), frames[:-1] if ended else frames, name)

    def test_burst_is_one_read(self):
        self.frames('/closed/fine', end=True)
        self.raw.buffer = b''
        stream = self.raw.request('/open/burst', b'hello', False)
        self.raw.buffer = self.raw.sock.recv(65536)
        for kind in (HeadersFrame, DataFrame, DataFrame, DataFrame, HeadersFrame, RstStreamFrame):
            frame = self.raw.frame()
            while isinstance(frame, WindowUpdateFrame):
                frame = self.raw.frame()
            self.assertEqual((type(frame), frame.stream_id), (kind, stream))
        self.assertEqual(self.raw.buffer, b'')

    def test_second_call(self):
        for _ in range(2):
            self.assertEqual(self.frames('/closed/fine', end=True), [BEGIN, 'DATA fine', WELL])

    def test_no_window(self):
        """It takes what it is sent, and gives no room for it again."""
        stream = self.raw.request('/open/window', b'w' * 16000, False)
        with self.assertRaises(TimeoutError):
            self.raw.until(WindowUpdateFrame, 0.3, stream)


if __name__ == '__main__':
    testcase.main()
